"""How sure the days of a report are: which of them were closed and proved, and what came after they were.

A day of requests is as sure as the project's day is: its proof holds all sums of requests against the events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.days import ONE, day_in
from heartfly.core.report_periods import Period
from heartfly.core.tiles import Closed, State, Tier, state_of
from heartfly.core.windows import HOUR, Window
from heartfly.db.models import dirty_hours, usage_days
from heartfly.db.models import windows as stored_windows
from heartfly.usage.settled import of_tier


@dataclass(frozen=True, slots=True)
class Days:
    """`late`: events of the project that came after their day was over. `proofs`: what closed days were closed with."""

    states: Sequence[tuple[date, State]]
    late: int
    proofs: Sequence[tuple[date, bytes]]
    complete_up_to: datetime

    def state_of(self, wanted: date) -> State:
        return next(state for day, state in self.states if day == wanted)


async def days_of(read: AsyncConnection, pid: int, period: Period, *, now: datetime) -> Days:
    from_at, to_at = period.from_at, period.to_at
    columns = (
        usage_days.c.day,
        usage_days.c.from_at,
        usage_days.c.to_at,
        usage_days.c.state,
        usage_days.c.figures,
        usage_days.c.fingerprint,
    )
    of_project = sa.select(*columns).where(usage_days.c.pid == pid)
    asked = of_project.where(usage_days.c.to_at > from_at, usage_days.c.from_at < to_at).order_by(usage_days.c.from_at)
    rows = (await read.execute(asked)).all()
    settled = of_project.where(usage_days.c.state.in_([State.FINAL.value, State.AMENDED.value]))
    newest = (await read.execute(settled.order_by(usage_days.c.from_at.desc()).limit(1))).first()
    closed = [Closed(row.from_at, row.to_at, row.state) for row in rows]
    if newest is not None and (not closed or newest.from_at > closed[-1].from_at):
        closed.append(Closed(newest.from_at, newest.to_at, newest.state))
    marks = sa.select(dirty_hours.c.hour).where(
        dirty_hours.c.pid == pid, dirty_hours.c.hour > from_at - HOUR, dirty_hours.c.hour < to_at
    )
    marked: list[datetime] = list((await read.execute(marks.order_by(dirty_hours.c.hour))).scalars())
    unsettled = [Window(hour, hour + HOUR) for hour in marked]
    unsettled += await _stored(read, pid, Tier.DAY, period, stored_windows.c.stale.is_(True))
    if not _covered(rows, period):
        hours = await _stored(read, pid, Tier.HOUR, period, sa.true())
        unsettled += [one for one in hours if not any(row.from_at <= one.from_at < row.to_at for row in rows)]
    spans = [day_in(period.zone, period.first + n * ONE) for n in range(period.n_days)]
    return Days(
        [
            (one.date, state_of(Window(one.from_at, one.to_at), now, closed, unsettled))
            for one in spans
            if one.from_at < one.to_at
        ],
        sum(int(row.figures.get("late", 0)) for row in rows),
        [(row.day, bytes(row.fingerprint)) for row in rows if row.fingerprint],
        min([to_at, now, *marked[:1]]),
    )


async def _stored(
    read: AsyncConnection, pid: int, tier: Tier, period: Period, which: sa.ColumnElement[bool]
) -> list[Window]:
    query = sa.select(stored_windows.c.start_at, stored_windows.c.end_at).where(
        *of_tier(pid, tier, period.from_at, period.to_at), which
    )
    return [Window(row.start_at, row.end_at) for row in await read.execute(query)]


def _covered(rows: Sequence[Any], period: Period) -> bool:
    """Whether each day of it was looked at by the daily aggregation."""
    at = period.from_at
    for row in rows:
        if row.from_at > at:
            return False
        at = max(at, row.to_at)
    return at >= period.to_at
