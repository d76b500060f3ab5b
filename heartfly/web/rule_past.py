"""The last seven days of an alert rule, for a page: a picture, where it would have fired, and what to think of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from heartfly.core.alert_rules import Rule
from heartfly.core.rule_words import condition_words, figure_words, scope_words
from heartfly.errors import HeartflyError
from heartfly.rules.backtest import Backtest, Point, backtest
from heartfly.rules.seeing import deaf_times, reads_of, whole_minute
from heartfly.web.request import PageRequest

MOST_TOLD = 50
_WIDE = 92
"""Percent of a step that its bar fills."""


@dataclass(frozen=True, slots=True)
class Bar:
    """In percent of the picture. `beyond`: the figure is past what it is compared with."""

    x: float
    width: float
    height: float
    beyond: bool


@dataclass(frozen=True, slots=True)
class Span:
    scope: str
    from_at: datetime
    to_at: datetime | None


@dataclass(slots=True)
class Shown:
    """`warnings`: conditions that never held, or always did. `unknown`: why there is nothing to see."""

    unknown: str = ""
    told: Backtest | None = None
    bars: list[Bar] = field(default_factory=list)
    line: float | None = None
    """How high the limit is, where it is the same all along."""
    top: str = ""
    middle: str = ""
    fired: list[Span] = field(default_factory=list)
    n_more: int = 0
    warnings: list[str] = field(default_factory=list)
    days: str = ""
    least: int = 0
    """Of fewer the condition says nothing, though the picture shows them."""


async def past_of(request: PageRequest, rule: Rule) -> Shown:
    api = request.api
    now = whole_minute(api.clock.now())
    try:
        async with api.database.read() as main, api.usage.read() as usage:
            reads = await reads_of(main, usage, request.project.pid, now=now)
            told = await backtest(reads, rule, await deaf_times(main, now=now), now=now)
    except HeartflyError as error:
        return Shown(unknown=f"it cannot be looked at: {error}")
    return shown(rule, told)


def shown(rule: Rule, told: Backtest) -> Shown:
    found = Shown(unknown=told.unknown, told=told, least=rule.conditions[0].least or 0)
    found.days = "the last 7 days" if (told.to_at - told.from_at).days >= 7 else "the last 24 hours"
    if told.unknown:
        return found
    found.warnings = [
        f"“{condition_words(condition)}” {'never' if one.never else 'always'} held in {found.days}"
        for condition, one in zip(rule.conditions, told.conditions, strict=True)
        if one.never or one.always
    ]
    found.fired = [
        Span(scope_words(rule.by, told.names.get(one.scope, one.scope)), one.from_at, one.to_at)
        for one in told.fired[:MOST_TOLD]
    ]
    found.n_more = len(told.fired) - len(found.fired)
    _draw(found, rule, told.points)
    return found


def _draw(found: Shown, rule: Rule, points: Sequence[Point]) -> None:
    first = rule.conditions[0]
    known = [one.value for one in points if one.value is not None]
    limits = [one.limit for one in points if one.limit is not None]
    top = max([*known, *limits], default=Fraction())
    if not known or top <= 0:
        return
    step = Fraction(100, len(points))
    for n, one in enumerate(points):
        if one.value is None or one.value <= 0:
            continue
        beyond = one.limit is not None and first.op.holds(one.value, one.limit)
        found.bars.append(
            Bar(_percent(n * step), _percent(step * _WIDE / 100), _percent(100 * one.value / top), beyond)
        )
    if limits and len(set(limits)) == 1:
        found.line = _percent(100 - 100 * limits[0] / top)
    found.top, found.middle = figure_words(first, top), figure_words(first, top / 2)


def _percent(value: Fraction) -> float:
    """For a place in a picture; figures beside it are exact."""
    return round(float(value), 3)
