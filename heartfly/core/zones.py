"""Time zones by name, and the moments at which a zone's clock jumps.

Names come from outside, so they are looked up in a list and never reach the file system.
What a scheduler does at a jump is decided in walltime.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from heartfly.errors import InvalidValueError

_NOT_PLACES = {"factory", "localtime", "posixrules"}
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Jump:
    """A change of a zone's UTC offset at the instant `at`, from `before` to `after`."""

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def forward(self) -> timedelta:
        """How far the clock jumps ahead; negative when an interval is shown twice."""
        return self.after - self.before

    @property
    def left(self) -> datetime:
        """The wall time (naive) that the clock was about to show."""
        return self.at.replace(tzinfo=None) + self.before

    @property
    def landed(self) -> datetime:
        """The wall time (naive) that it shows instead."""
        return self.at.replace(tzinfo=None) + self.after


@cache
def _names() -> dict[str, str]:
    return {name.lower(): name for name in available_timezones() if name.lower() not in _NOT_PLACES}


def zone(name: str, *, field: str = "schedule.zone") -> ZoneInfo:
    """Return the zone of that IANA name in any letter case; its `key` is the canonical name."""
    canonical = _names().get(name.lower())
    if canonical is None:
        raise InvalidValueError(field, f"{name[:64]!r} is not a time zone; use a name such as Europe/Berlin or UTC")
    return ZoneInfo(canonical)


def is_zone(name: str) -> bool:
    return name.lower() in _names()


def offset(place: ZoneInfo, instant: datetime) -> timedelta:
    """Return how far the zone's clock is ahead of UTC at that instant."""
    shown = instant.astimezone(place).utcoffset()
    assert shown is not None
    return shown


def jump_between(place: ZoneInfo, low: datetime, high: datetime) -> Jump:
    """Return the one jump in (low, high], aware UTC; the offsets at both ends must differ."""
    before, after = offset(place, low), offset(place, high)
    while high - low > _SECOND:
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0)
        if offset(place, middle) == before:
            low = middle
        else:
            high = middle
    return Jump(high, before, after)


def jumps(place: ZoneInfo, from_at: datetime, to_at: datetime) -> Iterator[Jump]:
    """Yield the jumps in (from_at, to_at] in order. Two within one day would be missed; no zone has such."""
    low = from_at.replace(microsecond=0)
    while low < to_at:
        high = min(low + _DAY, to_at)
        if offset(place, low) != offset(place, high):
            yield jump_between(place, low, high)
        low = high
