"""Folds what is dirty: hours whose events have changed, then the days that are made of them.

What a window comes to is worked out in fold.py, in a process beside (hands.py), and written by generations.py. On
PostgreSQL only the leader folds, and whoever closes a day: of two that fold one hour at one time, one is overtaken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from heartfly.clock import Clock
from heartfly.core.windows import HOUR
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.ids import IdSource
from heartfly.db.models import dirty_hours, events, meter_versions, windows
from heartfly.errors import HeartflyError
from heartfly.logs import line, logger
from heartfly.usage.call_rows import sweep_calls
from heartfly.usage.fold import TIER_DAY, TIER_HOUR, Folded, fold_day, fold_hour
from heartfly.usage.generations import (
    Generation,
    SealedError,
    abandon,
    begin,
    name_groups,
    put,
    sweep,
    swept,
    switch,
    unswept,
)
from heartfly.usage.hands import Hands, timed
from heartfly.usage.proofs import printed, settle
from heartfly.usage.request_rows import sweep_requests
from heartfly.usage.requests import Limits
from heartfly.usage.resting import Resting

log = logger("heartfly.usage")

PAUSE_S = 2.0
"""Between two looks: events that come in the meantime are folded in one go."""
FAILED_REST_S, LONGEST_REST_S = 60.0, 900.0
"""One that could not be folded: twice as long after each time, and then so long."""
MOST = 200
"""Hours of one round."""
LIGHT = 200
"""So few events are not worth another process."""
ABANDONED = timedelta(hours=1)
"""A generation that was begun before, and does not count yet, is written by nobody any more."""
IDLE_ROUNDS = 30
"""After so many looks without work the process beside ends."""


_Window = tuple[int, str, datetime]
"""Project, tier, beginning."""

_WORK = sa.select(
    sa.or_(
        sa.exists(sa.select(dirty_hours.c.pid)),
        sa.exists(sa.select(windows.c.pid).where(windows.c.tier == TIER_DAY, windows.c.stale)),
        sa.exists(sa.select(windows.c.pid).where(windows.c.unswept)),
    )
)
"""Whether a round finds anything at all: nearly always it does not, and one question costs a fourth of all."""


@dataclass(slots=True)
class _Failing:
    n: int = 0
    not_before: float = 0.0


class Folder:
    def __init__(
        self,
        usage: Database,
        clock: Clock,
        ids: IdSource,
        *,
        hands: Hands,
        leads: Callable[[], bool] = lambda: True,
        limits: Limits | None = None,
    ) -> None:
        self._usage = usage
        self._clock = clock
        self._ids = ids
        self.hands = hands
        self._leads = leads
        self._limits = limits or Limits()
        self._writing = asyncio.Lock()
        self._resting = Resting()
        self._failing: dict[_Window, _Failing] = {}
        self._over: set[int] = set()
        self._calls_over: set[int] = set()
        self._stop = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        idle, self._stop = 0, stop
        try:
            while not stop.is_set():
                try:
                    n = await self.round() if self._leads() else 0
                except HeartflyError as error:
                    log.warning("fold", error=str(error))
                    n = 0
                except Exception as error:  # told in the log; what is dirty stays so
                    log.exception("fold", error=repr(error))
                    n = 0
                idle = 0 if n else idle + 1
                if idle == IDLE_ROUNDS:
                    self.hands.rest()
                await self._pause(stop)
        finally:
            self.hands.stop()

    async def round(self) -> int:
        """Fold what is dirty and has rested, the newest hours first; return how many windows that were."""
        n = 0
        if not await self._has_work():
            self._forget_others((), ())
            self._resting.ready((), self._clock.monotonic())
            return n
        hours, days = await self._dirty(), await self._stale_days()
        self._forget_others(hours, days)
        for pid, hour in self._resting.ready(hours, self._clock.monotonic(), are_all=len(hours) < MOST):
            if self._stop.is_set():
                return n
            n += await self._alone(partial(self.fold_hour, pid, hour), (pid, TIER_HOUR, hour))
        for row in await self._stale_days():
            n += await self._alone(partial(self._again, row), (row.pid, TIER_DAY, row.start_at))
        return n + await self._sweep_left()

    def _forget_others(self, hours: Sequence[tuple[int, datetime, int]], days: Sequence[Any]) -> None:
        """Windows that somebody else has folded, or that went with their project. Lists that are cut tell of none."""
        if len(hours) < MOST and len(days) < MOST:
            waiting = {(pid, TIER_HOUR, hour) for pid, hour, _ in hours}
            waiting |= {(row.pid, TIER_DAY, row.start_at) for row in days}
            for window in self._failing.keys() - waiting:
                del self._failing[window]

    async def _alone(self, fold: Callable[[], Awaitable[object]], window: _Window) -> int:
        """A window that cannot be folded, whyever, holds up no other: it stays dirty, and rests longer each time.

        The first failure is told, and the end of it.
        """
        failing = self._failing.get(window)
        if failing is not None and self._clock.monotonic() < failing.not_before:
            return 0
        pid, tier, start_at = window
        try:
            await fold()
        except Exception as error:  # noqa: BLE001 - told in the log and by /metrics; what is dirty stays so
            if failing is None:
                failing = self._failing[window] = _Failing()
                log.warning("fold", pid=pid, tier=tier, start_at=start_at, error=repr(error))
            rest_s = min(LONGEST_REST_S, FAILED_REST_S * 2**failing.n)
            failing.n += 1
            failing.not_before = self._clock.monotonic() + rest_s
            return 0
        if failing is not None:
            del self._failing[window]
            log.warning("fold", pid=pid, tier=tier, start_at=start_at, recovered=True, failed=failing.n)
        return 1

    def _note_over(self, pid: int, folded: Folded) -> None:
        """Names of calls that there is no room for are told in the log when that begins; all of them by /metrics."""
        is_over = folded.requests is not None and folded.requests.is_over
        (self._over.add if is_over else self._over.discard)(pid)
        too_many = folded.calls is not None and folded.calls.is_over
        if too_many and pid not in self._calls_over:
            log.warning("calls", pid=pid, start_at=folded.from_at, call_names=self._limits.call_names, over=True)
        (self._calls_over.add if too_many else self._calls_over.discard)(pid)

    @property
    def n_failing(self) -> int:
        """Windows that could not be folded when it was last tried."""
        return len(self._failing)

    @property
    def n_over(self) -> int:
        """Projects that had requests of no endpoint, as there are too many, in the hour that was folded last."""
        return len(self._over)

    @property
    def n_calls_over(self) -> int:
        """The same of calls, and their products, endpoints, users, keys and tags."""
        return len(self._calls_over)

    async def _has_work(self) -> bool:
        async with self._usage.read() as read:
            return bool((await read.execute(_WORK)).scalar_one())

    async def _dirty(self) -> Sequence[tuple[int, datetime, int]]:
        """And the newest event of each."""
        resting = len(self._resting) + len(self._failing)
        query = sa.select(dirty_hours.c.pid, dirty_hours.c.hour, dirty_hours.c.seq).order_by(dirty_hours.c.hour.desc())
        async with self._usage.read() as read:
            return [(row.pid, row.hour, row.seq) for row in await read.execute(query.limit(MOST + resting))]

    async def _stale_days(self) -> Sequence[Any]:
        query = sa.select(windows.c.pid, windows.c.start_at, windows.c.end_at)
        query = query.where(windows.c.tier == TIER_DAY, windows.c.stale).order_by(windows.c.start_at.desc())
        async with self._usage.read() as read:
            return (await read.execute(query.limit(MOST))).all()

    async def dirty_within(self, pid: int, from_at: datetime, to_at: datetime) -> Sequence[datetime]:
        """Hours that have a part in [from_at, to_at), the earliest first."""
        query = sa.select(dirty_hours.c.hour).where(
            dirty_hours.c.pid == pid, dirty_hours.c.hour > from_at - HOUR, dirty_hours.c.hour < to_at
        )
        async with self._usage.read() as read:
            return list((await read.execute(query.order_by(dirty_hours.c.hour))).scalars())

    async def fold_hour(self, pid: int, hour: datetime) -> Folded | None:
        """None: it is clean, or its events are gone; what it came to stays. OvertakenError: another process did."""
        async with self._writing:
            # Whoever closes its day may have folded it meanwhile: once more would put that day in doubt for nothing.
            if not await self.dirty_within(pid, hour, hour + HOUR):
                return None
            began = self._clock.monotonic()
            place = self._usage.place
            if await self._is_light(pid, hour):
                folded, cpu_s = await asyncio.to_thread(timed, fold_hour, place, pid, hour, self._limits)
            else:
                folded, cpu_s = await self.hands.timed(fold_hour, place, pid, hour, self._limits)
            written_from = self._clock.monotonic()
            try:
                n_rows = await self._write(Generation(pid, TIER_HOUR, folded, self._ids.next(self._clock.now())))
            except SealedError:
                await self._usage.write(lambda tx: _forget(tx, pid, hour, folded.seq), priority=Priority.BULK)
                return None
            self._note_over(pid, folded)
            now = self._clock.monotonic()
            self._resting.folded((pid, hour), now, cpu_s + now - written_from)
            took_s = now - began
        line("fold", pid=pid, tier=TIER_HOUR, start_at=hour, n=folded.n_events, rows=n_rows, took_ms=_ms(took_s))
        return folded

    async def fold_day(self, pid: int, from_at: datetime, to_at: datetime) -> Folded:
        """Of the hours as they are folded. OvertakenError: one of them was folded anew meanwhile."""
        async with self._writing:
            began = self._clock.monotonic()
            it = Generation(pid, TIER_DAY, Folded(from_at, to_at), self._ids.next(self._clock.now()))
            # Before the hours are read: one that is folded from now on takes the day away from us.
            await self._usage.write(lambda tx: begin(tx, it), priority=Priority.BULK)
            it.folded = await self.hands.run(fold_day, self._usage.place, pid, from_at, to_at, self._limits)
            n_rows = await self._write(it, begun=True)
            took_s = self._clock.monotonic() - began
        line("fold", pid=pid, tier=TIER_DAY, start_at=from_at, n=it.folded.n_events, rows=n_rows, took_ms=_ms(took_s))
        return it.folded

    async def _again(self, row: Any) -> None:
        """A day one of whose hours was folded since; then say which of its meters came to what was proved."""
        await self.fold_day(row.pid, row.start_at, row.end_at)
        found = await self.hands.run(printed, self._usage.place, row.pid, row.start_at, row.end_at)
        if found is None:
            return
        if await self._usage.write(lambda tx: settle(tx, row.pid, row.start_at, found), priority=Priority.BULK):
            it = Generation(row.pid, TIER_DAY, Folded(row.start_at, row.end_at), found.gen)
            await self.sweep(it, found.versions)

    async def _is_light(self, pid: int, hour: datetime) -> bool:
        some = sa.select(events.c.id).where(events.c.pid == pid, events.c.at >= hour, events.c.at < hour + HOUR)
        async with self._usage.read() as read:
            query = sa.select(sa.func.count()).select_from(some.limit(LIGHT + 1).subquery())
            return bool((await read.execute(query)).scalar_one() <= LIGHT)

    async def _write(self, it: Generation, *, begun: bool = False) -> int:
        def first(tx: Tx) -> bool:
            name_groups(tx, it, ids=self._ids, now=self._clock.now())
            had = begun or begin(tx, it)
            if it.is_small:
                put(tx, it, it.rows)
                switch(tx, it)
            return had

        had = await self._usage.write(first, priority=Priority.BULK)
        if not it.is_small:
            for some in it.slices():
                await self._usage.write(lambda tx, some=some: put(tx, it, some), priority=Priority.BULK)  # type: ignore[misc]
            await self._usage.write(lambda tx: switch(tx, it), priority=Priority.BULK)
        if had:
            await self.sweep(it, it.folded.versions, few=it.is_small)
        return it.n_rows

    async def sweep(self, it: Generation, versions: Sequence[int], *, few: bool = False) -> None:
        """Remove what other generations than those that count left of a window. `few`: of few rows, so that one
        transaction is short, and each is a flush; unless there turn out to be many.
        """
        if few and await self._usage.write(lambda tx: _sweep_few(tx, it, versions), priority=Priority.BULK):
            return
        for version_id in versions:
            await self._usage.write(
                lambda tx, version_id=version_id: sweep(tx, it, [version_id]),  # type: ignore[misc]
                priority=Priority.BULK,
            )
        for some in (sweep_requests, sweep_calls):
            while await self._usage.write(
                lambda tx, some=some: some(tx, it.pid, it.tier, it.start_at),  # type: ignore[misc]
                priority=Priority.BULK,
            ):
                pass
        await self._usage.write(lambda tx: swept(tx, it), priority=Priority.BULK)

    async def _sweep_left(self) -> int:
        """What processes left that were killed before they had swept. Nearly always there is nothing."""
        before = self._clock.now() - ABANDONED
        async with self._usage.read() as read:
            left = (await read.execute(unswept(before).limit(MOST))).all()
        for row in left:
            if self._stop.is_set():
                break
            async with self._writing:
                it = Generation(row.pid, row.tier, Folded(row.start_at, row.end_at), row.gen or 0)
                query = sa.select(meter_versions.c.id).where(meter_versions.c.pid == row.pid)
                async with self._usage.read() as read:
                    versions = list((await read.execute(query)).scalars())
                await self._usage.write(lambda tx, it=it: abandon(tx, it, before), priority=Priority.BULK)  # type: ignore[misc]
                await self.sweep(it, versions)
        return len(left)

    async def _pause(self, stop: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(self._clock.sleep(PAUSE_S))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)


def _forget(tx: Tx, pid: int, hour: datetime, seq: int | None) -> None:
    mine = (dirty_hours.c.pid == pid, dirty_hours.c.hour == hour, dirty_hours.c.seq == seq)
    tx.conn.execute(sa.delete(dirty_hours).where(*mine))


def _sweep_few(tx: Tx, it: Generation, versions: Sequence[int]) -> bool:
    """Whether that was all."""
    sweep(tx, it, versions)
    of = (it.pid, it.tier, it.start_at)
    if sweep_requests(tx, *of) or sweep_calls(tx, *of):
        return False
    swept(tx, it)
    return True


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
