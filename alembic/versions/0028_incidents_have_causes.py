"""Checks know their host and what they need, and incidents their cause"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0028"
down_revision = "0026"
branch_labels = None
depends_on = None

_HAS_HOST = sa.text("host <> ''")
_HEARD_HOST = sa.text("heard_host <> ''")
_IN_A_CAUSE = sa.text("part_of IS NOT NULL")


def upgrade() -> None:
    op.add_column("checks", sa.Column("host", sa.Text(), nullable=False, server_default=""))
    op.add_column("checks", sa.Column("heard_host", sa.Text(), nullable=False, server_default=""))
    op.add_column("checks", sa.Column("linked", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(
        "ix_checks_host", "checks", ["pid", "host"], unique=False,
        sqlite_where=_HAS_HOST, postgresql_where=_HAS_HOST,
    )  # fmt: skip
    op.create_index(
        "ix_checks_heard_host", "checks", ["pid", "heard_host"], unique=False,
        sqlite_where=_HEARD_HOST, postgresql_where=_HEARD_HOST,
    )  # fmt: skip
    op.create_table(
        "check_needs",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("check_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("needed_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("pid", "check_id", "needed_id", name=op.f("pk_check_needs")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_check_needs_pid_needed_id"), "check_needs", ["pid", "needed_id"], unique=False)
    op.add_column("incidents", sa.Column("part_of", sa.BigInteger(), nullable=True))
    op.add_column("incidents", sa.Column("joined_at", types.UtcInstant(), nullable=True))
    op.create_index(
        "ix_incidents_part_of", "incidents", ["pid", "part_of"], unique=False,
        sqlite_where=_IN_A_CAUSE, postgresql_where=_IN_A_CAUSE,
    )  # fmt: skip
    op.create_table(
        "cause_tellings",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("incident_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("channel_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("since", types.UtcInstant(), nullable=False),
        sa.Column("n_left", sa.Integer(), nullable=False),
        sa.Column("due_at", types.UtcInstant(), nullable=True),
        sa.Column("told_at", types.UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "incident_id", "channel_id", name=op.f("pk_cause_tellings")),
    )
    op.create_index(op.f("ix_cause_tellings_due_at"), "cause_tellings", ["due_at"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_cause_tellings_due_at"), table_name="cause_tellings")
    op.drop_table("cause_tellings")
    op.drop_index(
        "ix_incidents_part_of", table_name="incidents", sqlite_where=_IN_A_CAUSE, postgresql_where=_IN_A_CAUSE
    )
    op.execute("DELETE FROM incidents WHERE source_kind IN ('host', 'upstream')")
    op.drop_column("incidents", "joined_at")
    op.drop_column("incidents", "part_of")
    op.drop_index(op.f("ix_check_needs_pid_needed_id"), table_name="check_needs")
    op.drop_table("check_needs")
    op.drop_index("ix_checks_heard_host", table_name="checks", sqlite_where=_HEARD_HOST, postgresql_where=_HEARD_HOST)
    op.drop_index("ix_checks_host", table_name="checks", sqlite_where=_HAS_HOST, postgresql_where=_HAS_HOST)
    for column in ("linked", "heard_host", "host"):
        op.drop_column("checks", column)
