"""When is the next ping due? Periods, cron and OnCalendar, validated and answered as UTC instants.

The question comes with every ping, so the answer is remembered for the interval in which it holds.
Expressions are read in cron.py and oncalendar.py, clock jumps are settled in walltime.py, and the
words for people are in describe.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import assert_never

from heartfly.core import cron, oncalendar
from heartfly.core.cron import Dialect
from heartfly.core.walltime import Rule, Timetable
from heartfly.core.zones import zone as find_zone
from heartfly.errors import InvalidValueError

__all__ = ["Cron", "Dialect", "Kind", "OnCalendar", "Period", "Schedule", "next_after", "parse", "upcoming"]

MIN_PERIOD = timedelta(seconds=5)
MAX_PERIOD = timedelta(days=365)
MAX_EXPRESSION = 256
HORIZON = timedelta(days=8 * 365 + 2)
"""Eight years: the longest that a yearly job can wait, from the 29th of February 2096 to that of 2104."""
_REFERENCE = datetime(2026, 1, 1)  # noqa: DTZ001 - a wall time
_LAYOUT = dict.fromkeys(map(ord, "\t\r\n"), " ")
_REMEMBERED = 4096
"""Schedules whose reading and latest answer are kept: about 5 kB each."""


class Kind(StrEnum):
    PERIOD = "period"
    CRON = "cron"
    ONCALENDAR = "oncalendar"


@dataclass(frozen=True, slots=True)
class Period:
    period: timedelta


@dataclass(frozen=True, slots=True)
class Cron:
    expression: str
    zone: str
    dialect: Dialect


@dataclass(frozen=True, slots=True)
class OnCalendar:
    """Its lines may name zones of their own; `zone` holds for the others. Always run by systemd."""

    expression: str
    zone: str


Schedule = Period | Cron | OnCalendar


def parse(
    kind: Kind,
    *,
    period: timedelta | None = None,
    expression: str | None = None,
    zone: str = "UTC",
    dialect: Dialect = Dialect.CRON,
    after: datetime | None = None,
) -> Schedule:
    """Return a schedule that is known to fire. Raises InvalidValueError with the field's path.

    With `after`, it must also fire within eight years of that instant: ask so when people create or
    edit a check, and without it when a stored one is read (a one-time date may lie in the past).
    """
    if kind == Kind.PERIOD:
        return Period(_checked_period(period))
    text = _checked_text(expression, several_lines=kind == Kind.ONCALENDAR)
    name = find_zone(zone).key
    schedule = Cron(text, name, _known(dialect)) if kind == Kind.CRON else OnCalendar(text, name)
    _remembered(schedule)
    if after is not None and not _fires_within(schedule, after):
        raise InvalidValueError("schedule.expression", "it does not fire within the next eight years")
    return schedule


def next_after(schedule: Schedule, instant: datetime, *, anchor: datetime | None = None) -> datetime | None:
    """Return the first fire strictly after `instant`, aware UTC; None when there is none any more.

    A period is counted from `anchor`, which it needs: anchor + period is its first fire.
    """
    if isinstance(schedule, Period):
        if anchor is None:
            raise ValueError("a period is counted from an anchor")
        passed = (instant - anchor) // schedule.period
        return anchor.astimezone(UTC) + max(passed + 1, 1) * schedule.period
    return _remembered(schedule).after(instant)


def upcoming(schedule: Schedule, after: datetime, count: int, *, anchor: datetime | None = None) -> list[datetime]:
    """Return the next fires in order: `count` of them, or fewer when the schedule ends."""
    fires: list[datetime] = []
    while len(fires) < count:
        following = next_after(schedule, fires[-1] if fires else after, anchor=anchor)
        if following is None:
            break
        fires.append(following)
    return fires


def timetables(schedule: Cron | OnCalendar) -> tuple[Timetable, ...]:
    """Return what the expression says, one timetable for each line."""
    return _remembered(schedule).tables


class _Memory:
    """An expression as read, and the newest answer with the interval of questions that it answers.

    The interval is replaced as one tuple, so threads may ask at the same time.
    """

    __slots__ = ("_span", "tables")

    def __init__(self, tables: tuple[Timetable, ...]) -> None:
        self.tables = tables
        self._span: tuple[datetime, datetime] | None = None

    def after(self, instant: datetime) -> datetime | None:
        span = self._span
        if span is not None and span[0] <= instant < span[1]:
            return span[1]
        following = min((fire for table in self.tables if (fire := table.after(instant))), default=None)
        if following is not None:
            self._span = (instant, following)
        return following


@lru_cache(maxsize=_REMEMBERED)
def _remembered(schedule: Cron | OnCalendar) -> _Memory:
    match schedule:
        case Cron(expression, zone, dialect):
            return _Memory((_cron_table(expression, zone, dialect),))
        case OnCalendar(expression, zone):
            return _Memory(_oncalendar_tables(expression, zone))
        case _:
            assert_never(schedule)


def _cron_table(expression: str, zone: str, dialect: Dialect) -> Timetable:
    times = cron.read(expression, dialect)
    _demand_fire(times.next_wall(_REFERENCE))
    match dialect:
        case Dialect.CRON:
            rule = Rule.CATCH_UP if times.fixed else Rule.AS_SHOWN
        case Dialect.SYSTEMD:
            rule = Rule.ONCE
        case Dialect.KUBERNETES:
            rule = Rule.AS_SHOWN
        case _:
            assert_never(dialect)
    return Timetable(times.next_wall, find_zone(zone), rule, every_hour=times.every_hour)


def _oncalendar_tables(expression: str, zone: str) -> tuple[Timetable, ...]:
    lines = oncalendar.read(expression, zone)
    for line in lines:
        if not line.is_possible():
            raise InvalidValueError("schedule.expression", f"{line.text!r} never fires: there is no such day")
        if line.repeats:
            _demand_fire(line.timetable.next_wall(_REFERENCE))
    return tuple(line.timetable for line in lines)


def _demand_fire(wall: datetime | None) -> None:
    if wall is None or wall - _REFERENCE > HORIZON:
        raise InvalidValueError("schedule.expression", "it does not fire within eight years")


def _fires_within(schedule: Schedule, after: datetime) -> bool:
    following = next_after(schedule, after)
    return following is not None and following - after <= HORIZON


def _checked_period(period: timedelta | None) -> timedelta:
    if period is None:
        raise InvalidValueError("schedule.period", "a period is needed")
    if not MIN_PERIOD <= period <= MAX_PERIOD:
        raise InvalidValueError("schedule.period", "it must be between 5 seconds and 365 days")
    return period


def _checked_text(expression: str | None, *, several_lines: bool) -> str:
    if expression is None or not expression.strip():
        raise InvalidValueError("schedule.expression", "an expression is needed")
    if len(expression) > MAX_EXPRESSION:
        raise InvalidValueError("schedule.expression", f"it is longer than {MAX_EXPRESSION} characters")
    if not (expression.isascii() and expression.translate(_LAYOUT).isprintable()):
        raise InvalidValueError("schedule.expression", "it may hold only plain ASCII characters")
    lines = expression.splitlines() if several_lines else [expression]
    tidy = (" ".join(line.split()) for line in lines)
    return "\n".join(line for line in tidy if line)


def _known(dialect: Dialect | str) -> Dialect:
    try:
        return Dialect(dialect)
    except ValueError:
        known = ", ".join(Dialect)
        raise InvalidValueError("schedule.dialect", f"{str(dialect)[:32]!r} is not one of {known}") from None
