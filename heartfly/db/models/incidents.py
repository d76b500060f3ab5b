"""Incidents: each down span of a check, or of what an alert rule or a budget tells of; what people said about it, and
links by which strangers may read it.

A flip names the incident that it belongs to.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, UniqueConstraint, text

from heartfly.db.models.base import key, metadata, pid
from heartfly.db.types import UtcInstant

incidents = Table(
    "incidents",
    metadata,
    pid(),
    key("id"),
    Column("uuid", Text, nullable=False),
    Column("source_kind", Text, nullable=False),  # what it is of: check, rule, budget; or a cause: host, upstream
    Column("source_id", BigInteger, nullable=False),  # what has one open at most; of a rule: its standing in a scope
    # Frozen as it opens, for the time when the check is gone.
    Column("source_uuid", Text, nullable=False),
    Column("source_name", Text, nullable=False),
    Column("explain", Text, nullable=False),
    Column("opened_at", UtcInstant, nullable=False),
    Column("closed_at", UtcInstant),
    Column("cause", Text, nullable=False),  # the reason of the flip that opened it
    Column("ended_by", Text),  # the reason of the flip that closed it, or `deleted`; null: not known
    Column("disproved", Boolean, nullable=False),
    Column("acked_at", UtcInstant),
    Column("acked_by", Text),
    Column("alert_key", Text),  # of what is no check: the alert that told of its beginning
    Column("part_of", BigInteger),  # the incident of the cause that explains it
    Column("joined_at", UtcInstant),  # since when it is known to be
    UniqueConstraint("uuid"),
    Index(
        "uq_incidents_open",
        "pid",
        "source_kind",
        "source_id",
        unique=True,
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
    # Lists of open ones, of which there are few, must not read past all that were.
    Index(
        "ix_incidents_open",
        "pid",
        "opened_at",
        "id",
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
    Index(None, "pid", "opened_at", "id"),
    Index(
        "uq_incidents_alert_key",
        "pid",
        "alert_key",
        unique=True,
        sqlite_where=text("alert_key IS NOT NULL"),
        postgresql_where=text("alert_key IS NOT NULL"),
    ),
    Index(None, "pid", "source_kind", "source_id", "opened_at"),
    Index(
        "ix_incidents_part_of",
        "pid",
        "part_of",
        sqlite_where=text("part_of IS NOT NULL"),
        postgresql_where=text("part_of IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

incident_notes = Table(
    "incident_notes",
    metadata,
    pid(),
    key("incident_id"),
    key("id"),
    Column("at", UtcInstant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("text", Text, nullable=False),
)

incident_shares = Table(
    "incident_shares",
    metadata,
    pid(),
    key("incident_id"),
    key("id"),
    Column("token_hash", Text, nullable=False),
    Column("with_comments", Boolean, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("expires_at", UtcInstant, nullable=False),
    UniqueConstraint("token_hash"),
)

# What a people's channel knows of a cause: from the first of its members that it was told of, until it is over.
cause_tellings = Table(
    "cause_tellings",
    metadata,
    pid(),
    key("incident_id"),
    key("channel_id"),
    Column("since", UtcInstant, nullable=False),
    Column("n_left", Integer, nullable=False),  # members that are told as one with the others
    Column("n_new", Integer, nullable=False, server_default="0"),  # those of them that no message has told of yet
    Column("n_told", Integer, nullable=False, server_default="0"),  # messages that told of it as a whole
    Column("due_at", UtcInstant),  # when the next is to be told
    Column("told_at", UtcInstant),  # when one told who is down
    Column("back_at", UtcInstant),  # when one told that some are up again, if nothing else was told since
    Index(None, "due_at"),
)
