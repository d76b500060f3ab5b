"""Schedules in words for people: what they say, and what happens to them when clocks change.

Words only: the times come from schedule.py and walltime.py. Cron fields are worded by
cron-descriptor, after the forms that it misreads have been replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from cron_descriptor import Options, get_description  # type: ignore[import-untyped]

from heartfly.core import cron
from heartfly.core.cron import Dialect
from heartfly.core.schedule import Cron, OnCalendar, Period, Schedule, timetables
from heartfly.core.walltime import CORRECTION, TICK, Rule, Timetable
from heartfly.core.zones import Jump, jumps

_HOUR = timedelta(hours=1)
_NAMES = {Dialect.CRON: "cron", Dialect.SYSTEMD: "systemd", Dialect.KUBERNETES: "Kubernetes"}
_MOST_TIMES = 1_000
"""Counted within one clock jump: a job of every second has thousands."""
_UNITS = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}


def describe(schedule: Schedule) -> str:
    """Return the schedule in plain English, on a 24-hour clock, with its zone."""
    if isinstance(schedule, Period):
        return f"every {_span(schedule.period)}"
    if isinstance(schedule, OnCalendar):
        lines = "; ".join(schedule.expression.splitlines())
        asks_for_it = any(table.zone.key == schedule.zone for table in timetables(schedule))
        return f"OnCalendar {lines} ({schedule.zone})" if asks_for_it else f"OnCalendar {lines}"
    return f"{_cron_words(schedule)} ({schedule.zone})"


def notices(schedule: Schedule, from_at: datetime, to_at: datetime) -> list[str]:
    """Say what clock changes in (from_at, to_at] do to the schedule, earliest first."""
    if isinstance(schedule, Period):
        return []
    who = _NAMES[schedule.dialect if isinstance(schedule, Cron) else Dialect.SYSTEMD]
    found = {
        (jump.at, sentence)
        for table in _without_twins(schedule)
        for jump in jumps(table.zone, from_at, to_at)
        for sentence in _notices_of(table, jump, who)
    }
    return [sentence for _, sentence in sorted(found)]


def _without_twins(schedule: Cron | OnCalendar) -> tuple[Timetable, ...]:
    """A line that is there twice says nothing new."""
    if isinstance(schedule, OnCalendar):
        schedule = OnCalendar("\n".join(dict.fromkeys(schedule.expression.splitlines())), schedule.zone)
    return timetables(schedule)


def _notices_of(table: Timetable, jump: Jump, who: str) -> Iterator[str]:
    beat_goes_on = table.every_hour and jump.forward % _HOUR == timedelta(0)
    if beat_goes_on and (jump.forward > timedelta(0) or table.rule is Rule.AS_SHOWN):
        return
    between = _walls_between(table, min(jump.left, jump.landed), max(jump.left, jump.landed))
    walls = list(islice(between, _MOST_TIMES + 1))
    if not walls:
        return
    one = len(walls) == 1
    if jump.forward > timedelta(0):
        what, then = "does not exist" if one else "do not exist", _in_gap(table.rule, jump)
    else:
        what, then = "comes twice" if one else "come twice", _in_overlap(table.rule)
    yield f"{walls[0]:%Y-%m-%d}: {_times(walls)} {what} in {table.zone.key}; {who} {then}"


def _in_gap(rule: Rule, jump: Jump) -> str:
    if rule is Rule.CATCH_UP and jump.forward < CORRECTION:
        return f"runs the job at {jump.landed:%H:%M}, right after the gap"
    return "does not run the job then"


def _in_overlap(rule: Rule) -> str:
    return "runs the job both times" if rule is Rule.AS_SHOWN else "runs the job the first time only"


def _walls_between(table: Timetable, low: datetime, high: datetime) -> Iterator[datetime]:
    wall = table.next_wall(low - TICK)
    while wall is not None and wall < high:
        yield wall
        wall = table.next_wall(wall)


def _times(walls: list[datetime]) -> str:
    """Name one time, two, or the first and the last of many; of more than are counted the first."""
    form = "%H:%M:%S" if any(wall.second for wall in walls) else "%H:%M"
    texts = [wall.strftime(form) for wall in walls]
    if len(texts) <= 2:
        return " and ".join(texts)
    if len(texts) > _MOST_TIMES:
        return f"more than {_MOST_TIMES:,} times from {texts[0]} on"
    return f"{len(texts)} times from {texts[0]} to {texts[-1]}"


def _span(period: timedelta) -> str:
    seconds, parts = period.total_seconds(), []
    for unit, size in _UNITS.items():
        n = seconds / size if unit == "second" else seconds // size
        seconds -= n * size
        if n:
            parts.append(f"{n:g} {unit}{'' if n == 1 else 's'}")
    return parts[0].removeprefix("1 ") if len(parts) == 1 else " ".join(parts)


def _cron_words(schedule: Cron) -> str:
    """Word the fields as read; both day fields together are worded by us, since "or" may be wrong."""
    times = cron.read(schedule.expression, schedule.dialect)
    minute, hour, days, month, weekdays = times.plain
    if times.both_days and "*" not in (days, weekdays):
        named = _worded(f"* * * * {weekdays}").partition(", ")[2]
        return f"{_worded(f'{minute} {hour} {days} {month} *')}, {named}"
    return _worded(" ".join(times.plain))


def _worded(fields: str) -> str:
    options = Options()
    options.locale_code = "en_US"  # its default is the machine's language
    options.use_24hour_time_format = True
    words: str = get_description(fields, options)
    return words.replace(" L of the month", " the last of the month")
