"""A project goes with all that is in it. From the first transaction on nobody finds it; the rest goes in small pieces.

    1. its slug becomes a mark that no slug can be; its people, keys, invites and ping keys go
    2. its checks and channels are deleted as people delete them, a few at a time
    3. every other row that bears its number goes, and last the project's own

A crash leaves the mark, and the next start goes on. The first project cannot go: Heartfly's own jobs live there.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.audit.record import HEARTFLY
from heartfly.checks import commands, hearing, history
from heartfly.clock import Clock
from heartfly.db import tenant
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.ids import IdSource
from heartfly.db.models import api_keys, channels, checks, invites, members, projects, status_pages
from heartfly.errors import ConflictError
from heartfly.logs import logger
from heartfly.sealing import Sealer, digest

log = logger("heartfly.erasure")

_MARK = "~"
_AT_ONCE = 20


class HomeProjectError(ConflictError):
    """Heartfly's own jobs, and their checks, are in it."""


def begin(tx: Tx, pid: int) -> None:
    """Whoever comes from now on finds no such project. HomeProjectError."""
    if pid == tx.conn.execute(sa.select(sa.func.min(projects.c.id))).scalar_one():
        raise HomeProjectError("it is the first project, in which Heartfly's own jobs are; it cannot be deleted")
    gone = {
        "slug": f"{_MARK}{pid}",
        "ping_key_hash": digest(secrets.token_hex(32)),
        "old_ping_key_hash": None,
        "old_until": None,
        "badge_half": None,
        "badge_key_enc": None,
    }
    tx.conn.execute(sa.update(projects).where(projects.c.id == pid).values(gone))
    for table in (members, api_keys, invites, status_pages):
        tx.conn.execute(sa.delete(table).where(table.c.pid == pid))
    log.warning("project_erased", pid=pid)


async def finish(database: Database, pid: int, *, clock: Clock, ids: IdSource, sealer: Sealer) -> None:
    """Remove what `begin` has hidden, behind everybody else's writes."""
    at = clock.now()
    while gone := await database.write(lambda tx: _some_checks(tx, pid, at=at, ids=ids), priority=Priority.BULK):
        for check_id in gone:
            await history.remove(database, pid, check_id)
    while await database.write(lambda tx: _a_channel(tx, pid, at=at, ids=ids, sealer=sealer), priority=Priority.BULK):
        pass
    for table in tenant.tables():
        after: Sequence[Any] | None = None
        while True:
            after = await database.write(
                lambda tx, table=table, after=after: tenant.remove_piece(tx, table, pid, after=after),  # type: ignore[misc]
                priority=Priority.BULK,
            )
            if after is None:
                break
    await database.write(
        lambda tx: tx.conn.execute(sa.delete(projects).where(projects.c.id == pid)).rowcount, priority=Priority.BULK
    )


async def finish_all(database: Database, *, clock: Clock, ids: IdSource, sealer: Sealer) -> None:
    """Those that a crash interrupted. Call once after the start."""
    async with database.read() as read:
        query = sa.select(projects.c.id).where(projects.c.slug.startswith(_MARK))
        pids = (await read.execute(query)).scalars().all()
    for pid in pids:
        await finish(database, pid, clock=clock, ids=ids, sealer=sealer)


def _some_checks(tx: Tx, pid: int, *, at: datetime, ids: IdSource) -> list[int]:
    query = sa.select(checks.c.uuid).where(checks.c.pid == pid).order_by(checks.c.id).limit(_AT_ONCE)
    uuids = tx.conn.execute(query).scalars().all()
    return [commands.delete(tx, pid, uuid, at=at, ids=ids, actor=HEARTFLY) for uuid in uuids]


def _a_channel(tx: Tx, pid: int, *, at: datetime, ids: IdSource, sealer: Sealer) -> bool:
    uuid = tx.conn.execute(sa.select(channels.c.uuid).where(channels.c.pid == pid).limit(1)).scalar()
    if uuid is None:
        return False
    hearing.remove_channel(tx, pid, uuid, actor=HEARTFLY, at=at, ids=ids, sealer=sealer)
    return True
