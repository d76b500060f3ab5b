"""How far each source of events has come, and which of them a day waited for"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = types.UtcInstant()
    op.create_table(
        "usage_sources",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("first_at", instant, nullable=False),
        sa.Column("seen_at", instant, nullable=False),
        sa.Column("newest_at", instant, nullable=False),
        sa.Column("live_at", instant, nullable=True),
        sa.Column("retired_at", instant, nullable=True),
        sa.Column("retired_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "name", name=op.f("pk_usage_sources")),
        sqlite_with_rowid=False,
    )
    op.add_column("usage_days", sa.Column("sources", types.Json(), nullable=True))
