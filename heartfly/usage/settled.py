"""How sure figures of a time are: which of its days were closed, and what of it was not folded yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.tiles import Closed, State, Tier
from heartfly.core.windows import HOUR, Window
from heartfly.db.models import dirty_hours, proofs, usage_days
from heartfly.db.models import windows as stored_windows


@dataclass(frozen=True, slots=True)
class Settled:
    """`dirty`: hours that were not folded since something came, the earliest first. `marks`: of each the one that it
    has, which is another one as soon as more comes.
    """

    days: Sequence[Closed]
    unsettled: Sequence[Window]
    dirty: Sequence[datetime]
    complete_up_to: datetime
    marks: Mapping[datetime, int]


async def settled_in(
    read: AsyncConnection, pid: int, from_at: datetime, to_at: datetime, *, now: datetime, meter_id: int | None
) -> Settled:
    """For a meter: a day is as sure as the meter's figures of it are. None: as sure as the day itself."""
    of_meter = sa.and_(
        proofs.c.pid == usage_days.c.pid, proofs.c.day == usage_days.c.day, proofs.c.meter_id == meter_id
    )
    columns = (usage_days.c.from_at, usage_days.c.to_at, usage_days.c.state, proofs.c.amended, proofs.c.moved)
    of_project = sa.select(*columns).outerjoin(proofs, of_meter).where(usage_days.c.pid == pid)
    asked = of_project.where(usage_days.c.to_at > from_at, usage_days.c.from_at < to_at)
    rows = await read.execute(asked.order_by(usage_days.c.from_at))
    days = [_closed(row) for row in rows]
    settled = sa.or_(~proofs.c.moved, usage_days.c.state.in_([State.FINAL.value, State.AMENDED.value]))
    newest = of_project.where(settled).order_by(usage_days.c.from_at.desc()).limit(1)
    last = (await read.execute(newest)).first()
    if last is not None and (not days or last.from_at > days[-1].from_at):
        days.append(_closed(last))
    asked_marks = sa.select(dirty_hours.c.hour, dirty_hours.c.seq).where(
        dirty_hours.c.pid == pid, dirty_hours.c.hour > from_at - HOUR, dirty_hours.c.hour < to_at
    )
    marks = {row.hour: row.seq for row in await read.execute(asked_marks.order_by(dirty_hours.c.hour))}
    marked = list(marks)
    unsettled = [Window(hour, hour + HOUR) for hour in marked]
    stale = sa.select(stored_windows.c.start_at, stored_windows.c.end_at).where(
        *of_tier(pid, Tier.DAY, from_at, to_at), stored_windows.c.stale.is_(True)
    )
    unsettled += [Window(row.start_at, row.end_at) for row in await read.execute(stale)]
    for gap in _gaps(days, from_at, to_at):
        # Also those that it cuts: what of them is asked for was proved by nobody.
        hours = sa.select(stored_windows.c.start_at, stored_windows.c.end_at).where(
            stored_windows.c.pid == pid,
            stored_windows.c.tier == Tier.HOUR.value,
            stored_windows.c.start_at > gap.from_at - HOUR,
            stored_windows.c.start_at < gap.to_at,
            stored_windows.c.n_events > 0,  # a day without any is closed by nobody
        )
        for row in await read.execute(hours):
            unsettled.append(Window(max(row.start_at, gap.from_at), min(row.end_at, gap.to_at)))
    return Settled(days, unsettled, marked, min([to_at, now, *marked[:1]]), marks)


def _closed(row: Any) -> Closed:
    """As the meter has it.

    One that was not there when the day was proved counts nothing on a day that still is: making it has marked all
    hours with events, and folding them has put their days in doubt.
    """
    if row.moved is None:
        return Closed(row.from_at, row.to_at, row.state)
    state = State.PROVISIONAL if row.moved else State.AMENDED if row.amended else State.FINAL
    return Closed(row.from_at, row.to_at, state.value)


def of_tier(pid: int, tier: Tier, from_at: datetime, to_at: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    """Those that lie in [from_at, to_at) whole."""
    return (
        stored_windows.c.pid == pid,
        stored_windows.c.tier == tier.value,
        stored_windows.c.start_at >= from_at,
        stored_windows.c.start_at < to_at,
        stored_windows.c.end_at <= to_at,
    )


def _gaps(days: Sequence[Closed], from_at: datetime, to_at: datetime) -> Iterator[Window]:
    """The times in which no day lies; few, for a project's days follow one another."""
    at = from_at
    for day in days:
        if at < min(day.from_at, to_at):
            yield Window(at, min(day.from_at, to_at))
        at = max(at, day.to_at)
    if at < to_at:
        yield Window(at, to_at)
