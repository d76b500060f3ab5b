"""Runs are found by their ids: each start of one asks whether it has ended already"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

_NAMED = sa.text("rid IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_runs_rid",
        "runs",
        ["pid", "check_id", "rid", "ended_at"],
        sqlite_where=_NAMED,
        postgresql_where=_NAMED,
    )


def downgrade() -> None:
    op.drop_index("ix_runs_rid", "runs")
