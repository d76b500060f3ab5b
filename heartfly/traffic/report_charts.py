"""The pictures of a report as shapes: requests a day by how they ended, times a day, and the share of each outcome.

Geometry only, in units of the picture; colours and words are the document's. All of it is drawn without a script.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from heartfly.core.amounts import ONE, Amount, text_of
from heartfly.traffic.report import DayOf, Measured, Report

WIDTH, HEIGHT = 600, 120
_STEPS: tuple[int, ...] = (1, 2, 4, 5, 10)
"""Of a scale's top, times a power of ten: half of each is a short number, too."""
_GAP = 0.2
_WIDEST = 10
"""So many bars of the widest would fill a picture: of one day it is no wall."""
"""Of a day's width, between its bar and the next."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Of a day's bar, or of the one bar of all outcomes. `what`: ok, client, server or unknown."""

    what: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Line:
    """`points`: of a polyline, a text for each run of days that have a figure."""

    name: str
    points: Sequence[str]
    dots: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Chart:
    """`scale`: at the top, in the middle and at the bottom. `marks`: below it, by place."""

    pieces: Sequence[Piece]
    lines: Sequence[Line]
    scale: Sequence[str]
    marks: Sequence[tuple[float, str]]


def outcomes(told: Measured) -> Sequence[tuple[str, int]]:
    """In the order in which they are drawn."""
    return [("ok", told.ok), ("client", told.client), ("server", told.server), ("unknown", told.unknown)]


def requests_by_day(report: Report) -> Chart | None:
    """None: there were none."""
    most = max((day.measured.n for day in report.days), default=0)
    if not most:
        return None
    top = _top(most)
    step = WIDTH / len(report.days)
    wide = min(step * (1 - _GAP), WIDTH / _WIDEST)
    pieces = []
    for place, day in enumerate(report.days):
        y = float(HEIGHT)
        for what, n in outcomes(day.measured):
            if n:
                height = HEIGHT * n / top
                y -= height
                x = step * (place + 0.5) - wide / 2
                pieces.append(Piece(what, _near(x), _near(y), _near(wide), _near(height)))
    return Chart(pieces, (), [f"{top:,}", f"{Decimal(top) / 2:,}", "0"], _marks(report.days))


def times_by_day(report: Report) -> Chart | None:
    """None: no request told how long it took."""
    longest = max((day.measured.p99 or 0 for day in report.days), default=0)
    if not longest:
        return None
    top = _top(-(-longest // ONE)) * ONE
    lines = [
        Line(name, *_drawn([getattr(day.measured, name) for day in report.days], top)) for name in ("p50", "p95", "p99")
    ]
    return Chart((), lines, [text_of(top), text_of(top // 2), "0"], _marks(report.days))


def _drawn(values: Sequence[Amount | None], top: Amount) -> tuple[Sequence[str], Sequence[tuple[float, float]]]:
    """Runs as lines; a day that has none beside it as a dot, for a line of one point is not seen."""
    runs: list[list[tuple[float, float]]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            x, y = WIDTH * (place + 0.5) / len(values), HEIGHT - HEIGHT * (value / top)
            runs[-1].append((_near(x), _near(y)))
    return [" ".join(f"{x},{y}" for x, y in run) for run in runs if len(run) > 1], [
        run[0] for run in runs if len(run) == 1
    ]


def mix(told: Measured) -> Sequence[Piece]:
    """One bar, 16 high."""
    return list(_mix(told)) if told.n else ()


def _mix(told: Measured) -> Iterator[Piece]:
    x = 0.0
    for what, n in outcomes(told):
        if n:
            width = WIDTH * n / told.n
            yield Piece(what, _near(x), 0, _near(width), 16)
            x += width


def _marks(days: Sequence[DayOf]) -> Sequence[tuple[float, str]]:
    """Each seventh day or fewer; the year is in the head of the report."""
    every = max(1, -(-len(days) // 6))
    step = WIDTH / len(days)
    return [
        (_near(step * (place + 0.5)), f"{day.date.day} {day.date:%b}")
        for place, day in enumerate(days)
        if place % every == 0
    ]


def _top(most: int) -> int:
    unit: int = 10 ** (len(str(most)) - 1)
    return next(step * unit for step in _STEPS if step * unit >= most)


def _near(value: float) -> float:
    return round(value, 2)
