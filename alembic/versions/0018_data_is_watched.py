"""Sources, customers and endpoints are watched, each by a check"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "watches",
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("limits", types.Json(), nullable=False),
        sa.Column("standing", types.Json(), nullable=False),
        sa.Column("looked_at", types.UtcInstant(), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("check_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_watches")),
        sa.UniqueConstraint("uuid", name=op.f("uq_watches_uuid")),
        sa.UniqueConstraint("pid", "kind", "what", name=op.f("uq_watches_pid_kind_what")),
    )


def downgrade() -> None:
    op.drop_table("watches")
