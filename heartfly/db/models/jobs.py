"""Heartfly's own periodic work: which jobs there are, and every run of each. What runs when is decided in jobs/."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, UniqueConstraint, text

from heartfly.db.models.base import key, metadata, pid
from heartfly.db.types import Json, UtcInstant

jobs = Table(
    "jobs",
    metadata,
    pid(),
    key("id"),
    Column("uuid", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("expression", Text, nullable=False),  # its schedule, in the dialect `cron`
    Column("zone", Text, nullable=False),
    Column("next_at", UtcInstant),  # the slot that is taken next; null: it does not run by itself
    Column("off", Text),  # why it does not run at all, in words
    Column("check_id", BigInteger),  # null before its first run
    Column("created_at", UtcInstant, nullable=False),
    UniqueConstraint("uuid"),
    UniqueConstraint("pid", "kind"),
    Index("ix_jobs_next_at", "next_at"),
)

job_runs = Table(
    "job_runs",
    metadata,
    pid(),
    key("job_id"),
    Column("slot_at", UtcInstant, primary_key=True),
    Column("by_hand", Boolean, nullable=False),
    # Who runs it, until when he may without a word, and which holder that is: the epoch fences those before.
    Column("epoch", Integer, nullable=False),  # 0: it waits
    Column("node_id", BigInteger),
    Column("lease_until", UtcInstant),
    Column("started_at", UtcInstant),
    Column("ended_at", UtcInstant),
    Column("outcome", Text),  # ok, failed
    Column("figures", Json, nullable=False),
    Column("words", Text, nullable=False),  # why it failed
    # The pings to its check: each is written together with its ping.
    Column("start_pinged_at", UtcInstant),
    Column("end_pinged_at", UtcInstant),
    # What is to do: runs that have not ended, or whose check does not know of it.
    Index(
        "ix_job_runs_to_do",
        "slot_at",
        sqlite_where=text("end_pinged_at IS NULL"),
        postgresql_where=text("end_pinged_at IS NULL"),
    ),
)
