"""Channels say that they are tried again, and whether others were told"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("channels", schema=None) as batch_op:
        batch_op.add_column(sa.Column("retrying_since", types.UtcInstant(), nullable=True))
        batch_op.add_column(sa.Column("told_at", types.UtcInstant(), nullable=True))
    # Of a channel that fails by now nothing else is known than since when; others were told at that time.
    op.execute("UPDATE channels SET retrying_since = failing_since, told_at = failing_since")


def downgrade() -> None:
    with op.batch_alter_table("channels", schema=None) as batch_op:
        batch_op.drop_column("told_at")
        batch_op.drop_column("retrying_since")
