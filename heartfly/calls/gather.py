"""What calls come to, by window and by whatever they are told apart by: out of cubes, and at their edges out of events.

Which cube serves is core/calls.py's. Each window of rollups is a seek by its generation, so that a day costs the same
however many others there are; the database puts rows of one key together, whose exact amounts are added up here.
"""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.calls.asked import OTHERS, UNKNOWN_STATUS, Filters, Wanted
from heartfly.calls.block import Count, Key, Value
from heartfly.calls.known import Known, known_by
from heartfly.calls.single import Singles
from heartfly.calls.waiting import Look
from heartfly.calls.wanted import wanted_by
from heartfly.core.calls import KEYS, WITH_STATUS, CallFigures, Cube, Dimension, Named
from heartfly.core.tiles import state_of
from heartfly.core.windows import HOUR, Window
from heartfly.db.models import call_rollups
from heartfly.db.prepared import among
from heartfly.db.types import EPOCH
from heartfly.traffic.asked import Trust
from heartfly.traffic.counting import counting
from heartfly.traffic.gather import MOST_SINGLE
from heartfly.traffic.named import customers_of
from heartfly.traffic.plan import Grain, Piece, Plan, plan_of
from heartfly.usage.call_reading import added_up, sums_of
from heartfly.usage.calls import Measures, Row
from heartfly.usage.seal import has_sealed
from heartfly.usage.settled import Settled

_HALF = 1 << 32


@dataclass(slots=True)
class Gathered:
    """By window and key. `names`: of customers, by the key that a filter takes."""

    by: Sequence[Dimension]
    figures: dict[tuple[int, tuple[str, ...]], CallFigures]
    names: Mapping[str, str]
    trust: Trust
    n_singles: int = 0


@dataclass(slots=True)
class _Question:
    read: AsyncConnection
    pid: int
    known: Known
    wanted: Wanted
    by: Sequence[Dimension]
    times: bool
    settled: Settled
    plan: Plan
    trust: Trust
    found: dict[tuple[int, Key], CallFigures] = field(default_factory=dict)

    def at(self, n: int, key: Key) -> CallFigures:
        figures = self.found.get((n, key))
        if figures is None:
            figures = self.found[n, key] = CallFigures()
        return figures


async def gathered(
    read: AsyncConnection,
    pid: int,
    parts: Sequence[Window],
    *,
    by: Sequence[Dimension],
    filters: Filters,
    now: datetime,
    up_to: datetime | None = None,
    times: bool = True,
) -> Gathered:
    """`parts`: in order, without overlap, at least one. `up_to`: of an answer that ends within the last of them.
    `times`: also how long they took, which costs as much again. InvalidValueError.
    """
    span = Window(parts[0].from_at, parts[-1].to_at)
    by = list(dict.fromkeys(by))
    wanted = await wanted_by(read, pid, span, filters=filters, by=by)
    known = known_by(read, pid)
    settled = await known.settled(read, span, now)
    plan = await plan_of(
        read,
        pid,
        parts,
        settled=settled,
        up_to=min(up_to or span.to_at, now),
        total=wanted.cube is Cube.TOTAL,
        of_events=wanted.cube is None,
        rollups=call_rollups,
        steady=None if wanted.cube is None else await known.steady(read, span, now),
        thinned=None if wanted.cube is None else await known.thinned(read, span),
    )
    trust = Trust(
        state=state_of(span, now, settled.days, settled.unsettled),
        complete_up_to=plan.complete_up_to,
        of_events=wanted.cube is None,
    )
    question = _Question(read, pid, known, wanted, by, times, settled, plan, trust)
    n_singles = 0
    if not wanted.is_nobody:
        n_singles = await _take_singles(question)
        if wanted.cube is not None and all(wanted.numbers.values()):
            for grain, run in plan.summed:
                await _take_rows(question, wanted.cube, grain, run)
    figures, names = await _named(question)
    return Gathered(by, figures, names, question.trust, n_singles)


# --- out of cubes


async def _take_rows(question: _Question, cube: Cube, grain: Grain, run: Sequence[Piece]) -> None:
    read, r = question.read, call_rollups.c
    keys = _columns(cube, question.by)
    several = grain is Grain.MINUTE or run[0].n != run[-1].n
    groups: list[sa.ColumnElement[Any]] = [*([r.start_at] if several else []), *keys.values(), r.measures]
    query, given = _rows(question, cube, grain, run, *groups, *_sums(question, cube))
    rows = (await read.execute(query.group_by(*groups), given)).all()
    at_measures = several + len(keys)
    called = await question.known.measures(read, {row[at_measures] for row in rows})
    values = await _values(question, keys)
    begins = [piece.from_at for piece in run]
    for row in rows:
        n = _number_of(row[0], run, begins) if several else run[0].n
        if n is not None:
            key = values(row[several:at_measures])
            _take(question.at(n, key), row[at_measures + 1 :], called[row[at_measures]])


