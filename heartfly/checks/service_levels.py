"""How many runs of checks came in time and went well in some days: out of the daily sums, and of today out of its runs.

A project's days, so months are those of its zone. What is aimed at, and what is left of it, is core/slo.py's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks.slo_config import slo_of
from heartfly.core.days import ONE, day_in, day_of, unheard
from heartfly.core.slo import USUAL_DAYS, Counted, Levels, Slo, levels
from heartfly.core.values import Blind
from heartfly.core.words import RunOutcome
from heartfly.db.models import blind_intervals, check_days, checks, runs
from heartfly.db.types import UtcInstant

_SUMS = ("n_ok", "n_failed", "n_missed", "n_unverified", "up_s", "down_s", "blind_s")
_COUNTED_AS = {
    RunOutcome.OK.value: "n_ok", RunOutcome.DEGRADED.value: "n_ok", RunOutcome.FAILED.value: "n_failed",
    RunOutcome.HUNG.value: "n_failed", RunOutcome.MISSED.value: "n_missed", RunOutcome.UNVERIFIED.value: "n_unverified",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLevel:
    """Of one check, from `first` to `last`, both of them in it. `slo` None: nothing is aimed at."""

    row: Any
    slo: Slo | None
    first: date
    last: date
    counted: Counted
    levels: Levels


async def page_of(read: AsyncConnection, pid: int, *, aimed: bool, after: int | None, limit: int) -> Sequence[Any]:
    """The checks in the order in which they were made. `aimed`: only those with a target."""
    query = sa.select(checks.c.pid, checks.c.id, checks.c.uuid, checks.c.name, checks.c.slug, checks.c.slo)
    query = query.where(checks.c.pid == pid)
    if aimed:
        query = query.where(checks.c.slo != "")
    if after is not None:
        query = query.where(checks.c.id > after)
    return (await read.execute(query.order_by(checks.c.id).limit(limit))).all()


async def of_rows(
    read: AsyncConnection,
    pid: int,
    rows: Sequence[Any],
    *,
    zone: ZoneInfo,
    now: datetime,
    span: tuple[date, date] | None = None,
) -> list[ServiceLevel]:
    """`rows`: of checks of the project, as many as a page has. `span`: these days; without it each check's own last."""
    today = day_of(zone, now)
    slos = {row.id: slo_of(row.slo) for row in rows}
    spans = {row.id: span or _own(slos[row.id], today) for row in rows}
    found: dict[int, Counted] = {}
    for first, last in dict.fromkeys(spans.values()):
        ids = [check_id for check_id, its in spans.items() if its == (first, last)]
        found |= await _counted(read, pid, ids, first, last, zone=zone, now=now)
    return [
        ServiceLevel(
            row=row,
            slo=slos[row.id],
            first=spans[row.id][0],
            last=spans[row.id][1],
            counted=found[row.id],
            levels=levels(found[row.id], slos[row.id]),
        )
        for row in rows
    ]


def _own(slo: Slo | None, today: date) -> tuple[date, date]:
    days = USUAL_DAYS if slo is None else slo.days
    return today - (days - 1) * ONE, today


async def _counted(
    read: AsyncConnection, pid: int, ids: Collection[int], first: date, last: date, *, zone: ZoneInfo, now: datetime
) -> Mapping[int, Counted]:
    of_days = (
        sa.select(check_days.c.check_id, sa.func.max(check_days.c.to_at).label("to_at"))
        .add_columns(*(sa.func.sum(check_days.c[name]).label(name) for name in _SUMS))
        .where(check_days.c.pid == pid, check_days.c.check_id.in_(ids))
        .where(check_days.c.day.between(first.isoformat(), last.isoformat()))
        .group_by(check_days.c.check_id)
    )
    found = dict.fromkeys(ids, Counted())
    summed: dict[int, datetime] = {}
    for row in await read.execute(of_days):
        found[row.check_id] = Counted(**{name: int(getattr(row, name)) for name in _SUMS})
        summed[row.check_id] = row.to_at
    begin, end = day_in(zone, first).from_at, min(day_in(zone, last).to_at, now)
    since = {check_id: summed.get(check_id, begin) for check_id in ids}
    if begin < end:
        for check_id, more in (await _since(read, pid, since, end)).items():
            found[check_id] = found[check_id].plus(more)
    return found


async def _since(
    read: AsyncConnection, pid: int, since: Mapping[int, datetime], end: datetime
) -> Mapping[int, Counted]:
    """What came after the last day that is summed up."""
    found = {check_id: dict[str, int]() for check_id in since}
    for from_at in dict.fromkeys(since.values()):
        ids = [check_id for check_id, its in since.items() if its == from_at]
        query = (
            sa.select(runs.c.check_id, runs.c.outcome, sa.func.count().label("n"))
            .where(runs.c.pid == pid, runs.c.check_id.in_(ids))
            .where(runs.c.at >= sa.literal(from_at, UtcInstant), runs.c.at < sa.literal(end, UtcInstant))
            .where(runs.c.outcome.in_(_COUNTED_AS))
            .group_by(runs.c.check_id, runs.c.outcome)
        )
        for row in await read.execute(query):
            name = _COUNTED_AS[row.outcome]
            found[row.check_id][name] = found[row.check_id].get(name, 0) + row.n
        blind_s = await _blind_s(read, from_at, end)
        for check_id in ids:
            found[check_id]["blind_s"] = blind_s
    return {check_id: Counted(**counts) for check_id, counts in found.items()}


async def _blind_s(read: AsyncConnection, from_at: datetime, to_at: datetime) -> int:
    query = sa.select(blind_intervals).where(
        blind_intervals.c.to_at > sa.literal(from_at, UtcInstant),
        blind_intervals.c.from_at < sa.literal(to_at, UtcInstant),
    )
    found = [Blind(id=row.id, from_at=row.from_at, to_at=row.to_at) for row in await read.execute(query)]
    return unheard(found, from_at, to_at) // timedelta(seconds=1)
