"""Of a cause it is told who is up again while others stay down"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("cause_tellings", sa.Column("n_new", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("cause_tellings", sa.Column("n_told", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("cause_tellings", sa.Column("back_at", types.UtcInstant(), nullable=True))
    # What waits to be told tells of who is down, and what was told has the first key.
    op.execute("UPDATE cause_tellings SET n_new = n_left WHERE due_at IS NOT NULL")
    op.execute("UPDATE cause_tellings SET n_told = 1 WHERE told_at IS NOT NULL")


def downgrade() -> None:
    for name in ("back_at", "n_told", "n_new"):
        op.drop_column("cause_tellings", name)