def _sums(question: _Question, cube: Cube) -> list[sa.ColumnElement[Any]]:
    return sums_of(question.read, times=question.times, ends=cube in WITH_STATUS)


def _columns(cube: Cube, by: Sequence[Dimension]) -> dict[Named | str, sa.ColumnElement[Any]]:
    """Those of the cube's keys that must be told apart."""
    r = call_rollups.c
    kinds = {_KIND[one] for one in by}
    found: dict[Named | str, sa.ColumnElement[Any]] = {
        kind: column
        for kind, column in zip(KEYS[cube], (r.key1, r.key2), strict=True)
        if kind is not None and kind in kinds
    }
    if Dimension.STATUS in by:
        found["status"] = r.status
    return found


_KIND = {
    Dimension.PROVIDER: Named.PRODUCT,
    Dimension.MODEL: Named.PRODUCT,
    Dimension.ENDPOINT: Named.ENDPOINT,
    Dimension.CUSTOMER: Named.SUBJECT,
    Dimension.USER: Named.USER,
    Dimension.KEY: Named.KEY,
    Dimension.TAG: Named.TAG,
    Dimension.STATUS: None,
}


_OTHER_PRODUCTS = OTHERS, OTHERS


class _Values:
    """The values of the dimensions that were asked for, of the keys of a row."""

    def __init__(
        self,
        by: Sequence[Dimension],
        names: Mapping[Named, Mapping[int, str]],
        products: Mapping[int, tuple[str, str]],
        keys: Sequence[Any],
    ) -> None:
        self._by = by
        self._names = names
        self._products = products
        self._places = [keys.index("status" if _KIND[one] is None else _KIND[one]) for one in by]

    def __call__(self, numbers: Sequence[int]) -> Key:
        return tuple(self._value(one, numbers[place]) for one, place in zip(self._by, self._places, strict=True))

    def _value(self, dimension: Dimension, number: int) -> Value:
        kind = _KIND[dimension]
        if kind is None or kind is Named.SUBJECT:
            return number
        if kind is not Named.PRODUCT:
            return self._names[kind].get(number, OTHERS)
        return self._products.get(number, _OTHER_PRODUCTS)[dimension is Dimension.MODEL]


async def _values(question: _Question, keys: Mapping[Named | str, Any]) -> _Values:
    read, known = question.read, question.known
    names: dict[Named, Mapping[int, str]] = {
        kind: await known.names(read, kind)
        for kind in Named
        if kind in keys and kind not in {Named.SUBJECT, Named.PRODUCT}
    }
    products = await known.products(read) if Named.PRODUCT in keys else {}
    return _Values(question.by, names, products, list(keys))


def _rows(
    question: _Question, cube: Cube, grain: Grain, run: Sequence[Piece], *columns: sa.ColumnElement[Any]
) -> tuple[sa.Select[Any], Mapping[str, Any]]:
    """Of a run of windows, of the generations that count. Of minutes also some that lie before or behind."""
    r, wanted = call_rollups.c, question.wanted
    from_at, to_at = run[0].from_at, run[-1].to_at
    if grain is Grain.MINUTE:
        w = counting(question.pid, Grain.HOUR.value, from_at - HOUR, to_at)
        same = [r.start_at >= w.c.start_at, r.start_at < w.c.end_at, r.gen == w.c.gen]
    else:
        w = counting(question.pid, grain.value, from_at, to_at)
        same = [r.start_at == w.c.start_at, r.gen == w.c.gen]
    of_cube = r.cube == sa.literal(int(cube), literal_execute=True)
    asked = [r.pid == question.pid, of_cube, r.tier == grain.value]
    given: dict[str, Any] = {}
    for kind, column in zip(KEYS[cube], (r.key1, r.key2), strict=True):
        numbers = None if kind is None else wanted.numbers.get(kind)
        if numbers is None:
            continue
        if len(numbers) == 1:
            asked.append(column == min(numbers))
        else:
            asked.append(among(question.read, column, str(kind)))
            given[str(kind)] = sorted(numbers)
    if wanted.statuses:
        asked.append(sa.or_(*(r.status.between(low, high) for low, high in wanted.statuses)))
    query = sa.select(*columns).select_from(w.join(call_rollups, sa.and_(*same))).where(*asked)
    first, second = (kind is not None and kind in wanted.numbers for kind in KEYS[cube])
    if second and not first:
        # Without statistics SQLite takes the primary key, and walks down all pairs of a window.
        query = query.with_hint(call_rollups, "INDEXED BY ix_call_rollups_paired", "sqlite")
    return query, given


def _number_of(start_at: datetime, run: Sequence[Piece], begins: Sequence[datetime]) -> int | None:
    """Of which window the piece is that begins, or goes on, there."""
    piece = run[max(0, bisect.bisect_right(begins, start_at) - 1)]
    return piece.n if piece.from_at <= start_at < piece.to_at else None


