"""Requests by two things at once as a table of coloured cells: by endpoint and time, by weekday and hour.

The number stands in each cell, and colour only helps: its steps are the same whatever is shown, but for how many
requests there were, which is told beside the most of them. A percentile of few requests is marked as such.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isqrt

from heartfly.core.amounts import ONE
from heartfly.core.windows import HOUR, Window
from heartfly.traffic.asked import ByStatus, Heat
from heartfly.web.traffic_view import View, ceil
from heartfly.web.traffic_words import Summed, count, exact, measured, percent, short_ms, summed

FEW = 20
"""Fewer samples than that are no percentile to build on."""
_BY_MS = (50, 100, 250, 500, 1_000)
_BY_SHARE = (Decimal(0), Decimal("0.1"), Decimal(1), Decimal(5), Decimal(10))
LEVELS = {
    "p95": "steps at 50, 100, 250, 500 and 1,000 ms", "p99": "steps at 50, 100, 250, 500 and 1,000 ms",
    "errors": "steps at 0, 0.1, 1, 5 and 10 %", "requests": "the more, the darker",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cell:
    """`level`: 0 to 5. `few`: of too few samples. `said`: all that is known of it."""

    text: str
    level: int
    few: bool
    href: str
    said: str


@dataclass(frozen=True, slots=True)
class Line:
    label: str
    href: str
    cells: Sequence[Cell | None]


def lines(
    heat: Heat, measure: str, *, label: Callable[[int], tuple[str, str]], href: Callable[[int, int], str]
) -> list[Line]:
    """`label`: of a row, with where it leads; `href`: where a cell does."""
    known = {place: summed(by_status) for place, by_status in heat.cells.items()}
    most = max([one.n for one in known.values()] + [1])
    made = []
    for row in range(len(heat.rows)):
        cells = [
            None if (row, column) not in known or not known[row, column].n
            else _cell(known[row, column], measure, most, href(row, column))
            for column in range(len(heat.columns))
        ]  # fmt: skip
        made.append(Line(*label(row), cells))
    return made


def figure(by_status: ByStatus, measure: str) -> str:
    """The same in a file."""
    one = summed(by_status)
    if measure == "requests":
        return str(one.n)
    if measure == "errors":
        return str(one.errors)
    return short_ms(measured(one.figures)[measure]).replace(",", "").replace("–", "")


def _cell(one: Summed, measure: str, most: int, href: str) -> Cell:
    said = f"{exact(one.n)} request{'' if one.n == 1 else 's'}, {percent(one.errors, one.n)} failed"
    values = measured(one.figures)
    if values["p95"] is not None:
        said += f", p95 {short_ms(values['p95'])} ms, p99 {short_ms(values['p99'])} ms"
    if measure == "requests":
        return Cell(count(one.n), min(5, 1 + isqrt(16 * one.n // most)), few=False, href=href, said=said)
    if measure == "errors":
        share = Decimal(100 * one.errors) / one.n
        level = sum(share > bound for bound in _BY_SHARE)
        return Cell(percent(one.errors, one.n).removesuffix(" %"), level, few=one.n < FEW, href=href, said=said)
    value = values[measure]
    level = 0 if value is None else sum(value >= bound * ONE for bound in _BY_MS)
    return Cell(short_ms(value), level, few=one.figures.n_timed < FEW, href=href, said=said)


def newest_hour(view: View, weekday: int, hour: int) -> Window | None:
    """The last hour of UTC that begins in the hour of that name, in what was asked, as cells count (traffic/heat.py).

    None: there is none, as on a day on which clocks go forward.
    """
    last = (view.asked.to_at - timedelta(microseconds=1)).astimezone(view.zone)
    for back in range(14):
        day = last.date() - timedelta(days=back)
        if day.weekday() != weekday:
            continue
        wall = datetime(day.year, day.month, day.day, hour, tzinfo=view.zone)
        from_at = ceil(wall.astimezone(UTC), HOUR)
        if from_at.astimezone(view.zone).hour == hour and view.asked.from_at <= from_at < view.asked.to_at:
            return Window(from_at, from_at + HOUR)
    return None
