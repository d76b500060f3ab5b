"""What was given up is sent again when somebody asks, and a check's address can be rotated"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

FAILED = sa.text("state = 'failed'")


def upgrade() -> None:
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.add_column(sa.Column("attempts_before", sa.Integer(), nullable=True))
        batch_op.create_index(
            "ix_deliveries_failed",
            ["pid", "channel_id", "created_at"],
            sqlite_where=FAILED,
            postgresql_where=FAILED,
        )
    with op.batch_alter_table("notifications", schema=None) as batch_op:
        batch_op.create_index(
            "ix_notifications_failed", ["pid", "alert_id", "channel_id"], sqlite_where=FAILED, postgresql_where=FAILED
        )
        batch_op.create_index("ix_notifications_pid_channel_id_alert_id", ["pid", "channel_id", "alert_id"])
    with op.batch_alter_table("checks", schema=None) as batch_op:
        batch_op.add_column(sa.Column("old_ping_until", types.UtcInstant(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("checks", schema=None) as batch_op:
        batch_op.drop_column("old_ping_until")
    with op.batch_alter_table("notifications", schema=None) as batch_op:
        batch_op.drop_index("ix_notifications_pid_channel_id_alert_id")
        batch_op.drop_index("ix_notifications_failed")
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.drop_index("ix_deliveries_failed")
        batch_op.drop_column("attempts_before")
