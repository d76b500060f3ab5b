"""Windows of time, half-open: seconds, minutes, hours, days, weeks from Monday on, and months, as a time zone has them.

A day of a clock change has 23 or 25 hours, and its hours are counted as they pass: none is told twice, none is left
out. Zones whose offset is no whole hour have hours of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from heartfly.core.days import day_in, day_of


class Size(StrEnum):
    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Window:
    """[from_at, to_at), in UTC."""

    from_at: datetime
    to_at: datetime


HOUR = timedelta(hours=1)
_STEPS = {Size.SECOND: timedelta(seconds=1), Size.MINUTE: timedelta(minutes=1), Size.HOUR: HOUR}


def window_at(size: Size, zone: ZoneInfo, at: datetime) -> Window:
    """The window that holds the instant."""
    if size in _STEPS:
        return _short(_STEPS[size], zone, at)
    day = day_of(zone, at)
    if size is Size.DAY:
        found = day_in(zone, day)
        return Window(found.from_at, found.to_at)
    if size is Size.WEEK:
        monday = day - timedelta(days=day.weekday())
        return Window(day_in(zone, monday).from_at, day_in(zone, monday + timedelta(days=7)).from_at)
    first = day.replace(day=1)
    return Window(day_in(zone, first).from_at, day_in(zone, _next_month(first)).from_at)


def windows(size: Size, zone: ZoneInfo, from_at: datetime, to_at: datetime) -> Iterator[Window]:
    """All that have a part in [from_at, to_at), the earliest first, whole."""
    at = from_at
    while at < to_at:
        window = window_at(size, zone, at)
        yield window
        at = window.to_at


def _short(step: timedelta, zone: ZoneInfo, at: datetime) -> Window:
    """By the offset that holds at the instant. A window ends early where the offset changes within it."""
    offset = at.astimezone(zone).utcoffset() or timedelta(0)
    local = at.astimezone(UTC) + offset
    into = timedelta(microseconds=_micros(local) % (step // timedelta(microseconds=1)))
    from_at = at.astimezone(UTC) - into
    to_at = from_at + step
    if _offset(zone, from_at) != offset:
        from_at = _change(zone, from_at, at)
    if _offset(zone, to_at - timedelta(microseconds=1)) != offset:
        to_at = _change(zone, at, to_at)
    return Window(from_at, to_at)


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta(0)


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The first instant of the offset that holds at `after`; at `before` another one does."""
    low, high = _seconds(before), -(-_micros(after) // 1_000_000)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, _EPOCH + timedelta(seconds=middle)) == _offset(zone, after):
            high = middle
        else:
            low = middle
    return _EPOCH + timedelta(seconds=high)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _seconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(seconds=1)


def _next_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)
