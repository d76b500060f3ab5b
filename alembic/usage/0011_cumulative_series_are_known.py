"""What each cumulative series was last seen at is kept, so that only what was added since counts"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db.types import Bytes, Json, UtcInstant

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "metric_series",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("series", Bytes(), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", UtcInstant(), nullable=False),
        sa.Column("reading", Json(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "series", name=op.f("pk_metric_series")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_metric_series_pid_seen_at"), "metric_series", ["pid", "seen_at"], unique=False)
