"""Tables of the installation itself: who runs, who leads, when we were deaf, which address is whose."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text

from heartfly.db.models.base import key, metadata
from heartfly.db.types import Json, UtcInstant

instance = Table(
    "instance",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("uuid", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),  # each restore begins a new one
    # Of the last restore, null if there was none.
    Column("restored_at", UtcInstant),
    Column("backup_at", UtcInstant),  # up to when the backup knows
    Column("repeats_through", BigInteger),  # alerts up to this id may have been told after the backup was taken
)

nodes = Table(
    "nodes",
    metadata,
    key("id"),
    Column("started_at", UtcInstant, nullable=False),
    Column("left_at", UtcInstant),
    Column("beat_at", UtcInstant, nullable=False),
    Column("heard_through", UtcInstant, nullable=False),
    # What other nodes may judge: up to then all was heard but for the checks in `held`. Absent: as heard_through.
    Column("heard_apart", UtcInstant),
    Column("held", Json),
    Column("fenced_at", UtcInstant),
    Column("roles", Json, nullable=False),
    Column("version", Text, nullable=False),
    # What lies in its spool, as of its last beat; null: nothing.
    Column("spooled", BigInteger),
    Column("spooled_from", UtcInstant),
)

node_batches = Table(
    "node_batches",
    metadata,
    key("node_id"),
    key("lane"),
    # Written by each batch in its own transaction: after a lost connection it tells whether the commit came through.
    Column("last_batch", BigInteger, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("node_id", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("expires_at", UtcInstant, nullable=False),
)

blind_intervals = Table(
    "blind_intervals",
    metadata,
    key("id"),
    Column("node_id", BigInteger, nullable=False),
    Column("from_at", UtcInstant, nullable=False),
    Column("to_at", UtcInstant, nullable=False),
    Column("cause", Text, nullable=False),
    Index(None, "to_at"),
)

ping_minutes = Table(
    "ping_minutes",
    metadata,
    Column("at", UtcInstant, primary_key=True),
    key("node_id"),
    Column("parts", Json, nullable=False),  # how many pings it took, in each ten seconds of the minute
    Column("reachable", Boolean),  # whether its own public address answered, where it asked while all was well
)

addresses = Table(
    "addresses",
    metadata,
    # The one lookup without a project: the secret of the ping URL finds its check.
    Column("key", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("check_id", BigInteger, nullable=False),
    Column("until", UtcInstant),
    Index(None, "pid", "check_id"),
)
