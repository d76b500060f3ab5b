"""Costs as pictures and sentences: a bar a window, each currency for itself. Money in, paths and words out.

Bars are drawn from rounded heights; every figure beside them is exact or says that it is rounded (money_words.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from heartfly.core.money import Money
from heartfly.core.windows import Size
from heartfly.web import money_words
from heartfly.web.calls_panels import Course
from heartfly.web.traffic_charts import HEIGHT, Across, Picture, Point, bar_at, fields, marks, spark, top_of


@dataclass(frozen=True, slots=True)
class OfCurrency:
    """`picture` None: there is nothing to draw. `rows`: the newest first, each with its window and money."""

    currency: str
    total: Money
    picture: Picture | None
    said: str
    spark: str
    rows: Sequence[tuple[Point, Money]]


def by_currency(course: Course, zone: ZoneInfo, size: Size, clock: Callable[[datetime], str]) -> Sequence[OfCurrency]:
    """The currency that most windows have comes first."""
    counts: dict[str, int] = {}
    for figures in course.figures:
        for currency in figures.cost:
            counts[currency] = counts.get(currency, 0) + 1
    made = []
    for currency in sorted(counts, key=lambda one: (-counts[one], one)):
        money = [figures.cost.get(currency, 0) for figures in course.figures]
        made.append(
            OfCurrency(
                currency=currency,
                total=sum(money),
                picture=_bars(course.points, money, currency, zone, size),
                said=_sentence(course.points, money, currency, clock),
                spark=spark([float(money_words.decimal_of(one)) for one in money]),
                rows=list(reversed(list(zip(course.points, money, strict=True)))),
            )
        )
    return made


def _bars(points: Sequence[Point], money: Sequence[Money], currency: str, zone: ZoneInfo, size: Size) -> Picture | None:
    values = [float(money_words.decimal_of(one)) for one in money]
    if not points or max(values, default=0.0) <= 0:
        return None
    across, top = Across(points), top_of(max(values))
    bars, is_open = [], []
    for point, value in zip(points, values, strict=True):
        left, wide = across.bar(point.window)
        high = max(value * HEIGHT / top, 0.4) if value > 0 else 0.0
        if high:
            bars.append(bar_at(left, wide, HEIGHT - high, high))
        if point.open:
            is_open.append(f"M{left} {HEIGHT}V{min(HEIGHT - high, HEIGHT - 2):.2f}h{wide}V{HEIGHT}")
    paths = [("c-2xx", "".join(bars))] + ([("open", "".join(is_open))] if is_open else [])
    labels = [f"{currency} {_label(top)}", _label(top / 2), "0"]
    return Picture(paths, labels, marks(points, zone, size), fields(points))


def _label(value: float) -> str:
    return f"{Decimal(repr(value)).normalize():,f}"


def _sentence(points: Sequence[Point], money: Sequence[Money], currency: str, clock: Callable[[datetime], str]) -> str:
    total = money_words.told(sum(money), currency)
    place = max(range(len(money)), key=lambda n: money[n])
    most = money_words.told(money[place], currency)
    return f"{total} in all, the most at {clock(points[place].window.from_at)} ({most})."
