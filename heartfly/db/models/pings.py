"""Every signal received, and the start of what it said. The newest of each check are kept."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from heartfly.db.models.base import key, metadata, pid
from heartfly.db.types import Bytes, UtcInstant

pings = Table(
    "pings",
    metadata,
    pid(),
    key("check_id"),
    key("n"),
    Column("received_at", UtcInstant, nullable=False),
    Column("client_at", UtcInstant),
    Column("node_id", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("exit_status", Integer),
    Column("rid", Text),
    Column("run_id", BigInteger),
    Column("method", Text, nullable=False),
    Column("scheme", Text, nullable=False),
    Column("remote", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("body_size", BigInteger, nullable=False),  # as sent; what is kept may be shorter
    sqlite_with_rowid=False,
)

ping_bodies = Table(
    "ping_bodies",
    metadata,
    pid(),
    key("check_id"),
    key("n"),
    Column("body", Bytes, nullable=False),
)
