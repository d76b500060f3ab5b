"""Limits of calls: the rules, how much of each is used, what is reserved, and who was denied. Part of usage.

In the part where events are, so that a call that was only tracked is counted with the event that tells of it, once.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, UniqueConstraint, text

from heartfly.db.models.base import key, pid, usage_metadata
from heartfly.db.types import AmountText, Bytes, Json, UtcInstant

limits = Table(
    "limits",
    usage_metadata,
    pid(),
    key("id"),
    Column("uuid", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("rev", BigInteger, nullable=False),
    Column("source", Text, nullable=False),  # empty: people; else what made it, such as budget:…
    Column("scope", Json, nullable=False),
    Column("unit", Text, nullable=False),
    Column("kind", Text, nullable=False),  # rate, rolling, calendar, between
    Column("amount", AmountText, nullable=False),
    Column("period_us", BigInteger, nullable=False),  # of a rate and a rolling window; else 0
    Column("burst", AmountText, nullable=False),
    Column("span", Text, nullable=False),  # of the calendar; else empty
    Column("zone", Text, nullable=False),
    Column("from_at", UtcInstant),
    Column("to_at", UtcInstant),
    Column("always", Boolean, nullable=False),
    Column("opens", Boolean, nullable=False),
    Column("approaching", Integer, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    UniqueConstraint("pid", "uuid"),
    Index(None, "pid", "source"),
)

limit_books = Table(
    "limit_books",
    usage_metadata,
    pid(),
    Column("rev", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""A row a project that has limits: its number changes with each change of them, so that they are read once."""

limit_counters = Table(
    "limit_counters",
    usage_metadata,
    pid(),
    key("limit_id"),
    Column("scope", Text, primary_key=True),  # the values that are counted apart, as a JSON list
    Column("state", Text, nullable=False),
    Column("level", BigInteger, nullable=False),  # per mille of the limit, when it was written
    Column("ends_at", UtcInstant, nullable=False),  # nothing of it counts from then on
    Index(None, "pid", "limit_id", "level"),
    Index(None, "ends_at"),
    sqlite_with_rowid=False,
)

_HELD = text("state = 'held'")
_NAMED = text("key_hash IS NOT NULL")

limit_reservations = Table(
    "limit_reservations",
    usage_metadata,
    pid(),
    key("id"),
    Column("state", Text, nullable=False),  # held, committed, released, expired
    Column("key_hash", Text),  # of the caller's own key for it
    Column("asked", Bytes, nullable=False),  # a fingerprint of what was asked for
    Column("told", Bytes),  # a fingerprint of how it ended
    Column("expires_at", UtcInstant, nullable=False),
    Column("holds", Text, nullable=False),
    Index("ix_limit_reservations_held", "pid", "expires_at", sqlite_where=_HELD, postgresql_where=_HELD),
    Index("uq_limit_reservations_key", "pid", "key_hash", unique=True, sqlite_where=_NAMED, postgresql_where=_NAMED),
    sqlite_with_rowid=False,
)

limit_hours = Table(
    "limit_hours",
    usage_metadata,
    pid(),
    key("limit_id"),
    Column("hour", UtcInstant, primary_key=True),
    Column("checked", BigInteger, nullable=False),
    Column("denied", BigInteger, nullable=False),
    Column("opened", BigInteger, nullable=False),  # let through unseen, as nothing could be looked up
    Index(None, "hour"),
    sqlite_with_rowid=False,
)

limit_denials = Table(
    "limit_denials",
    usage_metadata,
    pid(),
    key("limit_id"),
    Column("minute", UtcInstant, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("n", BigInteger, nullable=False),
    Column("last_at", UtcInstant, nullable=False),
    Column("call", Json, nullable=False),  # the last of them
    Column("wanted", AmountText, nullable=False),
    Column("used", AmountText, nullable=False),
    Column("wait_us", BigInteger),  # null: it never has room for so much
    Index(None, "pid", "last_at"),
    Index(None, "minute"),
    sqlite_with_rowid=False,
)
"""A row for each minute, limit and value of what it counts apart: who was denied, however often."""

limit_told = Table(
    "limit_told",
    usage_metadata,
    pid(),
    Column("provider", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("at", UtcInstant, nullable=False),
    Column("told", Json, nullable=False),
    sqlite_with_rowid=False,
)
"""What providers said of their own limits, with the newest call that told it."""
