"""Calls that are not folded yet: read and priced once for all questions that are asked together.

Which hours those are is traffic/plan.py's. Each has a mark (`dirty_hours`) that moves with whatever comes to it, goes
from it, or prices it otherwise: while it is the same, what was read of the hour holds for other transactions, too.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.calls.block import Block
from heartfly.core.columns import Amounts, Page
from heartfly.core.windows import HOUR
from heartfly.db.models import events
from heartfly.db.types import EPOCH, micros
from heartfly.traffic.plan import FRESH
from heartfly.traffic.single import SLICE
from heartfly.usage.call_books import Books
from heartfly.usage.call_columns import CallReader
from heartfly.usage.seal import sealed_hours

MOST = 3 * FRESH
"""Calls that are kept, some megabytes; each question has FRESH of its own time at most, and mostly the same."""


@dataclass(frozen=True, slots=True)
class _Read:
    """Of hours that follow one another. `blocks`: by time. `sealed`: hours of which events are gone."""

    blocks: Sequence[Block]
    sealed: frozenset[datetime]


class Waiting:
    """Of one project."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._hours: dict[datetime, tuple[int, _Read]] = {}
        self._turn = asyncio.Lock()

    async def look(self, read: AsyncConnection, type_id: int, marks: Mapping[datetime, int]) -> Look:
        """At these hours, of which there are few events, as they are where the mark of each is this."""
        async with self._turn:  # who comes meanwhile finds it read
            missing = [hour for hour in sorted(marks) if not self._has(hour, marks[hour])]
            if missing:
                await self._read(read, type_id, missing, marks)
            return Look({hour: self._hours[hour][1] for hour in marks})

    def _has(self, hour: datetime, mark: int) -> bool:
        return hour in self._hours and self._hours[hour][0] == mark

    async def _read(
        self, read: AsyncConnection, type_id: int, hours: Sequence[datetime], marks: Mapping[datetime, int]
    ) -> None:
        found: dict[datetime, tuple[int, _Read]] = {}
        reader: CallReader | None = None
        known, n = Amounts(), 0

        def told(connection: sa.Connection, rows: Sequence[Any]) -> Block:
            nonlocal reader
            if reader is None:
                reader = CallReader(Books(connection, self._pid))
            ats = [micros(row.at) for row in rows]
            page = Page([row.properties for row in rows], known)
            return Block(reader.told(page, ats), [row.subject_id for row in rows], ats, reader.layout)

        for run in _runs(hours):
            from_at, to_at = run[0], run[-1] + HOUR
            query = sa.select(events.c.at, events.c.subject_id, events.c.properties).where(
                events.c.pid == self._pid, events.c.at >= from_at, events.c.at < to_at, events.c.type_id == type_id
            )
            rows = (await read.execute(query.order_by(events.c.at))).all()
            n += len(rows)
            # In slices, between which the event loop has its turn.
            slices = [rows[start : start + SLICE] for start in range(0, len(rows), SLICE)]
            blocks = [await read.run_sync(told, some) for some in slices]
            mine = _Read(blocks, await sealed_hours(read, self._pid, from_at, to_at))
            found |= {hour: (marks[hour], mine) for hour in run}
        others = {hour: held for hour, held in self._hours.items() if hour not in found}
        if n + sum(len(block.ats) for one in _each(others) for block in one.blocks) > MOST:
            others = {hour: held for hour, held in others.items() if hour in marks}
        self._hours = others | found


class Look:
    """What one question sees of them."""

    def __init__(self, hours: Mapping[datetime, _Read]) -> None:
        self._hours = hours

    @property
    def hours(self) -> Mapping[datetime, object]:
        return self._hours

    def between(self, from_at: datetime, to_at: datetime) -> Iterator[tuple[Block, range]]:
        """The lines of [from_at, to_at), which lies within its hours."""
        at = from_at
        while at < to_at:
            mine = self._hours[_hour(at)]
            end = at
            while end < to_at and self._hours[_hour(end)] is mine:
                end = _hour(end) + HOUR
            first, last = micros(at), micros(min(end, to_at))
            for block in mine.blocks:
                lines = range(bisect_left(block.ats, first), bisect_left(block.ats, last))
                if lines:
                    yield block, lines
            at = end

    def is_sealed(self, from_at: datetime, to_at: datetime) -> bool:
        """Whether some of the events of [from_at, to_at) are gone."""
        at = _hour(from_at)
        while at < to_at:
            if at in self._hours[at].sealed:
                return True
            at += HOUR
        return False


def _hour(at: datetime) -> datetime:
    return at - (at - EPOCH) % HOUR


def _runs(hours: Sequence[datetime]) -> Iterator[Sequence[datetime]]:
    """Those that follow one another, together: one query for each."""
    run: list[datetime] = []
    for hour in hours:
        if run and run[-1] + HOUR != hour:
            yield run
            run = []
        run.append(hour)
    if run:
        yield run


def _each(hours: Mapping[datetime, tuple[int, _Read]]) -> Sequence[_Read]:
    return list({id(one): one for _, one in hours.values()}.values())
