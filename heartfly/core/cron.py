"""Cron expressions: what the five fields say, as naive wall-clock times.

The fields are read by us (cron_fields.py), because croniter misreads some of them (`5-5` as `*`, `5,*`
as a star field, `22-2` as a wrap); croniter gets plain lists and finds the times. Day-of-month and
day-of-week follow Vixie cron, or robfig/cron for Kubernetes. Time zones are in walltime.py.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from croniter import CroniterBadDateError, croniter

from heartfly.core.cron_fields import DAY_OF_MONTH, DAY_OF_WEEK, HOUR, KUBERNETES_DAY_OF_WEEK, MINUTE, MONTH, WEEK
from heartfly.errors import InvalidValueError


class Dialect(StrEnum):
    """Which scheduler runs the job; they differ where clocks jump."""

    CRON = "cron"
    SYSTEMD = "systemd"
    KUBERNETES = "kubernetes"


TWINS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_NTH_WEEKDAY = re.compile(r"([0-7]|[A-Z]{3})#([1-5])")
_LAST_OF_WEEKDAY = re.compile(r"([0-7])L")


@dataclass(frozen=True, slots=True)
class CronTimes:
    """The wall-clock times that an expression names."""

    fixed: bool
    """Neither minute nor hour begins with a star: a fixed-time job to Debian's cron."""
    both_days: bool
    """Day-of-month and day-of-week must both match (AND); otherwise either is enough."""
    every_hour: bool
    plain: tuple[str, str, str, str, str]
    """The fields in their plainest form, for people: aliases, one-value ranges and idle steps replaced."""
    _calendars: tuple[_Calendar, ...]

    def next_wall(self, wall: datetime) -> datetime | None:
        """Return the first time strictly after `wall`, both naive; None if none comes in 50 years."""
        found = [following for calendar in self._calendars if (following := calendar.following(wall))]
        return min(found, default=None)


@dataclass(frozen=True, slots=True)
class _Calendar:
    """Times that croniter can name: day-of-month and day-of-week are both required here."""

    engine: Any
    last_weekday: bool

    def following(self, wall: datetime) -> datetime | None:
        # A copy, because croniter keeps its place in itself and threads share this one.
        engine = copy.copy(self.engine)
        while True:
            try:
                wall = engine.get_next(datetime, start_time=wall)
            except CroniterBadDateError:
                return None
            if not self.last_weekday or _is_last_weekday(wall):
                return wall
            wall = wall.replace(hour=23, minute=59)


def read(expression: str, dialect: Dialect) -> CronTimes:
    """Read five fields, or an alias such as @daily. Raises InvalidValueError."""
    minute, hour, days, month, weekdays = _split(expression)
    minutes, hours = MINUTE.union(minute), HOUR.union(hour)
    both_days = _demands_both(days, weekdays, dialect)
    dates = _dates(days, dialect)
    names = _weekdays(weekdays, dialect)
    months = MONTH.union(month)
    head = f"{MINUTE.listed(minutes)} {HOUR.listed(hours)}"
    pairs = [(dates, names)] if both_days else [(dates, "*"), ("*", names)]
    if not any(_is_possible(date, months) for date, _ in pairs):
        raise InvalidValueError("schedule.expression", "it never fires: no such day is in these months")
    calendars = tuple(
        _Calendar(croniter(text, datetime(1970, 1, 1), day_or=False), last_weekday=is_last)  # noqa: DTZ001 - wall time
        for date, name in pairs
        for text, is_last in _calendar_texts(head, date, MONTH.listed(months), name)
    )
    plain_days = dates.upper() if "L" in days else DAY_OF_MONTH.plain(days)
    plain_weekdays = weekdays if names[0] == "l" or "#" in names else DAY_OF_WEEK.plain(weekdays)
    if not both_days and "*" in (dates, names):
        plain_days = plain_weekdays = "*"
    return CronTimes(
        fixed=not minute.startswith("*") and not hour.startswith("*"),
        both_days=both_days,
        every_hour=HOUR.listed(hours) == "*",
        plain=(MINUTE.plain(minute), HOUR.plain(hour), plain_days, MONTH.plain(month), plain_weekdays),
        _calendars=calendars,
    )


