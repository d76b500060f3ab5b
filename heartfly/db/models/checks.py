"""Checks, their runs and flips. Columns that decide are set by core/check.py alone."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, UniqueConstraint, false, text

from heartfly.db.models.base import key, metadata, pid
from heartfly.db.types import ExactDecimal, Json, UtcInstant

checks = Table(
    "checks",
    metadata,
    pid(),
    key("id"),
    Column("uuid", Text, nullable=False),
    Column("ping_uuid", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("slug", Text, nullable=False),
    Column("slug_key", Text),  # null only for duplicates made through a foreign API
    Column("tags", Json, nullable=False),
    Column("description", Text, nullable=False),
    # rules
    Column("kind", Text, nullable=False),
    Column("expression", Text, nullable=False),
    Column("period_s", BigInteger, nullable=False),
    Column("zone", Text, nullable=False),
    Column("dialect", Text, nullable=False),
    Column("grace_s", BigInteger, nullable=False),
    Column("max_run_s", BigInteger),
    Column("methods", Text, nullable=False),
    Column("filters", Text, nullable=False),  # JSON, "" when there is none: parsed once, see checks/rows.py
    Column("gates", Text, nullable=False),  # the same
    Column("tolerance", Text, nullable=False, server_default=""),  # the same
    Column("bounds", Text, nullable=False, server_default=""),  # the same
    Column("slo", Text, nullable=False, server_default=""),  # the same; decides nothing about alarms
    Column("sticky", Boolean, nullable=False),
    # what silence means while we could not hear; see core/check.py
    Column("unverified_is_down", Boolean, nullable=False, server_default=false()),
    Column("wants_late", Boolean, nullable=False),
    Column(
        "wants_success", Boolean, nullable=False, server_default=false()
    ),  # somebody hears of each run that goes well
    # facts: what may be the cause when it is down, see core/causes.py
    Column("host", Text, nullable=False, server_default=""),  # on which it runs, as somebody set it
    Column("heard_host", Text, nullable=False, server_default=""),  # the same, as its pings say; counts if none is set
    Column("linked", Boolean, nullable=False, server_default=false()),  # it needs others, or others need it
    Column("job", Text),  # the kind of the job of ours that pings it; null: somebody else's
    # life
    Column("status", Text, nullable=False),
    Column("status_since", UtcInstant, nullable=False),
    Column("status_reason", Text),
    Column("rev", BigInteger, nullable=False),
    Column("flip_no", BigInteger, nullable=False),
    Column("n_pings", BigInteger, nullable=False),
    Column("n_open_runs", Integer, nullable=False),
    Column("last_ping_at", UtcInstant),
    Column("last_kind", Text),
    Column("last_duration_us", BigInteger),
    Column("last_end_at", UtcInstant),
    Column("last_end_node", BigInteger, nullable=False),
    Column("last_end_seq", BigInteger, nullable=False),
    Column("last_end_kind", Text),
    Column("anchor_at", UtcInstant),
    Column("expected_at", UtcInstant),
    Column("goes_down_at", UtcInstant),
    Column("wake_at", UtcInstant),
    Column("late_told_at", UtcInstant),
    Column("unverified_in_row", Integer, nullable=False),
    Column("schedule_error_at", UtcInstant),
    Column("schedule_error", Text),
    Column("body_bytes", BigInteger, nullable=False, server_default=text("0")),  # of what its pings said, as it is kept
    Column("memory", Text, nullable=False, server_default=""),  # for its tolerance and bounds; JSON, "" when empty
    Column("created_at", UtcInstant, nullable=False),
    Column("updated_at", UtcInstant, nullable=False),
    Column("old_ping_until", UtcInstant),  # until when the address before the last rotation works
    Column("filters_as_sent", Json),  # through a foreign API, which keeps more of them than we use; null: none came
    Column("client_fields", Text),  # JSON: what clients of its job have set, see checks/owned.py; null: none have
    UniqueConstraint("uuid"),
    UniqueConstraint("pid", "slug_key"),
    Index(
        "ix_checks_wake_at",
        "wake_at",
        sqlite_where=text("wake_at IS NOT NULL"),
        postgresql_where=text("wake_at IS NOT NULL"),
    ),
    Index(None, "pid", "status"),
    Index(None, "pid", "slug"),
    Index("ix_checks_host", "pid", "host", sqlite_where=text("host <> ''"), postgresql_where=text("host <> ''")),
    Index(
        "ix_checks_heard_host",
        "pid",
        "heard_host",
        sqlite_where=text("heard_host <> ''"),
        postgresql_where=text("heard_host <> ''"),
    ),
    sqlite_with_rowid=False,
)

check_needs = Table(
    "check_needs",
    metadata,
    pid(),
    key("check_id"),
    key("needed_id"),  # the check without whose success it cannot go well
    Index(None, "pid", "needed_id"),
    sqlite_with_rowid=False,  # or SQLite would rather walk all of the project's than look a row up by that index
)

check_versions = Table(
    "check_versions",
    metadata,
    pid(),
    key("check_id"),
    Column("from_at", UtcInstant, primary_key=True),
    Column("config", Json, nullable=False),
    Column("actor", Text, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    pid(),
    key("check_id"),
    key("id"),
    Column("rid", Text),
    Column("started_at", UtcInstant),
    Column("ended_at", UtcInstant),
    Column("slot_at", UtcInstant),
    Column("at", UtcInstant, nullable=False),  # started, ended or slot: the order in which runs are listed
    Column("outcome", Text),
    Column("exit_status", Integer),
    Column("duration_us", BigInteger),
    Column("ping_n", BigInteger),
    Column("covers_from", UtcInstant),  # what it processed, if it said so and went well: both or neither
    Column("covers_to", UtcInstant),
    Column("progress_at", UtcInstant),
    Column("reason", Text),  # why it counts as it does, where it did not simply go well
    Column("tolerated", Text),  # how near to an alarm it was; null: nothing was tolerated
    Index(
        "uq_runs_open_rid",
        "pid",
        "check_id",
        "rid",
        unique=True,
        sqlite_where=text("outcome IS NULL AND rid IS NOT NULL"),
        postgresql_where=text("outcome IS NULL AND rid IS NOT NULL"),
    ),
    Index(
        "uq_runs_open_anonymous",
        "pid",
        "check_id",
        unique=True,
        sqlite_where=text("outcome IS NULL AND rid IS NULL"),
        postgresql_where=text("outcome IS NULL AND rid IS NULL"),
    ),
    Index(
        "ix_runs_open",
        "pid",
        "check_id",
        sqlite_where=text("outcome IS NULL"),
        postgresql_where=text("outcome IS NULL"),
    ),
    Index(None, "pid", "check_id", "at"),
    Index(
        "ix_runs_rid",
        "pid",
        "check_id",
        "rid",
        "ended_at",
        sqlite_where=text("rid IS NOT NULL"),
        postgresql_where=text("rid IS NOT NULL"),
    ),
    Index(
        "ix_runs_covers",
        "pid",
        "check_id",
        "covers_to",
        sqlite_where=text("covers_to IS NOT NULL"),
        postgresql_where=text("covers_to IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

check_days = Table(
    "check_days",
    metadata,
    pid(),
    key("check_id"),
    Column("day", Text, primary_key=True),  # a date such as 2026-03-02, in the project's zone
    Column("from_at", UtcInstant, nullable=False),
    Column("to_at", UtcInstant, nullable=False),
    Column("up_s", Integer, nullable=False),
    Column("down_s", Integer, nullable=False),
    Column("blind_s", Integer, nullable=False),
    Column("n_ok", Integer, nullable=False),
    Column("n_failed", Integer, nullable=False),
    Column("n_missed", Integer, nullable=False),
    Column("n_unverified", Integer, nullable=False),
    Column("flip_no", BigInteger, nullable=False),  # the newest flip that was known as it was computed
    sqlite_with_rowid=False,
)

run_metrics = Table(
    "run_metrics",
    metadata,
    pid(),
    key("check_id"),
    Column("name", Text, primary_key=True),
    key("run_id"),
    Column("at", UtcInstant, nullable=False),
    Column("value", ExactDecimal, nullable=False),
    Index(None, "pid", "check_id", "run_id"),
)

flips = Table(
    "flips",
    metadata,
    pid(),
    key("check_id"),
    key("flip_no"),
    Column("at", UtcInstant, nullable=False),
    Column("decided_at", UtcInstant, nullable=False),
    Column("from_status", Text, nullable=False),
    Column("to_status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("run_id", BigInteger),
    Column("retracts_flip_no", BigInteger),
    Column("incident_id", BigInteger),  # which it opened or closed
    Index(None, "pid", "at"),
    Index(
        "ix_flips_incident",
        "pid",
        "incident_id",
        sqlite_where=text("incident_id IS NOT NULL"),
        postgresql_where=text("incident_id IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

check_channels = Table(
    "check_channels",
    metadata,
    pid(),
    key("check_id"),
    key("channel_id"),
    Column("events", Json),  # null: the channel's own choice
    Index(None, "pid", "channel_id"),
)

check_views = Table(
    "check_views",
    metadata,
    pid(),
    key("id"),
    Column("uuid", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("query", Text, nullable=False),  # what the list's address ends in
    Column("created_at", UtcInstant, nullable=False),
    UniqueConstraint("uuid"),
    UniqueConstraint("pid", "name"),
)
