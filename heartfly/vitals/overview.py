"""What the database tells of the whole installation: itself, who serves it, when nobody heard, what waits to be told.

For the one page that shows it. Each question is cheap however much the database holds; a queue is counted up to a
thousand and no further.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.changes import Tx
from heartfly.db.instance import ALIVE, QUERY, Identity, identity
from heartfly.db.models import blind_intervals, leases, nodes
from heartfly.monitor.leader import NAME
from heartfly.notify.age import Undelivered, undelivered

MOST_WAITING = 1_000
MOST_BLIND = 10
_POSTGRES = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_level", "max_connections")
_SQLITE = ("journal_mode", "synchronous", "page_size", "auto_vacuum", "wal_autocheckpoint")
_WORDS = {"synchronous": ("OFF", "NORMAL", "FULL", "EXTRA"), "auto_vacuum": ("none", "full", "incremental")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A process that serves this database. `leads`: it judges. `roles`: as its settings give it some.

    `spooled`: pings in its spool, as of its last beat.
    """

    id: int
    version: str
    started_at: datetime
    beat_at: datetime
    heard_through: datetime
    leads: bool
    roles: Sequence[str]
    spooled: int
    spooled_from: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """`size`: of a PostgreSQL database, in bytes. `n_waiting`: notifications in the outbox, MOST_WAITING at most."""

    identity: Identity | None
    schema: str | None
    size: int | None
    nodes: Sequence[Node]
    blind: Sequence[Row[Any]]
    undelivered: Undelivered
    n_waiting: int


async def overview(read: AsyncConnection, *, now: datetime) -> Overview:
    on_postgres = read.dialect.name == "postgresql"
    row = (await read.execute(QUERY)).first()
    return Overview(
        identity=None if row is None else identity(row),
        schema=(await read.execute(sa.text("SELECT version_num FROM alembic_version"))).scalar(),
        size=await _size(read) if on_postgres else None,
        nodes=await _nodes(read, now=now, on_postgres=on_postgres),
        blind=await _blind(read),
        undelivered=await undelivered(read),
        n_waiting=await _waiting(read),
    )


def settings_of(tx: Tx) -> Mapping[str, str]:
    """The database's own settings, by which a commit is on the disk: as the connection that writes has them."""
    if tx.on_postgres:
        return {name: str(tx.conn.exec_driver_sql(f"SHOW {name}").scalar()) for name in _POSTGRES}
    found = {"sqlite_version": str(tx.conn.exec_driver_sql("SELECT sqlite_version()").scalar())}
    return found | {name: _spelled(name, tx.conn.exec_driver_sql(f"PRAGMA {name}").scalar()) for name in _SQLITE}


def _spelled(name: str, value: Any) -> str:
    words = _WORDS.get(name)
    return words[value] if words is not None else str(value)


async def _size(read: AsyncConnection) -> int:
    size: int = (await read.execute(sa.text("SELECT pg_database_size(current_database())"))).scalar_one()
    return size


async def _nodes(read: AsyncConnection, *, now: datetime, on_postgres: bool) -> Sequence[Node]:
    """Those that live; the oldest first. On SQLite the one that serves leads."""
    leader = (await read.execute(sa.select(leases.c.node_id).where(leases.c.name == NAME))).scalar()
    living = (nodes.c.left_at.is_(None), nodes.c.fenced_at.is_(None), nodes.c.beat_at > now - ALIVE)
    query = sa.select(nodes).where(*living).order_by(nodes.c.started_at, nodes.c.id)
    return [
        Node(
            id=row.id,
            version=row.version,
            started_at=row.started_at,
            beat_at=row.beat_at,
            heard_through=row.heard_through,
            leads=row.id == leader if on_postgres else True,
            roles=row.roles,
            spooled=row.spooled or 0,
            spooled_from=row.spooled_from,
        )
        for row in await read.execute(query)
    ]


async def _blind(read: AsyncConnection) -> Sequence[Row[Any]]:
    """The newest, by their ends."""
    query: sa.Select[Any] = sa.select(blind_intervals.c.from_at, blind_intervals.c.to_at, blind_intervals.c.cause)
    found: Sequence[Row[Any]] = (
        await read.execute(query.order_by(blind_intervals.c.to_at.desc()).limit(MOST_BLIND))
    ).all()
    return found


async def _waiting(read: AsyncConnection) -> int:
    # The state stands in the text, as it does in the index of what waits: no parameter would find that.
    some = sa.text("SELECT count(*) FROM (SELECT 1 FROM notifications WHERE state = 'pending' LIMIT :most) AS waiting")
    n: int = (await read.execute(some, {"most": MOST_WAITING})).scalar_one()
    return n
