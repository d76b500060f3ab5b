"""Events are searched by customer and type; changes of usage are audited"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_events_pid_subject_id_at"), "events", ["pid", "subject_id", "at"])
    op.create_index(op.f("ix_events_pid_type_id_at"), "events", ["pid", "type_id", "at"])
    op.create_index(op.f("ix_event_conflicts_pid_event_id"), "event_conflicts", ["pid", "event_id"])
    op.create_table(
        "usage_audit",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", types.UtcInstant(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("before", types.Json(), nullable=True),
        sa.Column("after", types.Json(), nullable=True),
        sa.Column("ip", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_usage_audit")),
    )
