"""systemd's OnCalendar expressions: what each line says, as naive wall-clock times in a zone.

The library `oncalendar` reads a line and walks naive times; zones, and what happens where their
clocks jump, are ours (walltime.py), because in the repeated hour of autumn the library steps back
in time. Several lines are several timetables, of which the earliest counts.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from oncalendar import BaseIterator, OnCalendarError

from heartfly.core.walltime import Rule, Timetable
from heartfly.core.zones import is_zone, zone
from heartfly.errors import InvalidValueError

_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_SETS = ("years", "months", "days", "weekdays", "hours", "minutes", "seconds")
_BEFORE_ALL = datetime(1969, 12, 31, 23, 59, 59)  # noqa: DTZ001 - a wall time


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    place: ZoneInfo
    _times: BaseIterator

    @property
    def timetable(self) -> Timetable:
        every_hour = len(self._times.hours) == 24
        return Timetable(self._next_wall, self.place, Rule.ONCE, every_hour=every_hour)

    @property
    def repeats(self) -> bool:
        """No year is named, so it goes on for ever."""
        return len(self._times.years) == 230

    def _next_wall(self, wall: datetime) -> datetime | None:
        # A copy, because the iterator keeps its place in itself and threads share this one.
        times = copy.copy(self._times)
        times.dt = wall
        return next(times, None)

    def is_possible(self) -> bool:
        days, longest = self._times.days, max(_LONGEST_MONTHS[month - 1] for month in self._times.months)
        # The library would look for the 30th of February in every month to the year 2200.
        return min(days) <= longest and self._next_wall(_BEFORE_ALL) is not None


def read(expression: str, default_zone: str) -> tuple[Line, ...]:
    """Read one line or several, each with its own zone or the default one. Raises InvalidValueError.

    Lines are tidy: none is empty, and single spaces stand between the words.
    """
    return tuple(_line(text, default_zone) for text in expression.splitlines())


def _line(text: str, default_zone: str) -> Line:
    head, _, last = text.rpartition(" ")
    own_zone = bool(head) and is_zone(last)
    place = zone(last if own_zone else default_zone)
    return Line(text, place, _times(head if own_zone else text, text))


def _times(times: str, text: str) -> BaseIterator:
    try:
        found = BaseIterator(times, _BEFORE_ALL)
    except OnCalendarError as error:
        raise InvalidValueError(
            "schedule.expression", f"cannot read {text[:80]!r} as an OnCalendar time: {str(error).lower()}"
        ) from error
    for name in _SETS:
        setattr(found, name, _shared(frozenset(getattr(found, name))))
    return found


@lru_cache(maxsize=1_024)
def _shared(values: frozenset[int]) -> frozenset[int]:
    """The first that was equal: nearly all lines name the same years and minutes, 20 kB of them for each line."""
    return values
