"""A check's time as the paths of a small picture: at most four, whatever happened, so that a thousand rows stay light.

Shape tells, colour only helps: up is a low bar, down a full one, degraded a higher one with a dotted top, paused a
line, new a dotted line; a run that failed is a filled tooth above, one that was missed a hollow one; time in which
Heartfly could not hear is hatched. The picture is stretched to its place, so nothing in it is round.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from math import ceil, floor

from heartfly.checks.lanes import Lane
from heartfly.core.words import Status

WIDTH, HEIGHT = 480, 20
_TOP, _FLOOR = 7, 20
"""Above it teeth, below it the lane."""
_TOOTH = 4.0
MANY = 200
"""More spans than that are drawn to the whole place only, so that no check makes the page large."""
_HATCH = 4
_HEIGHTS = {Status.UP: 12, Status.DOWN: _TOP, Status.DEGRADED: 9}


class Scale:
    """Where an instant is, from left to right."""

    def __init__(self, from_at: datetime, to_at: datetime) -> None:
        self.from_at, self.to_at = from_at, to_at
        self._per_second = WIDTH / (to_at - from_at).total_seconds()

    def x(self, at: datetime) -> float:
        return round(min(max((at - self.from_at).total_seconds() * self._per_second, 0.0), float(WIDTH)), 1)

    def part(self, at: datetime) -> float:
        """As a percentage."""
        return round(self.x(at) * 100 / WIDTH, 2)


def paths(lane: Lane, scale: Scale, blind: Sequence[tuple[float, float]]) -> list[tuple[str, str]]:
    """Class and path of each kind that there is. `blind`: from where to where, in the picture's measure."""
    good: list[str] = []
    bad: list[str] = []
    degraded: list[str] = []
    rest: list[str] = []
    lefts, rights = [left for left, _ in blind], [right for _, right in blind]
    is_dense = len(lane.spans) > MANY
    for span in lane.spans:
        left, right = scale.x(span.from_at), scale.x(span.to_at)
        if is_dense:
            left, right = float(floor(left)), float(ceil(right))
        near = blind[bisect_left(rights, left) : bisect_right(lefts, right)] if blind else ()
        if span.status is Status.DOWN:
            bad.append(_bar(left, max(right, left + 1), _TOP))
        elif span.status is Status.PAUSED:
            rest.append(_bar(left, right, _FLOOR - 2))
        elif span.status is Status.NEW:
            rest.append(_dots(left, right, _FLOOR - 2))
        else:
            for heard_from, heard_to in _without(left, right, near):
                if span.status is Status.UP:
                    good.append(_bar(heard_from, heard_to, _HEIGHTS[span.status]))
                else:
                    degraded += _bar(heard_from, heard_to, _HEIGHTS[span.status]), _dots(heard_from, heard_to, _TOP - 1)
            for deaf_from, deaf_to in near:
                if deaf_from < right and deaf_to > left:
                    rest.append(_hatch(max(deaf_from, left), min(deaf_to, right)))
    at: dict[tuple[float, bool], None] = {(scale.x(mark.at), mark.outcome == "missed"): None for mark in lane.marks}
    for x, is_missed in at:
        bad.append((_hollow if is_missed else _tooth)(min(x, WIDTH - _TOOTH)))
    named = (("o", good), ("b", bad), ("d", degraded), ("r", rest))
    # What falls on one place is drawn once.
    return [(name, "".join(dict.fromkeys(pieces))) for name, pieces in named if pieces]


def back(ticks: Sequence[float], blind: Sequence[tuple[float, float]]) -> str:
    """Behind every row: a line at each tick, and the time in which nobody was heard."""
    return "".join([f"M{x} 0v{HEIGHT}" for x in ticks] + [_hatch(left, right) for left, right in blind])


def blind_parts(times: Sequence[tuple[datetime, datetime]], scale: Scale) -> list[tuple[float, float]]:
    found = [(scale.x(begun), scale.x(ended)) for begun, ended in times]
    return [(left, max(right, left + 1)) for left, right in found]


def ticks(scale: Scale, zone: object, step: timedelta) -> Iterator[datetime]:
    """Round times of the clock in this zone: each midnight, or a step that divides the day."""
    local = scale.from_at.astimezone(zone)  # type: ignore[arg-type] # a ZoneInfo
    wall = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    while True:
        at = wall.replace(tzinfo=zone).astimezone(scale.from_at.tzinfo)  # type: ignore[arg-type]
        if at > scale.to_at:
            return
        if at >= scale.from_at:
            yield at
        wall += step


@lru_cache(maxsize=256)
def _bar(left: float, right: float, top: int) -> str:
    return f"M{left} {top}H{right}V{_FLOOR}H{left}z" if right > left else ""


def _tooth(x: float) -> str:
    return f"M{x} 0h{_TOOTH}v5h-{_TOOTH}z"


def _hollow(x: float) -> str:
    """An outline in four pieces, so that it reads as dashed."""
    return f"M{x} 0h1.3v2h-1.3zM{x} 3h1.3v2h-1.3zM{x + 2.7:.1f} 0h1.3v2h-1.3zM{x + 2.7:.1f} 3h1.3v2h-1.3z"


@lru_cache(maxsize=256)
def _dots(left: float, right: float, top: int) -> str:
    return "".join(f"M{x} {top}h2v2h-2z" for x in _steps(left, right, 5, 2))


@lru_cache(maxsize=256)
def _hatch(left: float, right: float) -> str:
    """Slanting strokes; a narrow one is a single stroke."""
    strokes = (f"M{x} {_FLOOR}l3 -10h1l-3 10z" for x in _steps(left, right, _HATCH, 1))
    return "".join(strokes) or f"M{left} {_FLOOR}v-10h1v10z"


def _steps(left: float, right: float, step: int, wide: int) -> Iterator[float]:
    x = left
    while x + wide <= right:
        yield round(x, 1)
        x += step


def _without(left: float, right: float, holes: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    for hole_left, hole_right in holes:
        if hole_right <= left or hole_left >= right:
            continue
        if hole_left > left:
            yield left, hole_left
        left = max(left, hole_right)
    if left < right:
        yield left, right
