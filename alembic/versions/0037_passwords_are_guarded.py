"""Wrong passwords in a row are counted; a link for a new one is of the browser that asked for it"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "wrong_passwords",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_wrong_passwords")),
    )
    # Made anew: of a link from before nobody knows who asked for it, and it would end within the hour anyhow.
    op.drop_table("resets")
    op.create_table(
        "resets",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("browser_hash", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.Column("expires_at", types.UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "browser_hash", name=op.f("pk_resets")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_resets_token_hash")),
    )


def downgrade() -> None:
    op.drop_table("resets")
    op.create_table(
        "resets",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.Column("expires_at", types.UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_resets")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_resets_token_hash")),
    )
    op.drop_table("wrong_passwords")
