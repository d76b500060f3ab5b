"""Of what a window's figure is put together: of days and hours that are summed up already, and of events at its edges.

Hours are those of UTC, days those of the zone in which they were summed up. A window of another zone is tiled with
whatever lies in it whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import pairwise

from heartfly.core.versions import Span
from heartfly.core.windows import HOUR, Window


class Tier(StrEnum):
    DAY = "day"
    HOUR = "hour"
    RAW = "raw"  # event by event


@dataclass(frozen=True, slots=True)
class Tile:
    """[from_at, to_at): one day, a run of whole hours, or a piece of an hour."""

    tier: Tier
    from_at: datetime
    to_at: datetime


def tiles(window: Window, days: Iterable[Window] = ()) -> list[Tile]:
    """Without gap or overlap, the earliest first. `days`: summed up, apart from one another, in order."""
    found: list[Tile] = []
    at = window.from_at
    for day in days:
        if at <= day.from_at < day.to_at <= window.to_at:
            found += [*_by_hours(at, day.from_at), Tile(Tier.DAY, day.from_at, day.to_at)]
            at = day.to_at
    return found + _by_hours(at, window.to_at)


def _by_hours(from_at: datetime, to_at: datetime) -> list[Tile]:
    first, end = _floor(from_at), _floor(to_at)
    if first < from_at:
        first += HOUR
    if first >= end:
        return [Tile(Tier.RAW, from_at, to_at)] if from_at < to_at else []
    pieces = (Tile(Tier.RAW, from_at, first), Tile(Tier.HOUR, first, end), Tile(Tier.RAW, end, to_at))
    return [piece for piece in pieces if piece.from_at < piece.to_at]


def _floor(at: datetime) -> datetime:
    return at - (at - _EPOCH) % HOUR


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def cut(window: Window, spans: Sequence[Span]) -> list[Window]:
    """The window, in parts where its meter began to add up differently: a largest value and a sum make no figure.

    `spans`: the versions of one meter that count there, the earliest first.
    """
    edges = [
        after.from_at
        for before, after in pairwise(spans)
        if _algebra(before) != _algebra(after) and window.from_at < after.from_at < window.to_at
    ]
    return [Window(from_at, to_at) for from_at, to_at in pairwise([window.from_at, *edges, window.to_at])]


def _algebra(span: Span) -> tuple[object, ...]:
    meter = span.version.meter
    return meter.aggregation, meter.percent


# --- how sure a window's figure is


class State(StrEnum):
    OPEN = "open"  # the window is not over
    PROVISIONAL = "provisional"  # over, but not reconciled, or something has come since
    FINAL = "final"  # all days that it touches were closed, and what was summed up agreed with the events
    AMENDED = "amended"  # as final, after a day was closed again with other figures


@dataclass(frozen=True, slots=True)
class Closed:
    """A day as the daily aggregation left it, in its own words."""

    from_at: datetime
    to_at: datetime
    state: str


def state_of(window: Window, now: datetime, days: Sequence[Closed], unsettled: Sequence[Window]) -> State:
    """`days`: all that have a part in the window, in order, and the newest that there is. `unsettled`: times with
    events that no closed day knows of: they came after it was closed, or lie in no day.

    A time without a day before the newest closed one had no events when that one was closed.
    """
    if window.to_at >= now:
        return State.OPEN
    if any(one.from_at < window.to_at and window.from_at < one.to_at for one in unsettled):
        return State.PROVISIONAL
    settled = [day for day in days if day.state in _SETTLED]
    if not settled or settled[-1].to_at < window.to_at:
        return State.PROVISIONAL
    states = {day.state for day in days if day.from_at < window.to_at and window.from_at < day.to_at}
    if states - _SETTLED:
        return State.PROVISIONAL
    return State.AMENDED if State.AMENDED in states else State.FINAL


_SETTLED = frozenset({State.FINAL, State.AMENDED})
