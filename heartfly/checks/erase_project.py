"""A project goes with all that is in it. From the first transaction on nobody finds it; the rest goes in small pieces.

    1. its slug becomes a mark that no slug can be; its people, keys, invites, links to incidents and ping keys go
    2. its checks and channels are deleted as people delete them, a few at a time
    3. the audit's chain is told, and every other row that bears its number goes, last the project's own

What cuts it off leaves the mark, and the next start or the nightly retention goes on. The first project cannot go:
Heartfly's own jobs live there.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.audit.marks import mark_gone
from heartfly.audit.record import HEARTFLY, Action, Actor, record
from heartfly.checks import commands, hearing, history
from heartfly.clock import Clock
from heartfly.db import tenant
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.ids import IdSource
from heartfly.db.models import (
    alert_rules,
    api_keys,
    badge_addresses,
    channels,
    checks,
    incident_shares,
    invites,
    members,
    projects,
    report_mails,
    report_shares,
    status_pages,
    watches,
)
from heartfly.errors import ConflictError
from heartfly.logs import logger
from heartfly.sealing import Sealer, digest

log = logger("heartfly.erasure")

_AT_ONCE = 20

Write = Callable[[Callable[[Tx], Any]], Awaitable[Any]]
"""One short transaction, behind everybody else's."""


class HomeProjectError(ConflictError):
    """Heartfly's own jobs, and their checks, are in it."""


def begin(tx: Tx, pid: int, *, actor: Actor, at: datetime, ids: IdSource) -> None:
    """Whoever comes from now on finds no such project. HomeProjectError.

    Its audit goes with it, so that of the first project tells that there was one, and who ended it.
    """
    home: int = tx.conn.execute(sa.select(sa.func.min(projects.c.id))).scalar_one()
    if pid == home:
        raise HomeProjectError("it is the first project, in which Heartfly's own jobs are; it cannot be deleted")
    was = tx.conn.execute(sa.select(projects.c.uuid, projects.c.slug).where(projects.c.id == pid)).one()
    gone = {
        "slug": f"{tenant.ERASED}{pid}",
        "ping_key_hash": digest(secrets.token_hex(32)),
        "old_ping_key_hash": None,
        "old_until": None,
        "badge_half": None,
        "badge_key_enc": None,
    }
    tx.conn.execute(sa.update(projects).where(projects.c.id == pid).values(gone))
    of_people = (members, api_keys, invites, incident_shares, report_shares, report_mails)
    for table in (*of_people, status_pages, badge_addresses, watches, alert_rules):
        tx.conn.execute(sa.delete(table).where(table.c.pid == pid))
    record(
        tx, home, actor=actor, action=Action.PROJECT_DELETE, of=f"project:{was.uuid}",
        before={"slug": was.slug}, after=None, at=at, ids=ids,
    )  # fmt: skip
    log.warning("project_erased", pid=pid)


def behind_others(database: Database) -> Write:
    return partial(database.write, priority=Priority.BULK)


async def finish(write: Write, pid: int, *, at: datetime, ids: IdSource, sealer: Sealer) -> None:
    """Remove what `begin` has hidden. Two may be at it: each takes what the other has left."""
    while gone := await write(lambda tx: _some_checks(tx, pid, at=at, ids=ids)):
        for check_id in gone:
            while await write(lambda tx, check_id=check_id: history.remove_piece(tx, pid, check_id)):  # type: ignore[misc]
                pass
    while await write(lambda tx: _a_channel(tx, pid, at=at, ids=ids, sealer=sealer)):
        pass
    await write(lambda tx: mark_gone(tx, pid, sealer, at=at))
    for table in tenant.tables():
        after: Sequence[Any] | None = None
        while True:
            after = await write(
                lambda tx, table=table, after=after: tenant.remove_piece(tx, table, pid, after=after)  # type: ignore[misc]
            )
            if after is None:
                break
    await write(lambda tx: tx.conn.execute(sa.delete(projects).where(projects.c.id == pid)).rowcount)


async def unfinished(read: AsyncConnection) -> Sequence[int]:
    """The projects whose erasure was cut off, or is under way."""
    query = sa.select(projects.c.id).where(projects.c.slug.startswith(tenant.ERASED)).order_by(projects.c.id)
    return (await read.execute(query)).scalars().all()


async def finish_all(database: Database, *, clock: Clock, ids: IdSource, sealer: Sealer) -> None:
    """Those that were cut off. Call once after the start."""
    async with database.read() as read:
        pids = await unfinished(read)
    for pid in pids:
        await finish(behind_others(database), pid, at=clock.now(), ids=ids, sealer=sealer)


def _hold(tx: Tx, pid: int) -> None:
    """Of two that remove the same, each sees what the other has done."""
    query = sa.select(projects.c.id).where(projects.c.id == pid)
    tx.conn.execute(query.with_for_update(key_share=True) if tx.on_postgres else query)


def _some_checks(tx: Tx, pid: int, *, at: datetime, ids: IdSource) -> list[int]:
    _hold(tx, pid)
    query = sa.select(checks.c.uuid).where(checks.c.pid == pid).order_by(checks.c.id).limit(_AT_ONCE)
    uuids = tx.conn.execute(query).scalars().all()
    return [commands.delete(tx, pid, uuid, at=at, ids=ids, actor=HEARTFLY) for uuid in uuids]


def _a_channel(tx: Tx, pid: int, *, at: datetime, ids: IdSource, sealer: Sealer) -> bool:
    _hold(tx, pid)
    uuid = tx.conn.execute(sa.select(channels.c.uuid).where(channels.c.pid == pid).limit(1)).scalar()
    if uuid is None:
        return False
    hearing.remove_channel(tx, pid, uuid, actor=HEARTFLY, at=at, ids=ids, sealer=sealer)
    return True
