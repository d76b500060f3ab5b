"""What nobody asks for any more goes: reservations that nobody ended are given back, what is past is removed.

In small pieces, beside everything else. That the room of an expired reservation is free again does not depend on this:
each check gives back first. How long what is kept stands with the constants.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from heartfly.clock import Clock
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.ids import first_id
from heartfly.db.models import limit_books, limit_counters, limit_denials, limit_hours, limit_reservations, limit_told
from heartfly.errors import HeartflyError
from heartfly.limits.apply import MOST_EXPIRED, LimitApplier
from heartfly.limits.batch import HELD
from heartfly.limits.checker import Checker
from heartfly.logs import logger

log = logger("heartfly.limits")

PAUSE_S = 15.0
KEEP_RESERVATIONS = timedelta(days=2)
"""From when they were made; the longest lasts a day. An event that names an older one counts for itself."""
KEEP_TOLD = timedelta(days=8)
"""Who was denied, and how much was checked: a week, and the day that is not over."""
MOST_DENIALS = 10_000
"""Of a project: the newest."""
MOST_TOLD = 1_000
"""Providers and models of a project whose own limits are known: those heard of last."""
_PIECE = 1_000


class LimitUpkeep:
    def __init__(
        self,
        usage: Database,
        applier: LimitApplier,
        checker: Checker,
        clock: Clock,
        *,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._usage = usage
        self._applier = applier
        self._checker = checker
        self._clock = clock
        self._leads = leads

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._checker.tell_opened()
                if self._leads():
                    await self.round()
            except HeartflyError as error:
                log.warning("limits", error=str(error))
            except Exception as error:  # told in the log; a check gives back what it needs by itself
                log.exception("limits", error=repr(error))
            await self._pause(stop)

    async def round(self) -> None:
        now = self._clock.now()
        for pid in await self._projects(sa.select(limit_reservations.c.pid).where(
            limit_reservations.c.state == HELD, limit_reservations.c.expires_at <= now
        )):  # fmt: skip
            while await self._usage.write(partial(self._applier.expire, pid=pid, now=now)) == MOST_EXPIRED:
                pass
        for piece in (_past_counters, _ended, _old_denials, _old_hours):
            while await self._usage.write(partial(piece, now=now), priority=Priority.BULK) == _PIECE:
                pass
        for pid in await self._projects(sa.select(limit_denials.c.pid)):
            await self._usage.write(partial(_most_denials, pid=pid), priority=Priority.BULK)
        for pid in await self._projects(sa.select(limit_told.c.pid)):
            await self._usage.write(partial(_most_told, pid=pid), priority=Priority.BULK)

    async def _projects(self, query: sa.Select[Any]) -> list[int]:
        async with self._usage.read() as read:
            return sorted((await read.execute(query.distinct())).scalars().all())

    async def _pause(self, stop: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(self._clock.sleep(PAUSE_S))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)


def _past_counters(tx: Tx, now: datetime) -> int:
    return _remove(tx, limit_counters, limit_counters.c.ends_at <= now, limit_counters.c.ends_at)


def _ended(tx: Tx, now: datetime) -> int:
    """Along the numbers, which begin with when they were made: nothing looks through those that are young."""
    r = limit_reservations.c
    old = first_id(now - KEEP_RESERVATIONS)
    n = 0
    for pid in tx.conn.execute(sa.select(limit_books.c.pid)).scalars().all():  # also of who has no limit any more
        found = tx.conn.execute(
            sa.select(r.id).where(r.pid == pid, r.id < old, r.state != HELD).order_by(r.id).limit(_PIECE)
        ).scalars().all()  # fmt: skip
        if found:
            through = (r.pid == pid, r.id <= found[-1], r.state != HELD)
            tx.conn.execute(sa.delete(limit_reservations).where(*through))
            n = max(n, len(found))
    return n


def _old_denials(tx: Tx, now: datetime) -> int:
    return _remove(tx, limit_denials, limit_denials.c.minute < now - KEEP_TOLD, limit_denials.c.minute)


def _old_hours(tx: Tx, now: datetime) -> int:
    return _remove(tx, limit_hours, limit_hours.c.hour < now - KEEP_TOLD, limit_hours.c.hour)


def _most_denials(tx: Tx, pid: int) -> None:
    d = limit_denials.c
    last = sa.select(d.last_at).where(d.pid == pid).order_by(d.last_at.desc()).offset(MOST_DENIALS).limit(1)
    at = tx.conn.execute(last).scalar()
    if at is not None:
        tx.conn.execute(sa.delete(limit_denials).where(d.pid == pid, d.last_at <= at))


def _most_told(tx: Tx, pid: int) -> None:
    t = limit_told.c
    at = tx.conn.execute(sa.select(t.at).where(t.pid == pid).order_by(t.at.desc()).offset(MOST_TOLD).limit(1)).scalar()
    if at is not None:
        tx.conn.execute(sa.delete(limit_told).where(t.pid == pid, t.at <= at))


def _remove(tx: Tx, table: sa.Table, past: sa.ColumnElement[bool], order: sa.Column[Any]) -> int:
    keys = list(table.primary_key.columns)
    found = tx.conn.execute(sa.select(*keys).where(past).order_by(order).limit(_PIECE)).all()
    if found:
        among = sa.tuple_(*keys).in_([tuple(row) for row in found])
        # Looked at once more: what was used meanwhile is not past.
        tx.conn.execute(sa.delete(table).where(among, past))
    return len(found)
