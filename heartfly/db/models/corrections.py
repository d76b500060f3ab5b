"""Corrections of events: what counted before, and sets of events that come in together or not at all.

`events` holds what counts, and nothing else: whoever folds, asks or proves needs to know of no correction. What an
event was before it was voided, amended or replaced is kept here, as it was.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Table, Text, UniqueConstraint

from heartfly.db.models.base import key, pid, usage_metadata
from heartfly.db.types import Bytes, Json, TransactionId, UtcInstant

event_corrections = Table(
    "event_corrections",
    usage_metadata,
    pid(),
    key("event_id"),
    key("id"),  # grows with each correction of the project; all that a backfill makes have the same
    Column("kind", Text, nullable=False),  # void, amend or replace
    Column("made_at", UtcInstant, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("backfill_id", BigInteger),
    Column("undone_at", UtcInstant),
    Column("undone_by", Text),
    # What counted until then.
    Column("received_at", UtcInstant, nullable=False),
    Column("at", UtcInstant, nullable=False),
    Column("type_id", BigInteger, nullable=False),
    Column("subject_id", BigInteger, nullable=False),
    Column("transaction_id", TransactionId, nullable=False),
    Column("properties", Text, nullable=False),
    # What counted from then on, if it was amended.
    Column("new_at", UtcInstant),
    Column("new_type_id", BigInteger),
    Column("new_subject_id", BigInteger),
    Column("new_properties", Text),
    Index(None, "pid", "id", "event_id"),
    Index(None, "pid", "at"),
    Index(None, "pid", "subject_id"),
    Index(None, "pid", "new_subject_id"),
    sqlite_with_rowid=False,
)
"""Of one event they lie upon each other: only the newest that stands can be undone."""

backfills = Table(
    "backfills",
    usage_metadata,
    pid(),
    key("id"),
    Column("uuid", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("from_at", UtcInstant, nullable=False),
    Column("to_at", UtcInstant, nullable=False),
    Column("event_types", Json, nullable=False),  # empty: any
    Column("customers", Json, nullable=False),  # ids or names as they are sent; empty: any
    Column("replaces", Boolean, nullable=False),
    Column("state", Text, nullable=False),  # open, closed or reverted
    Column("run", BigInteger),  # the number of the corrections that closing it made
    Column("counts", Json, nullable=False),  # what closing it did
    Column("opened_at", UtcInstant, nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("closed_at", UtcInstant),
    Column("closed_by", Text),
    Column("reverted_at", UtcInstant),
    Column("reverted_by", Text),
    UniqueConstraint("pid", "uuid"),
)

backfill_events = Table(
    "backfill_events",
    usage_metadata,
    pid(),
    key("backfill_id"),
    key("id"),
    Column("id_hash", Bytes, nullable=False),
    Column("fingerprint", Bytes, nullable=False),
    Column("received_at", UtcInstant, nullable=False),
    Column("at", UtcInstant, nullable=False),
    Column("type_id", BigInteger, nullable=False),
    Column("subject_id", BigInteger, nullable=False),
    Column("transaction_id", TransactionId, nullable=False),
    Column("properties", Text, nullable=False),
    Column("outcome", Text),  # what became of it when the set was closed (usage/backfill_plan.py)
    Column("event_id", BigInteger),  # the number under which it counts since then, or another does
    UniqueConstraint("pid", "backfill_id", "id_hash"),
    Index(None, "pid", "at"),
    Index(None, "pid", "subject_id"),
    sqlite_with_rowid=False,
)
"""What was sent into a set. It counts nothing; what closing it lets count is written to `events` then."""
