"""The slowest requests of each hour are found without looking at all of them"""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_slow_requests_slowest"), "slow_requests", ["pid", "start_at", "gen", "latency_us"])
