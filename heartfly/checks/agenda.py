"""When checks are expected in the time ahead: hour by hour, several at one minute, and what clock changes do to them.

A check that is expected every hour or more often is not listed at each of its times, for then nothing else could be
seen; those of every hour are counted where they fall. What a schedule says is core/schedule.py's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from heartfly.checks.rows import Timing, schedule_of
from heartfly.core import schedule as schedules
from heartfly.core.describe import notices
from heartfly.core.schedule import Period
from heartfly.core.words import Status
from heartfly.core.zones import jumps, zone
from heartfly.errors import HeartflyError, InvalidValueError

AHEAD = timedelta(hours=24)
HOUR = timedelta(hours=1)
OFTEN = 24
"""So many times in 24 hours are every hour."""
_MOST = OFTEN + 3


@dataclass(slots=True)
class Minute:
    """`rows`: the checks that are expected within it; `hourly`: those beside them that are expected every hour."""

    at: datetime
    rows: list[Any] = field(default_factory=list)
    hourly: list[Any] = field(default_factory=list)

    @property
    def n(self) -> int:
        return len(self.rows) + len(self.hourly)


@dataclass(slots=True)
class Hour:
    at: datetime
    minutes: list[Minute]


@dataclass(frozen=True, slots=True)
class Often:
    """`times`: how many in 24 hours; 0: more than are counted."""

    row: Any
    next_at: datetime
    times: int


@dataclass(slots=True)
class Agenda:
    hours: list[Hour] = field(default_factory=list)
    often: list[Often] = field(default_factory=list)
    waiting: list[Any] = field(default_factory=list)
    """Those whose period begins with a ping that has not come."""
    broken: list[tuple[Any, str]] = field(default_factory=list)
    notices: list[tuple[Any, str]] = field(default_factory=list)
    n_paused: int = 0
    n_times: int = 0
    """All that is listed by the hour."""

    @property
    def together(self) -> list[Minute]:
        """Minutes at which several are expected, most first, without those that come again each hour."""
        found = [minute for hour in self.hours for minute in hour.minutes if minute.rows and minute.n > 1]
        return sorted(found, key=lambda minute: (-minute.n, minute.at))

    @property
    def each_hour(self) -> list[tuple[int, list[Any]]]:
        """Minutes of the hour at which several are expected each hour, most first."""
        found: dict[int, dict[int, Any]] = {}
        for minute in (minute for hour in self.hours for minute in hour.minutes):
            found.setdefault(minute.at.minute, {}).update({row.id: row for row in minute.hourly})
        several = [(minute, list(rows.values())) for minute, rows in found.items() if len(rows) > 1]
        return sorted(several, key=lambda one: (-len(one[1]), one[0]))


def agenda(rows: Sequence[Any], *, now: datetime, reader_zone: str) -> Agenda:
    """`rows`: of checks, in the order in which they are named."""
    made = Agenda()
    minutes: dict[datetime, Minute] = {}
    until = now + AHEAD
    jumping: dict[str, bool] = {}
    for row in rows:
        if row.status == Status.PAUSED.value:
            made.n_paused += 1
            continue
        if row.kind == schedules.Kind.PERIOD.value and row.anchor_at is None:
            made.waiting.append(row)
            continue
        try:
            times, n_times = _expected(row, now, until)
            made.notices += [(row, said) for said in _notices(row, now, until, jumping)]
        except (HeartflyError, ValueError) as error:
            made.broken.append((row, str(error)))
            continue
        is_dense = len(times) == 1 and n_times != 1
        is_often = is_dense or n_times >= OFTEN
        if is_often:
            made.often.append(Often(row, times[0], n_times))
        if is_dense:
            continue
        for at in times:
            minute = at.replace(second=0, microsecond=0)
            if minute not in minutes:
                minutes[minute] = Minute(minute)
            if is_often:
                minutes[minute].hourly.append(row)
            else:
                minutes[minute].rows.append(row)
                made.n_times += 1
    made.hours = _hours(minutes, now, until, reader_zone)
    return made


def _expected(row: Any, now: datetime, until: datetime) -> tuple[list[datetime], int]:
    """When, in (now, until], and how many times that is; of those of more than every hour the next one only.

    0 times, but one: too many to count.
    """
    timing: Timing = (row.kind, row.period_s, row.expression, row.zone, row.dialect)
    anchor = None
    if row.kind == schedules.Kind.PERIOD.value:
        anchor = row.anchor_at
        n_times = math.floor(AHEAD.total_seconds() / row.period_s)
        is_dense = n_times > OFTEN
        times: Sequence[datetime] = () if is_dense else _walk(timing, now, until, anchor)
    else:
        found = _of_hour(timing, now.replace(minute=0, second=0, microsecond=0))
        is_dense = len(found) >= _MOST
        times = [] if is_dense else [at for at in found if now < at <= until]
        n_times = 0 if is_dense else len(times)
    if is_dense:
        following = schedules.next_after(schedule_of(timing), now, anchor=anchor)
        return ([following] if following is not None else []), n_times
    return list(times), n_times


@lru_cache(maxsize=8_192)
def _of_hour(timing: Timing, begun: datetime) -> tuple[datetime, ...]:
    """Within 25 hours, up to _MOST: the same for all who ask in this hour, as cron expressions are slow to walk."""
    return tuple(_walk(timing, begun - timedelta(microseconds=1), begun + AHEAD + HOUR, None))


def _walk(timing: Timing, after: datetime, until: datetime, anchor: datetime | None) -> list[datetime]:
    schedule, found = schedule_of(timing), list[datetime]()
    following = schedules.next_after(schedule, after, anchor=anchor)
    while following is not None and following <= until and len(found) < _MOST:
        found.append(following)
        following = schedules.next_after(schedule, following, anchor=anchor)
    return found


def _notices(row: Any, now: datetime, until: datetime, jumping: dict[str, bool]) -> list[str]:
    if row.kind == schedules.Kind.PERIOD.value:
        return []
    schedule = schedule_of((row.kind, row.period_s, row.expression, row.zone, row.dialect))
    assert not isinstance(schedule, Period)
    zones = {row.zone} | {table.zone.key for table in schedules.timetables(schedule)}
    for name in zones:
        if name not in jumping:
            jumping[name] = any(True for _ in jumps(zone(name), now, until))
    return notices(schedule, now, until) if any(jumping[name] for name in zones) else []


def _hours(minutes: dict[datetime, Minute], now: datetime, until: datetime, reader_zone: str) -> list[Hour]:
    """Those of the reader's clock, which may begin at any minute of UTC."""
    try:
        place = zone(reader_zone)
    except InvalidValueError:
        place = zone("UTC")
    local = now.astimezone(place)
    at = now - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    ordered, hours = sorted(minutes), list[Hour]()
    first = 0
    while at <= until:
        last = first
        while last < len(ordered) and ordered[last] < at + HOUR:
            last += 1
        hours.append(Hour(at, [minutes[one] for one in ordered[first:last]]))
        first, at = last, at + HOUR
    return hours
