"""Of what an answer is put together: days, hours and minutes that are summed up already, and at their edges events.

Hours that were not folded since something came are looked at event by event where those are few, so that what has just
come is in the answer; else they stand as they were folded last, and the answer says up to when it is complete.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.tiles import Tier, tiles
from heartfly.core.traffic import Cube
from heartfly.core.windows import HOUR, Window
from heartfly.db.models import events, request_rollups
from heartfly.db.models import windows as stored_windows
from heartfly.db.types import EPOCH
from heartfly.usage.settled import Settled, of_tier

FRESH = 2_000
"""So many events of hours that were not folded yet are looked at one by one; some 20 ms of computing."""
FRESH_SPANS = 60
"""And in so many spans without a gap: each is a question of its own, and so is each run of summed hours between two."""
MINUTE = timedelta(minutes=1)


class Grain(StrEnum):
    """What is summed up. Of minutes there is Cube.TOTAL only, and only lately."""

    DAY = "day"
    HOUR = "hour"
    MINUTE = "minute"


@dataclass(frozen=True, slots=True)
class Piece:
    """[from_at, to_at), of the window with that number."""

    from_at: datetime
    to_at: datetime
    n: int


@dataclass(slots=True)
class Plan:
    """`summed`: runs of pieces that follow one another without a gap. `raw`: the earliest first. `fresh`: hours that
    were not folded yet; what lies in them is raw.
    """

    complete_up_to: datetime
    summed: list[tuple[Grain, Sequence[Piece]]] = field(default_factory=list)
    raw: list[Piece] = field(default_factory=list)
    fresh: frozenset[datetime] = frozenset()


@dataclass(frozen=True, slots=True)
class Steady:
    """What holds for all questions about a time. `days`: that are summed up, and not to be made anew. `fresh`: hours
    that are looked at event by event. Not which hours are kept: who has it may ask through another transaction.
    """

    days: Sequence[Window]
    fresh: frozenset[datetime]


async def steady_in(read: AsyncConnection, pid: int, span: Window, settled: Settled) -> Steady:
    fresh = await _fresh(read, pid, settled.dirty)
    query = (
        sa.select(stored_windows.c.start_at, stored_windows.c.end_at)
        .where(
            *of_tier(pid, Tier.DAY, span.from_at, span.to_at),
            stored_windows.c.stale.is_(False),
            stored_windows.c.gen.is_not(None),
        )
        .order_by(stored_windows.c.start_at)
    )
    days = [Window(row.start_at, row.end_at) for row in await read.execute(query)]
    apart = sorted(fresh)
    return Steady([day for day in days if not _has_any(apart, day)], fresh)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is there. `thinned`: hours of which only days are kept. `without_minutes`: hours that are cut, and whose
    minutes went, however late they were folded; None: minutes do not serve.
    """

    days: Sequence[Window]
    thinned: frozenset[datetime]
    without_minutes: frozenset[datetime] | None
    fresh: frozenset[datetime]


async def plan_of(
    read: AsyncConnection,
    pid: int,
    parts: Sequence[Window],
    *,
    settled: Settled,
    up_to: datetime,
    total: bool,
    of_events: bool,
    rollups: sa.Table = request_rollups,
    steady: Steady | None = None,
    thinned: frozenset[datetime] | None = None,
) -> Plan:
    """`parts`: in order, without overlap. `up_to`: more than that cannot be complete. `total`: minutes serve.
    `of_events`: nothing does that is summed up. `rollups`: where that is. `steady`: of their time, if it is known.
    `thinned`: hours of which only days are kept, as this transaction sees it; if it is known.
    """
    plan = Plan(complete_up_to=up_to)
    if of_events:
        plan.raw = [Piece(part.from_at, part.to_at, n) for n, part in enumerate(parts)]
        return plan
    span = Window(parts[0].from_at, parts[-1].to_at)
    held = steady or await steady_in(read, pid, span, settled)
    kept = _Kept(
        days=held.days,
        thinned=await thinned_in(read, pid, span) if thinned is None else thinned,
        without_minutes=await _without_minutes(read, pid, parts, rollups) if total else None,
        fresh=held.fresh,
    )
    found: dict[Grain, list[Piece]] = {grain: [] for grain in Grain}
    for n, part in enumerate(parts):
        for tile in tiles(part, _within(kept.days, part)):
            if tile.tier is Tier.DAY:
                found[Grain.DAY].append(Piece(tile.from_at, tile.to_at, n))
            elif tile.tier is Tier.HOUR:
                for hours, is_kept in _by_hours(Piece(tile.from_at, tile.to_at, n), kept):
                    (found[Grain.HOUR] if is_kept else plan.raw).append(hours)
            else:
                for piece, is_kept in _by_minutes(Piece(tile.from_at, tile.to_at, n), kept):
                    (found[Grain.MINUTE] if is_kept else plan.raw).append(piece)
    plan.raw = _joined(plan.raw)
    plan.summed = [(grain, run) for grain in Grain for run in runs_of(found[grain])]
    plan.fresh = kept.fresh
    left = [hour for hour in settled.dirty if hour not in kept.fresh]
    plan.complete_up_to = min([up_to, *left[:1]])
    return plan


