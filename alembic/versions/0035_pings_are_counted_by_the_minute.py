"""Pings are counted by the minute: by them is seen whether far fewer come than usually do"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ping_minutes",
        sa.Column("at", types.UtcInstant(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("parts", types.Json(), nullable=False),
        sa.Column("reachable", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("at", "node_id", name=op.f("pk_ping_minutes")),
    )


def downgrade() -> None:
    op.drop_table("ping_minutes")
