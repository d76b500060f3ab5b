"""People are left in peace, reminded, and told in turns"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_HELD = sa.text("state = 'held'")
_IGNORE = sa.text("effect = 'ignore'")


def upgrade() -> None:
    op.create_table(
        "silences",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("targets", types.Json(), nullable=False),
        sa.Column("below", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("from_at", types.UtcInstant(), nullable=False),
        sa.Column("to_at", types.UtcInstant(), nullable=True),
        sa.Column("cron", sa.Text(), nullable=True),
        sa.Column("zone", sa.Text(), nullable=True),
        sa.Column("lasts_s", sa.BigInteger(), nullable=True),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_silences")),
        sa.UniqueConstraint("uuid", name=op.f("uq_silences_uuid")),
    )
    op.create_index(op.f("ix_silences_pid_to_at"), "silences", ["pid", "to_at"], unique=False)
    op.create_index(
        "ix_silences_ignore", "silences", ["pid", "to_at"], unique=False,
        sqlite_where=_IGNORE, postgresql_where=_IGNORE,
    )  # fmt: skip
    op.create_table(
        "reminders",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("incident_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("channel_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("next_at", types.UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "incident_id", "channel_id", name=op.f("pk_reminders")),
    )
    op.create_index(op.f("ix_reminders_next_at"), "reminders", ["next_at"], unique=False)
    op.add_column("channels", sa.Column("policy", types.Json(), nullable=True))
    op.add_column("checks", sa.Column("wants_success", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("notifications", sa.Column("why", sa.Text(), nullable=True))
    op.add_column("notifications", sa.Column("held_by", sa.BigInteger(), nullable=True))
    op.add_column("notifications", sa.Column("held_until", types.UtcInstant(), nullable=True))
    op.create_index(
        "ix_notifications_held_until", "notifications", ["held_until"], unique=False,
        sqlite_where=_HELD, postgresql_where=_HELD,
    )  # fmt: skip
    op.create_index(
        "ix_notifications_held", "notifications", ["channel_id", "source", "alert_id"], unique=False,
        sqlite_where=_HELD, postgresql_where=_HELD,
    )  # fmt: skip


def downgrade() -> None:
    op.drop_index("ix_notifications_held", table_name="notifications", sqlite_where=_HELD, postgresql_where=_HELD)
    op.drop_index("ix_notifications_held_until", table_name="notifications", sqlite_where=_HELD, postgresql_where=_HELD)
    op.execute("UPDATE notifications SET state = 'failed' WHERE state IN ('held', 'untold')")
    for column in ("held_until", "held_by", "why"):
        op.drop_column("notifications", column)
    op.drop_column("checks", "wants_success")
    op.drop_column("channels", "policy")
    op.drop_index(op.f("ix_reminders_next_at"), table_name="reminders")
    op.drop_table("reminders")
    op.drop_index("ix_silences_ignore", table_name="silences", sqlite_where=_IGNORE, postgresql_where=_IGNORE)
    op.drop_index(op.f("ix_silences_pid_to_at"), table_name="silences")
    op.drop_table("silences")
