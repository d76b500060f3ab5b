"""Events are voided, amended, and come in by sets that can be reverted"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "event_corrections",
        _number("pid"),
        _number("event_id"),
        _number("id"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("made_at", types.UtcInstant(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("backfill_id", sa.BigInteger(), nullable=True),
        sa.Column("undone_at", types.UtcInstant(), nullable=True),
        sa.Column("undone_by", sa.Text(), nullable=True),
        *_content(),
        sa.Column("new_at", types.UtcInstant(), nullable=True),
        sa.Column("new_type_id", sa.BigInteger(), nullable=True),
        sa.Column("new_subject_id", sa.BigInteger(), nullable=True),
        sa.Column("new_properties", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "event_id", "id", name=op.f("pk_event_corrections")),
        sqlite_with_rowid=False,
    )
    for columns in (["pid", "id", "event_id"], ["pid", "at"], ["pid", "subject_id"], ["pid", "new_subject_id"]):
        op.create_index(op.f("ix_event_corrections_" + "_".join(columns)), "event_corrections", columns)
    op.create_table(
        "backfills",
        _number("pid"),
        _number("id"),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("from_at", types.UtcInstant(), nullable=False),
        sa.Column("to_at", types.UtcInstant(), nullable=False),
        sa.Column("event_types", types.Json(), nullable=False),
        sa.Column("customers", types.Json(), nullable=False),
        sa.Column("replaces", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("run", sa.BigInteger(), nullable=True),
        sa.Column("counts", types.Json(), nullable=False),
        sa.Column("opened_at", types.UtcInstant(), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("closed_at", types.UtcInstant(), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("reverted_at", types.UtcInstant(), nullable=True),
        sa.Column("reverted_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_backfills")),
        sa.UniqueConstraint("pid", "uuid", name=op.f("uq_backfills_pid_uuid")),
    )
    op.create_table(
        "backfill_events",
        _number("pid"),
        _number("backfill_id"),
        _number("id"),
        sa.Column("id_hash", types.Bytes(), nullable=False),
        sa.Column("fingerprint", types.Bytes(), nullable=False),
        *_content(),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "backfill_id", "id", name=op.f("pk_backfill_events")),
        sa.UniqueConstraint("pid", "backfill_id", "id_hash", name=op.f("uq_backfill_events_pid_backfill_id_id_hash")),
        sqlite_with_rowid=False,
    )
    for columns in (["pid", "at"], ["pid", "subject_id"]):
        op.create_index(op.f("ix_backfill_events_" + "_".join(columns)), "backfill_events", columns)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def _content() -> list[sa.Column[object]]:
    """Of an event."""
    return [
        sa.Column("received_at", types.UtcInstant(), nullable=False),
        sa.Column("at", types.UtcInstant(), nullable=False),
        sa.Column("type_id", sa.BigInteger(), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("transaction_id", sa.Text(), nullable=False),
        sa.Column("properties", sa.Text(), nullable=False),
    ]
