"""Failures are tolerated, and runs have bounds"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_OF_CHECKS = ("tolerance", "bounds", "memory")
_OF_RUNS = ("reason", "tolerated")


def upgrade() -> None:
    for name in _OF_CHECKS:
        op.add_column("checks", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    op.add_column("runs", sa.Column("progress_at", types.UtcInstant(), nullable=True))
    for name in _OF_RUNS:
        op.add_column("runs", sa.Column(name, sa.Text(), nullable=True))


def downgrade() -> None:
    for name in (*_OF_RUNS, "progress_at"):
        op.drop_column("runs", name)
    for name in _OF_CHECKS:
        op.drop_column("checks", name)
