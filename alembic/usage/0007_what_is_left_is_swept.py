"""A window knows that rows of former generations may be left, which nobody reads and somebody is to remove"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("windows", sa.Column("unswept", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(
        "ix_windows_unswept",
        "windows",
        ["pid", "start_at"],
        sqlite_where=sa.text("unswept = 1"),
        postgresql_where=sa.text("unswept"),
    )
