"""The times that a calendar names: its days one after another, and within a day its hours and minutes.

A calendar is what five fields of a cron expression say once they are read (cron.py). Day-of-month and day-of-week must
both match here: where either is enough, there are two calendars.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import MAXYEAR, date, datetime, time, timedelta

_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_YEARS = 50
"""So far is looked: a 29th of February comes back to each weekday within 40 years, were 2100 among them."""


@dataclass(frozen=True, slots=True)
class Days:
    """Of these a day must be one by its date, and one by its weekday, 0 to 6 from Sunday on."""

    dates: frozenset[int]
    last_date: bool
    """The last of its month counts, too."""
    last_working: bool
    """Only the last of its month from Monday to Friday does."""
    weekdays: frozenset[int]
    counted: frozenset[tuple[int, int]]
    """(weekday, which of its month), from 1 on."""
    last_weekdays: frozenset[int]
    """The last ones of their month."""

    def has(self, day: date) -> bool:
        return self._by_date(day) and self._by_weekday(day)

    def _by_date(self, day: date) -> bool:
        if self.last_working:
            later = 3 if day.weekday() == 4 else 1
            return day.weekday() < 5 and _leaves_month(day, later)
        return day.day in self.dates or (self.last_date and _leaves_month(day, 1))

    def _by_weekday(self, day: date) -> bool:
        weekday = day.isoweekday() % 7
        if weekday in self.weekdays or (weekday, (day.day + 6) // 7) in self.counted:
            return True
        return weekday in self.last_weekdays and _leaves_month(day, 7)


@dataclass(frozen=True, slots=True)
class Calendar:
    """`minutes` and `hours` are in order, and none of the fields is empty."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: frozenset[int]
    days: Days

    def following(self, wall: datetime) -> datetime | None:
        """The first time strictly after a naive one; None if none comes in 50 years."""
        if wall.year == MAXYEAR:
            return None  # it may be the last that Python knows
        soonest = wall + _MINUTE
        day = soonest.date()
        if day.month in self.months and self.days.has(day):
            at = self._from(soonest.hour, soonest.minute)
            if at is not None:
                return datetime.combine(day, at)
        last_year = min(day.year + _YEARS, MAXYEAR - 1)
        day += _DAY
        while day.year <= last_year:
            if day.month not in self.months:
                day = (day.replace(day=1) + 32 * _DAY).replace(day=1)
            elif self.days.has(day):
                return datetime.combine(day, time(self.hours[0], self.minutes[0]))
            else:
                day += _DAY
        return None

    def _from(self, hour: int, minute: int) -> time | None:
        """The first time of a day from there on."""
        place = bisect_left(self.hours, hour)
        if place == len(self.hours):
            return None
        if self.hours[place] > hour:
            return time(self.hours[place], self.minutes[0])
        within = bisect_left(self.minutes, minute)
        if within < len(self.minutes):
            return time(hour, self.minutes[within])
        return time(self.hours[place + 1], self.minutes[0]) if place + 1 < len(self.hours) else None


def _leaves_month(day: date, later: int) -> bool:
    """Whether so many days later it is another month."""
    return day.day > 28 - later and (day + later * _DAY).month != day.month
