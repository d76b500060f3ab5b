"""What a watch looks at: when sources and customers were heard last, what is usual for them, and how endpoints do.

Read only; what follows is decided in core/data_silence.py and core/degradation.py. Each look is bounded: by the number
of names that are silent, by some hours of each of some weeks, and by what is counted event by event (gather.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.amounts import ONE
from heartfly.core.data_silence import GIVEN_UP, Came, floor, judged_hours, past_hours
from heartfly.core.degradation import Seen
from heartfly.core.traffic import Cube
from heartfly.core.windows import HOUR, Window
from heartfly.db.models import (
    blind_intervals,
    customers,
    events,
    request_rollups,
    source_hours,
    usage_names,
    usage_sources,
)
from heartfly.db.prepared import among
from heartfly.traffic.asked import Asked, ByStatus
from heartfly.traffic.counting import counting
from heartfly.traffic.filters import wanted_by
from heartfly.traffic.gather import gathered
from heartfly.traffic.named import ERASED, customers_of, endpoints_called
from heartfly.traffic.rows import By
from heartfly.traffic.watches import ALL

MOST_SILENT = 500
"""Names of a project that are looked at closely, those that fell silent last."""
MOST_SUBJECTS = 20_000
RECENT = timedelta(minutes=15)
_P95 = 95
_MOST_DEAF = 1_000
_TIMED = 20
"""Fewer requests that told their time tell no p95."""


@dataclass(slots=True)
class Quiet:
    """One that is silent now. `came`: past hours in which something came."""

    name: str
    first_at: datetime
    last_at: datetime
    came: dict[datetime, Came] = field(default_factory=dict)


def _past(now: datetime, zone: ZoneInfo) -> list[datetime]:
    return sorted({past for hour in judged_hours(now) for past in past_hours(hour, zone)})


async def quiet_sources(
    usage: AsyncConnection, pid: int, what: str, *, now: datetime, gap: timedelta, zone: ZoneInfo
) -> tuple[Mapping[str, Quiet], int]:
    """By name, and how many are watched. Those that are retired, or brought history only, are nobody's business."""
    s = usage_sources.c
    watched = [s.pid == pid, s.retired_at.is_(None), s.seen_at > now - GIVEN_UP]
    watched.append(s.live_at.is_not(None) if what == ALL else s.name == what)
    n: int = (await usage.execute(sa.select(sa.func.count()).select_from(usage_sources).where(*watched))).scalar_one()
    silent = sa.select(usage_sources).where(*watched, s.seen_at < now - gap).order_by(s.seen_at.desc(), s.name)
    found = {
        row.name: Quiet(row.name, row.first_at, row.seen_at) for row in await usage.execute(silent.limit(MOST_SILENT))
    }
    if found:
        h = source_hours.c
        rows = sa.select(source_hours).where(h.pid == pid, among(usage, h.name, "names"), h.hour.in_(_past(now, zone)))
        for row in await usage.execute(rows, {"names": sorted(found)}):
            found[row.name].came[row.hour] = Came(Fraction(row.turns), Fraction(row.n))
    return found, n


async def quiet_customers(
    usage: AsyncConnection, pid: int, what: str, *, now: datetime, gap: timedelta, zone: ZoneInfo
) -> tuple[Mapping[str, Quiet], int]:
    """By the id that finds him, and how many are watched. One that is known by several names is silent in all."""
    n, e = usage_names.c, events.c
    its = (e.pid == pid, e.subject_id == n.id)
    last, first = (sa.select(one(e.at)).where(*its).scalar_subquery() for one in (sa.func.max, sa.func.min))
    query = sa.select(n.id, first.label("first_at"), last.label("last_at")).where(n.pid == pid, n.kind == "subject")
    rows = (await usage.execute(query.order_by(n.id.desc()).limit(MOST_SUBJECTS))).all()
    heard = [row for row in rows if row.last_at is not None and row.last_at > now - GIVEN_UP]
    named = await customers_of(usage, pid, [row.id for row in heard])
    retired = sa.select(customers.c.uuid).where(customers.c.pid == pid, customers.c.archived_at.is_not(None))
    archived = set((await usage.execute(retired)).scalars())
    found: dict[str, Quiet] = {}
    keys: dict[int, str] = {}
    for row in heard:
        one = named[row.id]
        if one == ERASED or one.key in archived or what not in (ALL, one.key):
            continue
        keys[row.id] = one.key
        known = found.get(one.key)
        if known is None:
            found[one.key] = Quiet(one.name, row.first_at, row.last_at)
        else:
            known.first_at, known.last_at = min(known.first_at, row.first_at), max(known.last_at, row.last_at)
    silent = sorted((one.last_at, key) for key, one in found.items() if one.last_at < now - gap)[-MOST_SILENT:]
    quiet = {key: found[key] for _, key in silent}
    await _what_came(usage, pid, quiet, {number: key for number, key in keys.items() if key in quiet}, _past(now, zone))
    return quiet, len(found)


