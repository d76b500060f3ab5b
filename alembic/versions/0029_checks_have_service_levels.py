"""Checks have service levels: which share of their runs shall come in time, and go well"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("checks", sa.Column("slo", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("checks", "slo")
