"""When people are left in peace: snoozes, maintenance windows, mutes and quiet hours; and reminders to come."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, UniqueConstraint, text

from heartfly.db.models.base import key, metadata, pid
from heartfly.db.types import Json, UtcInstant

silences = Table(
    "silences",
    metadata,
    pid(),
    key("id"),
    Column("uuid", Text, nullable=False),
    Column("kind", Text, nullable=False),  # snooze, maintenance, mute, quiet
    Column("effect", Text, nullable=False),  # hold, ignore
    Column("scope", Text, nullable=False),  # project, check, tag, channel
    Column("targets", Json, nullable=False),  # public ids of checks or channels, or tags
    Column("below", Text),  # it holds what is less severe; null: everything
    Column("note", Text, nullable=False),
    Column("from_at", UtcInstant, nullable=False),
    Column("to_at", UtcInstant),  # null: it comes again and again until somebody ends it
    Column("cron", Text),  # when it begins; null: once
    Column("zone", Text),
    Column("lasts_s", BigInteger),
    Column("made_by", Text, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("ended_by", Text),  # who ended it before its time
    UniqueConstraint("uuid"),
    Index(None, "pid", "to_at"),
    Index(
        "ix_silences_ignore",
        "pid",
        "to_at",
        sqlite_where=text("effect = 'ignore'"),
        postgresql_where=text("effect = 'ignore'"),
    ),
)

reminders = Table(
    "reminders",
    metadata,
    pid(),
    key("incident_id"),
    key("channel_id"),
    Column("n", Integer, nullable=False),  # how many were told
    Column("next_at", UtcInstant),  # null: no more; the row says how many were
    Index(None, "next_at"),
)
