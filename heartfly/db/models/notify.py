"""The outbox: what people should know, for whom, how it is carried, and how each try went."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, UniqueConstraint, text

from heartfly.db.models.base import key, metadata, pid
from heartfly.db.types import Bytes, Json, UtcInstant

channels = Table(
    "channels",
    metadata,
    pid(),
    key("id"),
    Column("uuid", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("config_enc", Bytes, nullable=False),
    Column("events", Json, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    # Its trouble, null from a success on.
    Column("retrying_since", UtcInstant),  # the first try that failed
    Column("failing_since", UtcInstant),  # the first message that was given up
    Column("told_at", UtcInstant),  # when the project's other channels were told
    Column("last_error", Text),
    Column("rev", BigInteger, nullable=False),
    Column("policy", Json),  # for what it is there, and how often; null: for all that it hears, once
    UniqueConstraint("uuid"),
    UniqueConstraint("pid", "name"),
)

alerts = Table(
    "alerts",
    metadata,
    pid(),
    key("id"),
    Column("key", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("source", Text, nullable=False),  # what it is about, `check:<id>`: order is kept within a source
    Column("at", UtcInstant, nullable=False),
    Column("decided_at", UtcInstant, nullable=False),
    Column("payload", Json, nullable=False),
    UniqueConstraint("pid", "key"),
)

notifications = Table(
    "notifications",
    metadata,
    pid(),
    key("alert_id"),
    key("channel_id"),
    Column("source", Text, nullable=False),
    Column("state", Text, nullable=False),  # held, pending, merged, sent, failed, untold
    Column("delivery_id", Text),
    Column("created_at", UtcInstant, nullable=False),
    Column("done_at", UtcInstant),
    # Of what did not go out at once: why, by which silence, and when that is looked at again.
    Column("why", Text),
    Column("held_by", BigInteger),
    Column("held_until", UtcInstant),
    Index(
        "ix_notifications_held_until",
        "held_until",
        sqlite_where=text("state = 'held'"),
        postgresql_where=text("state = 'held'"),
    ),
    Index(
        "ix_notifications_held",
        "channel_id",
        "source",
        "alert_id",
        sqlite_where=text("state = 'held'"),
        postgresql_where=text("state = 'held'"),
    ),
    Index(
        "ix_notifications_pending",
        "channel_id",
        "source",
        "alert_id",
        sqlite_where=text("state = 'pending'"),
        postgresql_where=text("state = 'pending'"),
    ),
    # What waits to be packed, oldest first: with a long backlog a claim would otherwise read all of it.
    Index(
        "ix_notifications_unclaimed",
        "channel_id",
        "alert_id",
        sqlite_where=text("state = 'pending' AND delivery_id IS NULL"),
        postgresql_where=text("state = 'pending' AND delivery_id IS NULL"),
    ),
    Index(None, "delivery_id"),
    # Lists of one channel, and of what failed.
    Index(None, "pid", "channel_id", "alert_id"),
    Index(
        "ix_notifications_failed",
        "pid",
        "alert_id",
        "channel_id",
        sqlite_where=text("state = 'failed'"),
        postgresql_where=text("state = 'failed'"),
    ),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Text, primary_key=True),  # a UUID: webhook-id and Message-ID
    Column("pid", BigInteger, nullable=False),
    Column("channel_id", BigInteger, nullable=False),
    Column("state", Text, nullable=False),  # pending, sent, failed, merged
    Column("next_at", UtcInstant),
    Column("attempt", Integer, nullable=False),
    Column("attempts_before", Integer),  # of these, how many were before somebody had it sent again
    Column("lease_until", UtcInstant),
    Column("node_id", BigInteger),
    Column("possible_duplicate", Boolean, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("done_at", UtcInstant),
    Index(
        "ix_deliveries_pending",
        "channel_id",
        "next_at",
        sqlite_where=text("state = 'pending'"),
        postgresql_where=text("state = 'pending'"),
    ),
    Index(None, "pid", "channel_id", "created_at"),
    Index(
        "ix_deliveries_failed",
        "pid",
        "channel_id",
        "created_at",
        sqlite_where=text("state = 'failed'"),
        postgresql_where=text("state = 'failed'"),
    ),
)

attempts = Table(
    "attempts",
    metadata,
    Column("delivery_id", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("pid", BigInteger, nullable=False),
    Column("started_at", UtcInstant, nullable=False),
    Column("ended_at", UtcInstant),
    Column("code", Integer),
    Column("reply", Text),
    Column("error", Text),
    Column("retry_at", UtcInstant),
)
