"""What each cumulative series was last seen at, so that only what was added since counts."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table

from heartfly.db.models.base import pid, usage_metadata
from heartfly.db.types import Bytes, Json, UtcInstant

metric_series = Table(
    "metric_series",
    usage_metadata,
    pid(),
    Column("series", Bytes, primary_key=True),  # 16 bytes that stand for program, metric, attributes and start
    Column("at_ns", BigInteger, nullable=False),  # of the epoch: the end of what was read last
    Column("seen_at", UtcInstant, nullable=False),
    Column("reading", Json, nullable=False),  # core/series.py
    Index(None, "pid", "seen_at"),
    sqlite_with_rowid=False,
)
"""A row that nobody has written for long is removed; its series is then older than any that may begin to count."""
