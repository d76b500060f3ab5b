"""A restore leaves its mark: when, of which backup, and what may have been told since"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("instance", schema=None) as batch_op:
        batch_op.add_column(sa.Column("restored_at", types.UtcInstant(), nullable=True))
        batch_op.add_column(sa.Column("backup_at", types.UtcInstant(), nullable=True))
        batch_op.add_column(sa.Column("repeats_through", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("instance", schema=None) as batch_op:
        batch_op.drop_column("repeats_through")
        batch_op.drop_column("backup_at")
        batch_op.drop_column("restored_at")