async def _what_came(
    usage: AsyncConnection, pid: int, quiet: Mapping[str, Quiet], keys: Mapping[int, str], hours: Sequence[datetime]
) -> None:
    if not quiet:
        return
    r = request_rollups.c
    w = counting(pid, "hour", hours[0], hours[-1] + HOUR)
    same = sa.and_(r.start_at == w.c.start_at, r.gen == w.c.gen)
    query = (
        sa.select(r.start_at, r.key1, sa.func.sum(r.n))
        .select_from(w.join(request_rollups, same))
        .where(r.pid == pid, r.cube == sa.literal(int(Cube.CUSTOMER), literal_execute=True), r.tier == "hour")
        .where(w.c.start_at.in_(hours), among(usage, r.key1, "keys"))
        .group_by(r.start_at, r.key1)
    )
    for start_at, number, n in await usage.execute(query, {"keys": sorted(keys)}):
        came = quiet[keys[number]].came
        before = came.get(start_at)
        both = Fraction(int(n)) + (before.n if before else 0)
        came[start_at] = Came(both, both)


async def deaf(main: AsyncConnection, since: datetime) -> list[Window]:
    """When Heartfly did not hear, the newest times of it; they may overlap."""
    query = sa.select(blind_intervals.c.from_at, blind_intervals.c.to_at).where(blind_intervals.c.to_at > since)
    rows = await main.execute(query.order_by(blind_intervals.c.to_at.desc()).limit(_MOST_DEAF))
    return [Window(row.from_at, row.to_at) for row in rows]


# --- endpoints


async def endpoints_now(
    usage: AsyncConnection, pid: int, what: str, *, now: datetime, zone: ZoneInfo, least: int
) -> Mapping[str, Seen]:
    """Of the last minutes: those with as many requests."""
    found = await _endpoints(usage, pid, Window(now - RECENT, now), what, now=now, zone=zone)
    return {name: one for name, one in found.items() if one.n >= least}


async def endpoints_before(
    usage: AsyncConnection, pid: int, names: Collection[str], *, now: datetime, zone: ZoneInfo, least: int
) -> Mapping[str, Sequence[Seen]]:
    """What is usual for them: the same hour of past weeks, or else the last 24 hours, without the last minutes."""
    if not names:
        return {}
    *weeks, _ = past_hours(floor(now), zone)
    past: dict[str, list[Seen]] = {name: [] for name in names}
    for hour in weeks:
        _add(past, await _endpoints(usage, pid, Window(hour, hour + HOUR), ALL, now=now, zone=zone), least)
    left = {name for name, seen in past.items() if not seen}
    if left:
        until = floor(now - RECENT)
        yesterday = await _endpoints(usage, pid, Window(until - 24 * HOUR, until), ALL, now=now, zone=zone)
        _add({name: past[name] for name in left}, yesterday, least)
    return past


def _add(past: Mapping[str, list[Seen]], found: Mapping[str, Seen], least: int) -> None:
    for name, seen in past.items():
        if (one := found.get(name)) is not None and one.n >= least:
            seen.append(one)


async def _endpoints(
    usage: AsyncConnection, pid: int, window: Window, what: str, *, now: datetime, zone: ZoneInfo
) -> Mapping[str, Seen]:
    only = () if what == ALL else (what,)
    wanted = await wanted_by(usage, pid, Asked(from_at=window.from_at, to_at=window.to_at, zone=zone, endpoints=only))
    counted = await gathered(usage, pid, wanted, [window], by=By.ENDPOINT, now=now)
    figures = await counted.figures()
    named = await endpoints_called(usage, pid, wanted, [key for _, key in figures])
    return {named[key]: _seen(one) for (_, key), one in figures.items()}


def _seen(by_status: ByStatus) -> Seen:
    total = by_status.total()
    p95 = total.percentile_ms(_P95 * ONE) if total.n_timed >= _TIMED else None
    return Seen(n=total.n, p95_ms=None if p95 is None else Fraction(p95, ONE), errors=by_status.n_of(5))
