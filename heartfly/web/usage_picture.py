"""A meter's figures as a picture, over a scale whose labels are exact; and how a figure is told in words.

A percentile is told to as many digits as it holds: how far it can be wrong is decided in core/sketches.py. The picture
is stretched to its place, so labels stand beside it, or at a percentage of its width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from heartfly.core.amounts import ONE, Amount, decimal_of, text_of
from heartfly.core.meters import Aggregation
from heartfly.core.sketches import spelled
from heartfly.core.tiles import State
from heartfly.core.versions import spans
from heartfly.core.windows import Window
from heartfly.usage.answers import Answer, Item
from heartfly.usage.meter_queries import Stored
from heartfly.web.traffic_words import grouped

_MARKS = 6
"""Labels below the picture, at most: more do not fit on a phone."""
_STEPS = (1, 2, 4, 5, 10)
"""Of the scale's top, times a power of ten: half of each is a short number, too."""
_ADDITIVE = frozenset({Aggregation.COUNT, Aggregation.SUM})
_DOUBT = (State.OPEN, State.PROVISIONAL, State.AMENDED, State.FINAL)


@dataclass(frozen=True, slots=True)
class Bar:
    """Of a window's figure, in percent of the picture's width and height. `sure`: its days were proved."""

    x: float
    width: float
    height: float
    sure: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class Picture:
    """`scale`: labels from the top down to 0. `marks`: below it, by percent of the width. `has_below`: some figures are
    below 0, and have no bar.
    """

    bars: Sequence[Bar]
    scale: Sequence[str]
    marks: Sequence[tuple[float, str]]
    has_below: bool


@dataclass(frozen=True, slots=True)
class Total:
    """Of all that was asked for together. `adds_up`: it is the sum of the figures."""

    told: str
    n: int
    state: State
    adds_up: bool


def told(value: Amount | None, aggregation: Aggregation) -> str:
    """To the last digit, thousands apart; an estimate with how far the true one may be."""
    if value is None:
        return "–"
    return grouped(spelled(value) if aggregation is Aggregation.PERCENTILE else text_of(value))


def aggregation_in(stored: Stored, window: Window) -> Aggregation:
    """How the figures of a window add up: all versions that count there agree on that."""
    here = spans(stored.versions, window.from_at, window.to_at)
    return (here[0].version if here else stored.newest).meter.aggregation


def drawn(items: Sequence[Item], zone: ZoneInfo, *, by: str) -> Picture | None:
    """`by`: the size of the windows."""
    if not items:
        return None
    from_at, to_at = items[0].window.from_at, items[-1].window.to_at
    whole = (to_at - from_at).total_seconds()
    top = _top(max(one.value or 0 for one in items))
    bars = [
        Bar(
            x=round(100 * (one.window.from_at - from_at).total_seconds() / whole, 3),
            width=round(92 * (one.window.to_at - one.window.from_at).total_seconds() / whole, 3),
            height=float(round(100 * decimal_of(max(0, one.value or 0)) / decimal_of(top), 2)),
            sure=one.state in {State.FINAL, State.AMENDED},
            at=one.window.from_at,
        )
        for one in items
    ]
    step = -(-len(bars) // _MARKS)
    is_short = to_at.astimezone(zone).date() <= _next(from_at.astimezone(zone).date())
    marks = [(bar.x, _mark(bar.at.astimezone(zone), by, is_short=is_short)) for bar in bars[::step] if bar.x < 94]
    scale = [f"{decimal_of(one):,}" for one in (top, top // 2, 0)]
    return Picture(bars, scale, marks, any((one.value or 0) < 0 for one in items))


def total_of(items: Sequence[Item], aggregation: Aggregation) -> Total | None:
    """What the figures of all windows, without groups, come to. None: they do not add up, it must be asked for."""
    if aggregation not in _ADDITIVE or not items:
        return None
    worst = min((one.state for one in items), key=_DOUBT.index)
    return Total(
        grouped(text_of(sum(one.value or 0 for one in items))), sum(one.n for one in items), worst, adds_up=True
    )


def alone(found: Answer, stored: Stored) -> Total | None:
    """The one figure of a time that was asked for as a whole. None: it has more, for it adds up in several ways."""
    if len(found.items) != 1:
        return None
    (one,) = found.items
    aggregation = aggregation_in(stored, one.window)
    return Total(told(one.value, aggregation), one.n, one.state, aggregation in _ADDITIVE)


def _top(most: Amount) -> Amount:
    """The shortest number above all figures, of which half is short as well. Never 0."""
    if most <= 0:
        return ONE
    unit: Amount = 10 ** (len(str(most)) - 1)
    return next(step * unit for step in _STEPS if step * unit >= most)


def _mark(at: datetime, by: str, *, is_short: bool) -> str:
    if by == "month":
        return f"{at:%b %Y}"
    return f"{at:%H:%M}" if by == "hour" and is_short else f"{at.day} {at:%b}"


def _next(day: date) -> date:
    return date.fromordinal(day.toordinal() + 1)
