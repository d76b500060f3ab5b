"""Events take less room: no index repeats what another one knows, and a UUID is 16 bytes on SQLite

SQLite writes the table anew, which needs room for a second one while it lasts.
"""

from __future__ import annotations

import sqlite3

import sqlalchemy as sa
from alembic import op

from heartfly.db.types import packed

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_COLUMNS = "pid, id, received_at, at, type_id, subject_id, {}, properties"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for columns in ("pid_subject_id_at", "pid_type_id_at"):
            op.drop_index(op.f(f"ix_events_{columns}"), "events")
    else:
        _write_anew(op.get_bind())
        op.create_index(op.f("ix_events_pid_at"), "events", ["pid", "at"])
    op.create_index(op.f("ix_events_subject_id_at"), "events", ["subject_id", "at"])
    op.create_index(op.f("ix_usage_names_id"), "usage_names", ["id"])


def _write_anew(connection: sa.Connection) -> None:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.create_function("packed", 1, packed, deterministic=True)
    op.create_table(
        "events_anew",
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("type_id", sa.BigInteger(), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("transaction_id", sa.Text(), nullable=False),
        sa.Column("properties", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    into, of = _COLUMNS.format("transaction_id"), _COLUMNS.format("packed(transaction_id)")
    # In the order of the old key: for any other whole rows are sorted first.
    op.execute(f"INSERT INTO events_anew ({into}) SELECT {of} FROM events ORDER BY pid, id")  # noqa: S608 - our own columns
    op.drop_table("events")
    op.rename_table("events_anew", "events")
    for table in ("event_corrections", "backfill_events"):
        op.execute(f"UPDATE {table} SET transaction_id = packed(transaction_id) WHERE length(transaction_id) = 36")  # noqa: S608 - one of two
