"""What requests come to (core/traffic.py), the slowest of them, and a project's rules for paths.

Rows of a window count if `windows` has their generation, as those of meters do (rollups.py); a minute's generation is
its hour's. Endpoints and customers are numbers of `usage_names`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, text

from heartfly.db.models.base import key, pid, usage_metadata
from heartfly.db.types import Bytes, UtcInstant

_PAIRS = text("cube = 3")

request_rollups = Table(
    "request_rollups",
    usage_metadata,
    pid(),
    Column("cube", Integer, primary_key=True, autoincrement=False),  # core.traffic.Cube
    Column("tier", Text, primary_key=True),  # minute (of all together only), hour, day
    Column("start_at", UtcInstant, primary_key=True),
    Column("gen", BigInteger, primary_key=True, autoincrement=False),
    Column("key1", BigInteger, primary_key=True, autoincrement=False),  # 0; endpoint; customer; customer
    Column("key2", BigInteger, primary_key=True, autoincrement=False),  # of a pair: endpoint; else 0
    Column("status", Integer, primary_key=True, autoincrement=False),  # exact; 0: unknown
    Column("n", BigInteger, nullable=False),
    Column("n_timed", BigInteger, nullable=False),  # those that told how long they took
    Column("latency_us", BigInteger, nullable=False),
    Column("latency_max_us", BigInteger, nullable=False),
    Column("bytes_in", BigInteger, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    Column("latencies", Bytes),  # core/packed.py; null: none told its time
    Index(
        "ix_request_rollups_pairs",
        *("pid", "cube", "tier", "start_at", "gen", "key2"),
        sqlite_where=_PAIRS,
        postgresql_where=_PAIRS,
    ),
    sqlite_with_rowid=False,
)

request_sheets = Table(
    "request_sheets",
    usage_metadata,
    pid(),
    Column("cube", Integer, primary_key=True, autoincrement=False),  # any but pairs
    Column("tier", Text, primary_key=True),  # hour, day
    Column("start_at", UtcInstant, primary_key=True),
    Column("gen", BigInteger, primary_key=True, autoincrement=False),
    Column("sums", Bytes, nullable=False),
    Column("statuses", Bytes, nullable=False),
    Column("times", Bytes, nullable=False),
    sqlite_with_rowid=False,
)
"""The rows of a cube once more, in one piece (core/sheets.py): many of them are not read one by one. What was folded
before there were any has none, and neither has what is more than a sheet holds: then the rows are read.
"""

slow_requests = Table(
    "slow_requests",
    usage_metadata,
    pid(),
    Column("start_at", UtcInstant, primary_key=True),  # of an hour
    Column("gen", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcInstant, nullable=False),
    Column("latency_us", BigInteger, nullable=False),
    Column("endpoint_id", BigInteger, nullable=False),
    Column("subject_id", BigInteger, nullable=False),
    Column("status", Integer, nullable=False),
    Column("path", Text, nullable=False),  # as it was asked for, or empty
    Column("request_id", Text, nullable=False),
    Index(None, "subject_id", "pid"),
    Index("ix_slow_requests_slowest", "pid", "start_at", "gen", "latency_us"),
    sqlite_with_rowid=False,
)
"""Of each hour the slowest of all, and the slowest of each endpoint."""

path_rules = Table(
    "path_rules",
    usage_metadata,
    pid(),
    key("id"),
    Column("version", Text, nullable=False),  # core.paths.Rules.version
    Column("lines", Text, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
)
"""The newest of a project holds. Never changed: what an event says of its rules can be looked up."""
