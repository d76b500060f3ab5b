"""Runs say from when to when they processed data"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_COVERED = sa.text("covers_to IS NOT NULL")


def upgrade() -> None:
    op.add_column("runs", sa.Column("covers_from", types.UtcInstant(), nullable=True))
    op.add_column("runs", sa.Column("covers_to", types.UtcInstant(), nullable=True))
    op.create_index(
        "ix_runs_covers",
        "runs",
        ["pid", "check_id", "covers_to"],
        sqlite_where=_COVERED,
        postgresql_where=_COVERED,
    )


def downgrade() -> None:
    op.drop_index("ix_runs_covers", table_name="runs")
    for name in ("covers_to", "covers_from"):
        op.drop_column("runs", name)