def _take(into: CallFigures, told: Sequence[Any], measures: Measures) -> None:
    """`told`: the columns of `sums_of`."""
    n, n_errors, n_timed, n_unpriced, n_odd, us, us_low, longest, latencies, amounts, first_at, last_at = told
    into.n += n
    into.n_errors += n_errors
    into.n_unpriced += n_unpriced
    into.n_odd += n_odd
    times = into.times
    times.n += n
    times.n_timed += n_timed
    times.latency_us += us * _HALF + us_low
    times.latency_max_us = max(times.latency_max_us, longest)
    if latencies is not None:
        times.add_packed(latencies)
    into.add(measures, added_up(amounts, measures))
    into.note(first_at, last_at)


# --- out of events


async def _take_singles(question: _Question) -> int:
    """How many events were looked at."""
    plan, read, pid = question.plan, question.read, question.pid
    if not plan.raw:
        return 0
    look = await _look(question)
    singles, count, n = Singles(read, pid, question.wanted), Count(question.by, question.wanted), 0
    is_partial = False
    pieces = [one for piece in plan.raw for one in _apart(piece, () if look is None else plan.fresh)]
    for piece, waits in reversed(pieces):
        if n >= MOST_SINGLE:
            is_partial = True
            break
        if look is not None and waits:
            is_partial = is_partial or look.is_sealed(piece.from_at, piece.to_at)
            for block, lines in look.between(piece.from_at, piece.to_at):
                count.add(block, piece.n, block.wanted(question.wanted, lines))
                n += len(lines)
            continue
        # Of a time that is sealed the events are gone: what it came to stays, but not by the minute.
        is_partial = is_partial or await has_sealed(read, pid, piece.from_at, piece.to_at)
        async for some in singles.between(piece.from_at, piece.to_at):
            if some.block is not None:
                count.add(some.block, piece.n, some.lines)
            n += some.n
            if n >= MOST_SINGLE and some.last is not None:
                is_partial = True
                break
    for window, key, row in count.rows():
        _take_row(question.at(window, key), row)
    if is_partial:
        question.trust = replace(question.trust, partial=True)
    return n


async def _look(question: _Question) -> Look | None:
    """At what is not folded yet; None: there is nothing of it in this."""
    plan, known = question.plan, question.known
    hours = {hour for piece in plan.raw for hour in _hours(piece) if hour in plan.fresh} if plan.fresh else set()
    type_id = await known.type_id(question.read) if hours else None
    if type_id is None:
        return None
    marks = question.settled.marks
    return await known.waiting.look(question.read, type_id, {hour: marks[hour] for hour in hours})


def _hours(piece: Piece) -> Iterator[datetime]:
    at = piece.from_at - (piece.from_at - EPOCH) % HOUR
    while at < piece.to_at:
        yield at
        at += HOUR


def _apart(piece: Piece, fresh: Collection[datetime]) -> Iterator[tuple[Piece, bool]]:
    """What of it lies in these hours, and what does not; the earliest first."""
    if not fresh:
        yield piece, False
        return
    for waits, hours in groupby(_hours(piece), key=fresh.__contains__):
        some = list(hours)
        yield Piece(max(piece.from_at, some[0]), min(piece.to_at, some[-1] + HOUR), piece.n), waits


def _take_row(into: CallFigures, row: Row) -> None:
    into.n += row.n
    into.n_errors += row.n_errors
    into.n_unpriced += row.n_unpriced
    into.n_odd += row.n_odd
    times = into.times
    times.n += row.n
    times.n_timed += row.n_timed
    times.latency_us += row.latency_us
    times.latency_max_us = max(times.latency_max_us, row.latency_max_us)
    if row.latencies is not None:
        times.add_packed(row.latencies)
    into.add(row.measures, row.amounts)
    into.note(row.first_at, row.last_at)


# --- what keys are called


async def _named(question: _Question) -> tuple[dict[tuple[int, tuple[str, ...]], CallFigures], Mapping[str, str]]:
    """A customer may be known by several names: his are one."""
    places = [place for place, one in enumerate(question.by) if one is Dimension.CUSTOMER]
    subjects = {int(key[place]) for _, key in question.found for place in places}
    customers = await customers_of(question.read, question.pid, subjects) if subjects else {}
    found: dict[tuple[int, tuple[str, ...]], CallFigures] = {}
    for (n, key), figures in question.found.items():
        called = tuple(
            customers[int(value)].key
            if dimension is Dimension.CUSTOMER
            else _status(int(value))
            if dimension is Dimension.STATUS
            else str(value)
            for dimension, value in zip(question.by, key, strict=True)
        )
        if (n, called) in found:
            found[n, called].merge(figures)
        else:
            found[n, called] = figures
    return found, {one.key: one.name for one in customers.values()}


def _status(status: int) -> str:
    return str(status) if status else UNKNOWN_STATUS