async def _without_minutes(
    read: AsyncConnection, pid: int, parts: Sequence[Window], rollups: sa.Table
) -> frozenset[datetime]:
    """Of hours that a part cuts those that had any, as they are folded now, and have no minutes of that."""
    ends = {at for part in parts for at in (part.from_at, part.to_at)}
    cut = sorted({hour for at in ends if (hour := _floor(at, HOUR)) != at})
    if not cut:
        return frozenset()
    w, r = stored_windows.c, rollups.c
    of_window = (r.pid == w.pid, r.cube == sa.literal(int(Cube.TOTAL), literal_execute=True), r.gen == w.gen)
    within = (r.tier == Grain.MINUTE.value, r.start_at >= w.start_at, r.start_at < w.end_at)
    itself = (r.tier == Grain.HOUR.value, r.start_at == w.start_at)
    has_minutes = sa.exists().where(*of_window, *within).correlate(stored_windows)
    has_any = sa.exists().where(*of_window, *itself).correlate(stored_windows)
    query = sa.select(w.start_at).where(w.pid == pid, w.tier == Grain.HOUR.value, w.start_at.in_(cut))
    found = await read.execute(query.where(w.gen.is_not(None), sa.or_(w.thinned, has_any), ~has_minutes))
    return frozenset(found.scalars())


async def thinned_in(read: AsyncConnection, pid: int, span: Window) -> frozenset[datetime]:
    """Hours of which only days are kept."""
    query = sa.select(stored_windows.c.start_at).where(
        *of_tier(pid, Tier.HOUR, span.from_at, span.to_at), stored_windows.c.thinned.is_(True)
    )
    return frozenset((await read.execute(query)).scalars())


async def _fresh(read: AsyncConnection, pid: int, dirty: Sequence[datetime]) -> frozenset[datetime]:
    """The newest of these hours, as long as they have few events and lie together. A change of prices marks all."""
    left, found = FRESH, set[datetime]()
    for hours in islice(_spans(dirty), FRESH_SPANS):
        within = (events.c.pid == pid, events.c.at >= hours[-1], events.c.at < hours[0] + HOUR)
        some = sa.select(events.c.id).where(*within).limit(left + 1)
        n = (await read.execute(sa.select(sa.func.count()).select_from(some.subquery()))).scalar_one()
        if n > left:
            too_many = sa.select(events.c.at).where(*within).order_by(events.c.at.desc()).offset(left).limit(1)
            last = (await read.execute(too_many)).scalar_one()
            return frozenset(found | {hour for hour in hours if hour > last})
        left -= n
        found |= set(hours)
    return frozenset(found)


def _spans(hours: Sequence[datetime]) -> Iterator[Sequence[datetime]]:
    """Those that follow one another without a gap, together; the newest first."""
    span: list[datetime] = []
    for hour in reversed(hours):
        if span and hour + HOUR != span[-1]:
            yield span
            span = []
        span.append(hour)
    if span:
        yield span


def _has_any(hours: Sequence[datetime], day: Window) -> bool:
    """Whether one of them, in their order, has a part in it."""
    first = bisect.bisect_right(hours, day.from_at - HOUR)
    return first < len(hours) and hours[first] < day.to_at


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Those of one window that follow one another without a gap are one: each is a question of its own."""
    found: list[Piece] = []
    for piece in pieces:
        if found and (found[-1].to_at, found[-1].n) == (piece.from_at, piece.n):
            found[-1] = Piece(found[-1].from_at, piece.to_at, piece.n)
        else:
            found.append(piece)
    return found


def _within(days: Sequence[Window], part: Window) -> Sequence[Window]:
    first = bisect.bisect_left(days, part.from_at, key=lambda day: day.from_at)
    end = bisect.bisect_left(days, part.to_at, key=lambda day: day.from_at)
    return days[first:end]


def _by_hours(hours: Piece, kept: _Kept) -> Iterator[tuple[Piece, bool]]:
    """Whole hours, cut where some must be looked at event by event; and whether they need not."""
    apart = sorted(hour for hour in kept.fresh | kept.thinned if hours.from_at <= hour < hours.to_at)
    at = hours.from_at
    for hour in apart:
        if at < hour:
            yield Piece(at, hour, hours.n), True
        yield Piece(hour, hour + HOUR, hours.n), False
        at = hour + HOUR
    if at < hours.to_at:
        yield Piece(at, hours.to_at, hours.n), True


def _by_minutes(part: Piece, kept: _Kept) -> Iterator[tuple[Piece, bool]]:
    """What is no whole hour, and whether it is summed up."""
    at = part.from_at
    while at < part.to_at:
        hour = _floor(at, HOUR)
        until = min(part.to_at, hour + HOUR)
        lacking = kept.without_minutes
        yield from _of_hour(Piece(at, until, part.n), serves=lacking is not None and hour not in lacking | kept.fresh)
        at = until


def _of_hour(part: Piece, *, serves: bool) -> Iterator[tuple[Piece, bool]]:
    if not serves:
        yield part, False
        return
    end = _floor(part.to_at, MINUTE)
    first = min(end, _ceil(part.from_at, MINUTE))
    for from_at, to_at, is_kept in ((part.from_at, first, False), (first, end, True), (end, part.to_at, False)):
        if from_at < to_at:
            yield Piece(from_at, to_at, part.n), is_kept


def hours_in(span: Window, now: datetime) -> Iterator[Window]:
    """The hours of UTC that have begun, cut to the span."""
    at = span.from_at
    while at < span.to_at and (at == span.from_at or at <= now):
        end = min(span.to_at, _floor(at, HOUR) + HOUR)
        yield Window(at, end)
        at = end


def _floor(at: datetime, step: timedelta) -> datetime:
    return at - (at - EPOCH) % step


def _ceil(at: datetime, step: timedelta) -> datetime:
    return at + -(at - EPOCH) % step


def runs_of(pieces: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    """Those that follow one another, together: one query for each."""
    run: list[Piece] = []
    for piece in pieces:
        if run and run[-1].to_at != piece.from_at:
            yield run
            run = []
        run.append(piece)
    if run:
        yield run
