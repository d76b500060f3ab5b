"""Usage: events as they came, what came wrong, and whose they are. In a part of their own (db/parts.py).

`events` is what counts; what an event was before it was corrected is kept beside (corrections.py). What they add up to
is worked out from them.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, UniqueConstraint, text

from heartfly.db.models.base import WALK, key, pid, usage_metadata
from heartfly.db.types import Bytes, Json, TransactionId, UtcInstant

_ENDPOINTS = text("kind = 'endpoint'")

usage_names = Table(
    "usage_names",
    usage_metadata,
    pid(),
    key("id"),
    Column("kind", Text, nullable=False),  # type, subject or endpoint
    Column("text", Text, nullable=False),
    UniqueConstraint("pid", "text", "kind"),
    Index(None, "id"),
    Index("ix_usage_names_endpoints", "pid", "text", sqlite_where=_ENDPOINTS, postgresql_where=_ENDPOINTS),
)
"""What comes again with each event, once: a type, a customer as the sender calls it, and an endpoint of requests."""

event_ids = Table(
    "event_ids",
    usage_metadata,
    pid(),
    Column("id_hash", Bytes, primary_key=True),  # of the transaction id: usage/ready.py
    Column("event_id", BigInteger, nullable=False),
    Column("fingerprint", Bytes, nullable=False),  # 6 bytes of the content
    sqlite_with_rowid=False,
)
"""The one place where an event is told from a repeat: apart, so that a partition of events can go."""

events = Table(
    "events",
    usage_metadata,
    pid(),
    # On SQLite the row's own number (alembic/usage/0006): what is appended fills its pages, and no index repeats `pid`.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("received_at", UtcInstant, nullable=False),
    Column("at", UtcInstant, nullable=False),
    Column("type_id", BigInteger, nullable=False),
    Column("subject_id", BigInteger, nullable=False),
    Column("transaction_id", TransactionId, nullable=False),
    Column("properties", Text, nullable=False),
    Index(None, "pid", "at"),
    Index(None, "subject_id", "at"),
    info={WALK: ("pid", "at", "id")},
)

event_conflicts = Table(
    "event_conflicts",
    usage_metadata,
    pid(),
    key("id"),
    Column("event_id", BigInteger, nullable=False),  # the first of that id, which counts
    Column("received_at", UtcInstant, nullable=False),
    Column("at", UtcInstant, nullable=False),
    Column("type", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("transaction_id", Text, nullable=False),
    Column("properties", Text, nullable=False),
    Index(None, "pid", "event_id"),
)
"""Another content under an id that is taken."""

dead_letters = Table(
    "dead_letters",
    usage_metadata,
    pid(),
    key("id"),
    Column("received_at", UtcInstant, nullable=False),
    Column("wire", Text, nullable=False),  # which of the formats it came in
    Column("raw", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),  # open, replayed or dropped
    Index(None, "pid", "state", "id"),
)

usage_sources = Table(
    "usage_sources",
    usage_metadata,
    pid(),
    Column("name", Text, primary_key=True),
    Column("first_at", UtcInstant, nullable=False),  # when it was first heard
    Column("seen_at", UtcInstant, nullable=False),  # when it was last heard
    Column("newest_at", UtcInstant, nullable=False),  # of its events: the watermark
    Column("live_at", UtcInstant),  # when it last told what had just happened
    Column("retired_at", UtcInstant),  # no day waits for it
    Column("retired_by", Text),
    sqlite_with_rowid=False,
)
"""Who sends events, and how far each has come (core/watermarks.py)."""

source_hours = Table(
    "source_hours",
    usage_metadata,
    pid(),
    Column("name", Text, primary_key=True),
    Column("hour", UtcInstant, primary_key=True),  # of UTC, in which it was heard
    Column("turns", BigInteger, nullable=False),  # how often it sent something
    Column("n", BigInteger, nullable=False),  # how many events
    sqlite_with_rowid=False,
)
"""What is usual for a source, by which its silence is judged (core/data_silence.py)."""

dirty_hours = Table(
    "dirty_hours",
    usage_metadata,
    pid(),
    Column("hour", UtcInstant, primary_key=True),
    Column("seq", BigInteger, nullable=False),  # the newest event that fell into it
    sqlite_with_rowid=False,
)
"""Hours, of UTC, whose rollups do not know all their events yet."""

customers = Table(
    "customers",
    usage_metadata,
    pid(),
    key("id"),
    Column("uuid", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("rev", BigInteger, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("archived_at", UtcInstant),
    UniqueConstraint("pid", "uuid"),
)

aliases = Table(
    "aliases",
    usage_metadata,
    pid(),
    Column("text", Text, primary_key=True),
    Column("customer_id", BigInteger, nullable=False),
    Index(None, "pid", "customer_id"),
)
"""What senders call a customer. Asked when somebody reads: an alias that moves takes its usage along."""

usage_audit = Table(
    "usage_audit",
    usage_metadata,
    pid(),
    key("id"),
    Column("at", UtcInstant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("before", Json),
    Column("after", Json),
    Column("ip", Text),
)
"""Entries of the audit, written with the changes of usage, on their way to the part where the audit is."""