def _split(expression: str) -> tuple[str, str, str, str, str]:
    text = TWINS.get(expression.lower(), expression).upper()
    parts = text.split()
    if text.startswith("@"):
        known = ", ".join(TWINS)
        raise InvalidValueError(
            "schedule.expression", f"{expression[:32]!r} names no times on the clock; known are {known}"
        )
    if len(parts) == 6:
        raise InvalidValueError(
            "schedule.expression",
            "it has 6 fields; leave out the seconds (or the year, user or command) and write five:"
            " minute, hour, day-of-month, month, day-of-week",
        )
    if len(parts) != 5:
        raise InvalidValueError(
            "schedule.expression",
            f"a cron expression has five fields (minute, hour, day-of-month, month, day-of-week), not {len(parts)}",
        )
    return parts[0], parts[1], parts[2], parts[3], parts[4]


def _demands_both(days: str, weekdays: str, dialect: Dialect) -> bool:
    """Say whether both day fields must match.

    Vixie cron: if either begins with a star, so `*/2` counts and `5,*` does not (entry.c, DOM_STAR).
    robfig/cron v3: if either has a star item that no step above 1 follows (parser.go, getRange).
    """
    if dialect is not Dialect.KUBERNETES:
        return days.startswith("*") or weekdays.startswith("*")
    items = f"{days},{weekdays}".split(",")
    return any(re.fullmatch(r"\*(/0*1)?", item) for item in items)


def _dates(text: str, dialect: Dialect) -> str:
    """Return the days of the month as croniter reads them: numbers, `l` for the last, or the word LW."""
    items = text.split(",")
    if dialect is Dialect.KUBERNETES and "L" in text:
        DAY_OF_MONTH.refuse(f"Kubernetes does not know {text!r}")
    if "LW" in items:
        if len(items) > 1:
            DAY_OF_MONTH.refuse("LW stands alone, not in a list")
        return "LW"
    plain = {value for item in items if item != "L" for value in DAY_OF_MONTH.values(item)}
    if "L" not in items:
        return DAY_OF_MONTH.listed(plain)
    return ",".join([*(str(value) for value in sorted(plain)), "l"])


def _weekdays(text: str, dialect: Dialect) -> str:
    """Return the days of the week as croniter reads them: 0-6, `5#2` or `l5`."""
    if dialect is Dialect.KUBERNETES:
        return WEEK.listed(KUBERNETES_DAY_OF_WEEK.union(text))
    items = text.split(",")
    counted = list(_counted_weekdays(items))
    if not counted:
        return WEEK.listed({value % 7 for value in DAY_OF_WEEK.union(text)})
    if len(counted) < len(items):
        DAY_OF_WEEK.refuse("counted days (5L, MON#2) and plain ones cannot share a list")
    return ",".join(counted)


def _counted_weekdays(items: list[str]) -> Iterator[str]:
    for item in items:
        if nth := _NTH_WEEKDAY.fullmatch(item):
            yield f"{DAY_OF_WEEK.number(nth[1]) % 7}#{nth[2]}"
        elif last := _LAST_OF_WEEKDAY.fullmatch(item):
            yield f"l{int(last[1]) % 7}"


def _calendar_texts(head: str, dates: str, months: str, weekdays: str) -> Iterator[tuple[str, bool]]:
    if dates != "LW":
        yield f"{head} {dates} {months} {weekdays}", False
        return
    # croniter has no LW: it finds the late weekdays, and we keep the last one of each month.
    working = WEEK.union(weekdays) & WEEK.union("1-5")
    if not working:
        raise InvalidValueError("schedule.expression", "it never fires: LW is never on a weekend")
    yield f"{head} 26-31 {months} {WEEK.listed(working)}", True


def _is_last_weekday(wall: datetime) -> bool:
    """Say whether no later weekday is left in the month of this weekday."""
    skip = 3 if wall.weekday() == 4 else 1
    return (wall + timedelta(days=skip)).month != wall.month


def _is_possible(dates: str, months: set[int]) -> bool:
    """Say whether one of the months, in its longest year, has one of the days."""
    if not dates[0].isdigit():
        return True
    return "l" in dates or int(dates.partition(",")[0]) <= max(_LONGEST_MONTHS[month - 1] for month in months)
