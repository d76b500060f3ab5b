"""Incidents are shared by links that end"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "incident_shares",
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("incident_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("with_comments", sa.Boolean(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.Column("expires_at", types.UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "incident_id", "id", name=op.f("pk_incident_shares")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_incident_shares_token_hash")),
    )


def downgrade() -> None:
    op.drop_table("incident_shares")
