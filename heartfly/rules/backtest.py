"""Where a rule would have fired in the last days: the same conditions and the same life, over what rollups know.

The past is looked at in steps of an hour; that of a rule whose windows are shorter, in steps of its shortest window,
and no further back than minutes are kept. The last look is one of now, as the job makes it, so that the hour that runs
is in it. What cannot be known of the past is said, and never shown as calm.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import accumulate

from heartfly.core.alert_rules import Against, Condition, Metric, Past, Rule, Scope, Seen, base_of, limit_of
from heartfly.core.rule_states import Counted, Fired, replay
from heartfly.core.windows import HOUR, Window
from heartfly.db.types import EPOCH
from heartfly.rules.figures import Row, Table, figure, projected
from heartfly.rules.seeing import Sight, deaf_in, unheard_in
from heartfly.rules.sources import SOURCES
from heartfly.rules.sources.base import Reads

SPAN = timedelta(days=7)
SHORT_SPAN = timedelta(days=1)
SHORTEST_STEP = timedelta(minutes=5)
MOST_SCOPES = 50
_MOST_MERGED = 24
"""Hours whose times are put together for each look."""


@dataclass(frozen=True, slots=True)
class Point:
    """Of a look: the greatest value of the first condition in any scope, and with what it is compared there."""

    at: datetime
    value: Fraction | None
    limit: Fraction | None


@dataclass(slots=True, kw_only=True)
class Backtest:
    """`unknown`: why the past cannot be told; empty: it can. `names`: of scopes, for people."""

    from_at: datetime
    to_at: datetime
    step: timedelta
    fired: list[Fired] = field(default_factory=list)
    conditions: list[Counted] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    names: dict[Scope, Scope] = field(default_factory=dict)
    n_scopes: int = 0
    unknown: str = ""


async def backtest(reads: Reads, rule: Rule, deaf: Sequence[Window], *, now: datetime) -> Backtest:
    """HeartflyError: it cannot be looked at at all, as when its meter is gone."""
    step, span = step_of(rule)
    to_at = now - (now - EPOCH) % step
    told = Backtest(from_at=to_at - span, to_at=to_at, step=step)
    told.unknown = next(filter(None, (_hindrance(one, step) for one in rule.conditions)), "")
    if told.unknown:
        return told
    pasts = [await _past(reads, rule, one, told, deaf) for one in rule.conditions]
    scopes = _scopes(rule, pasts)
    told.n_scopes = len(scopes)
    for past in pasts:
        told.names |= {scope: past.names[scope] for scope in scopes if scope in past.names}
    looks = list(_looks(told, pasts, scopes))
    if told.to_at < now:
        looks.append((now, await _at_present(reads, rule, deaf, told, now=now)))
        told.to_at = now
    replayed = replay(rule, looks)
    told.fired, told.conditions = replayed.fired, replayed.conditions
    told.points = [_point(rule.conditions[0], at, seen) for at, seen in looks]
    return told


async def _at_present(
    reads: Reads, rule: Rule, deaf: Sequence[Window], told: Backtest, *, now: datetime
) -> Mapping[Scope, Sequence[Seen]]:
    """What a reading raises is raised: the read it is part of says what was wrong, such as that it took too long."""
    sight = Sight(now, deaf)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Reads]:
        yield reads

    await sight.read(opened, [rule], apart=False)
    seen = sight.of(rule, told.names)
    told.names |= {scope: sight.names(rule, scope) for scope in seen if scope not in told.names}
    told.n_scopes = max(told.n_scopes, len(seen))
    return seen


def step_of(rule: Rule) -> tuple[timedelta, timedelta]:
    """And how far back."""
    shortest = min(one.window for one in rule.conditions)
    if shortest >= HOUR:
        return HOUR, SPAN
    return max(SHORTEST_STEP, shortest - (shortest % SHORTEST_STEP)), SHORT_SPAN


def _hindrance(condition: Condition, step: timedelta) -> str:
    source = SOURCES.get(condition.of)
    if source is None:
        return f"this Heartfly knows no {condition.of.value}"
    if not source.has_past:
        return f"of {condition.of.value} only the present is known: how much was used is not kept over time"
    if condition.metric is Metric.CONSECUTIVE_ERRORS:
        return "errors in a row are counted event by event, which is not done for past days"
    if condition.metric is Metric.LATENCY and -(-condition.window // step) > _MOST_MERGED:
        return f"times of more than {_MOST_MERGED} hours are not put together for past days"
    return ""


@dataclass(slots=True)
class _Series:
    """Sums up to each bucket, so that any window is a difference."""

    n: list[int]
    errors: list[int]
    value: list[Fraction]
    rows: list[Row | None]
    adds: bool

    def between(self, first: int, end: int) -> tuple[int, int, Fraction]:
        return self.n[end] - self.n[first], self.errors[end] - self.errors[first], self.value[end] - self.value[first]


@dataclass(slots=True)
class _Past:
    condition: Condition
    begins: datetime
    step: timedelta
    series: dict[Scope, _Series]
    names: dict[Scope, Scope]
    first_at: datetime | None
    deaf: Sequence[Window]

    def seen(self, scope: Scope, at: datetime) -> Seen:
        size = -(-self.condition.window // self.step)
        end = (at - self.begins) // self.step
        value, n = self._figure(scope, end - size, end)
        window = Window(at - self.condition.window, at)
        one = self.series.get(scope)
        adds = self.condition.metric not in {Metric.ERROR_RATE, Metric.LATENCY} and (one is None or one.adds)
        return Seen(
            value=value,
            n=n,
            base=self._base(scope, at, end - size, end, adds=adds),
            unheard=unheard_in(self.deaf, window),
            adds=adds,
        )

    def _base(self, scope: Scope, at: datetime, first: int, end: int, *, adds: bool) -> Fraction | None:
        back = self.condition.baseline
        if back is None:
            return None
        is_burn = self.condition.against is Against.BURN
        to, to_at = (end, at) if is_burn else (first, at - self.condition.window)
        total, n = self._figure(scope, max(0, to - -(-back // self.step)), to)
        if self.condition.against is Against.ABSENCE:
            total = Fraction(n)
        window = Window(to_at - back, to_at)
        past = Past(window.from_at, window.to_at, self.first_at, deaf_in(self.deaf, window))
        return base_of(self.condition, total, past, adds=adds)

    def _figure(self, scope: Scope, first: int, end: int) -> tuple[Fraction | None, int]:
        one = self.series.get(scope)
        if one is None:
            told = figure(self.condition, None)
            return told.value, 0
        n, errors, value = one.between(max(0, first), end)
        match self.condition.metric:
            case Metric.ERROR_RATE:
                return (Fraction(errors * 100, n) if n else None), n
            case Metric.LATENCY:
                merged = Row()
                for row in one.rows[max(0, first) : end]:
                    if row is not None:
                        merged.merge(row)
                return figure(self.condition, merged).value, n
            case Metric.VALUE if not one.adds:
                if end - first > 1:
                    return None, n
                row = one.rows[end - 1]
                return (None if row is None else row.value), n
            case _:
                return value, n


async def _past(reads: Reads, rule: Rule, condition: Condition, told: Backtest, deaf: Sequence[Window]) -> _Past:
    source = SOURCES[condition.of]
    what = source.what(condition, rule.by)
    back = condition.window + (condition.baseline or timedelta())
    n_back = -(-back // told.step)
    n = n_back + (told.to_at - told.from_at) // told.step
    begins = told.to_at - n * told.step
    windows = [Window(begins + i * told.step, begins + (i + 1) * told.step) for i in range(n)]
    tables = [
        projected(table, what.dims, rule.by, condition.where) for table in await source.series(reads, what, windows)
    ]
    much: dict[Scope, int] = {}
    names: dict[Scope, Scope] = {}
    for table in tables:
        for scope, row in table.items():
            much[scope] = much.get(scope, 0) + row.n
            names[scope] = row.names
    largest = sorted(much, key=lambda scope: (-much[scope], scope))[:MOST_SCOPES]
    series = {scope: _series(condition, tables, scope) for scope in largest}
    return _Past(condition, begins, told.step, series, names, await source.first_at(reads), deaf)


def _series(condition: Condition, tables: Sequence[Table], scope: Scope) -> _Series:
    rows = [table.get(scope) for table in tables]
    values = [figure(condition, row).value or Fraction() if row is not None else Fraction() for row in rows]
    if condition.metric in {Metric.ERROR_RATE, Metric.LATENCY}:
        values = [Fraction()] * len(rows)
    return _Series(
        n=[0, *accumulate(0 if row is None else row.n for row in rows)],
        errors=[0, *accumulate(0 if row is None else row.errors for row in rows)],
        value=[Fraction(), *accumulate(values)],
        rows=rows,
        adds=all(row is None or row.adds for row in rows),
    )


def _scopes(rule: Rule, pasts: Sequence[_Past]) -> list[Scope]:
    if not rule.by:
        return [()]
    return sorted({scope for past in pasts for scope in past.series})[:MOST_SCOPES]


def _looks(
    told: Backtest, pasts: Sequence[_Past], scopes: Sequence[Scope]
) -> Iterator[tuple[datetime, Mapping[Scope, Sequence[Seen]]]]:
    at = told.from_at + told.step
    while at <= told.to_at:
        yield at, {scope: tuple(past.seen(scope, at) for past in pasts) for scope in scopes}
        at += told.step


def _point(condition: Condition, at: datetime, seen: Mapping[Scope, Sequence[Seen]]) -> Point:
    known = [one[0] for one in seen.values() if one[0].value is not None]
    if not known:
        return Point(at, None, None)
    pick = max if condition.op.is_upward else min
    chosen = pick(known, key=lambda one: one.value or Fraction())
    limit = None if condition.against is Against.ABSENCE else limit_of(condition, chosen)
    return Point(at, chosen.value, limit)
