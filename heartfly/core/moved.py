"""A job that has changed its habits: it begins at another time of day, at another distance, or takes another time.

Told, and never an alarm: a new habit is somebody's decision more often than a fault. The last few runs must agree
with one another and differ, all of them, from what was usual before; so one bad night has moved nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from zoneinfo import ZoneInfo

from heartfly.core.learned import Ran
from heartfly.core.spans import span

NEW = 5
"""So many runs, the newest, make a habit."""
OLD = 10
"""So many at least were otherwise before."""
MOST_LOOKED_AT = 65
_DAY = timedelta(days=1)
_LEAST_CLOCK, _LEAST_TOOK = timedelta(minutes=15), timedelta(seconds=10)
_SPREADS = 4


class Habit(StrEnum):
    CLOCK = "time_of_day"
    DISTANCE = "distance"
    DURATION = "duration"


@dataclass(frozen=True, slots=True)
class Moved:
    """`since`: the first run that was so. `before`, `after`: of the day, between two runs, or how long one took."""

    what: Habit
    before: timedelta
    after: timedelta
    since: datetime

    @property
    def words(self) -> str:
        match self.what:
            case Habit.CLOCK:
                return f"It moved from {_clock(self.before)} to {_clock(self.after)}"
            case Habit.DISTANCE:
                return f"It ran every {span(self.before)}, and runs every {span(self.after)}"
            case _:  # how long it took
                return f"It took {span(self.before)}, and takes {span(self.after)}"


def moved(runs: Sequence[Ran], zone: ZoneInfo) -> list[Moved]:
    """`runs`: those that went well, the oldest first. `zone`: whose time of day is told."""
    runs = runs[-MOST_LOOKED_AT:]
    found = [_clock_moved(runs, zone), _distance_moved(runs), _duration_moved(runs)]
    return [one for one in found if one is not None]


def _clock_moved(runs: Sequence[Ran], zone: ZoneInfo) -> Moved | None:
    """Of a job that runs once on each day on which it runs; one that moved back over midnight ran twice on that one."""
    walls = [run.began_at.astimezone(zone) for run in runs]
    if sum(later.date() == wall.date() for wall, later in pairwise(walls)) > 1:
        return None
    # Counted from the first, so that a job around midnight does not jump by a day.
    first = _of_day(walls[0]) if walls else timedelta(0)
    values = [(_of_day(wall) - first + _DAY / 2) % _DAY for wall in walls]
    shift = _shift(values, _LEAST_CLOCK)
    if shift is None:
        return None
    before, after, place = shift
    back = first - _DAY / 2
    return Moved(Habit.CLOCK, _minutes((before + back) % _DAY), _minutes((after + back) % _DAY), runs[place].began_at)


def _distance_moved(runs: Sequence[Ran]) -> Moved | None:
    apart = [later.began_at - run.began_at for run, later in pairwise(runs)]
    usual = sorted(apart)[len(apart) // 2] if apart else timedelta(0)
    shift = _shift(apart, usual / 4)
    # Whatever runs on days only is farther apart at weekends: its time of day says more.
    if shift is None or (shift[0] >= _DAY * 0.9 and shift[1] >= _DAY * 0.9):
        return None
    before, after, place = shift
    return Moved(Habit.DISTANCE, before, after, runs[place + 1].began_at)


def _duration_moved(runs: Sequence[Ran]) -> Moved | None:
    timed = [(run, run.took) for run in runs if run.took is not None]
    values = [took for _, took in timed]
    usual = sorted(values)[len(values) // 2] if values else timedelta(0)
    shift = _shift(values, max(usual / 3, _LEAST_TOOK))
    return None if shift is None else Moved(Habit.DURATION, shift[0], shift[1], timed[shift[2]][0].began_at)


def _shift(values: Sequence[timedelta], least: timedelta) -> tuple[timedelta, timedelta, int] | None:
    """What was usual before and is since, and the place of the first that is so. None: nothing moved.

    `least`: no smaller move is told.
    """
    if len(values) < OLD + NEW:
        return None
    after = _median(values[-NEW:])
    place = len(values) - NEW
    before = _median(values[:place])
    # The new habit may be older than the newest few: it begins with the first of all that are nearer to it.
    while place > OLD and abs(values[place - 1] - after) < abs(values[place - 1] - before):
        place -= 1
        before = _median(values[:place])
    old, new = values[:place], values[place:]
    room = max(least, _SPREADS * _spread(old, before), _SPREADS * _spread(new, after))
    if abs(after - before) < room or any(abs(value - before) < room / 2 for value in new):
        return None
    return before, after, place


def _median(values: Sequence[timedelta]) -> timedelta:
    return sorted(values)[len(values) // 2]


def _spread(values: Sequence[timedelta], middle: timedelta) -> timedelta:
    return _median([abs(value - middle) for value in values])


def _of_day(wall: datetime) -> timedelta:
    return timedelta(hours=wall.hour, minutes=wall.minute, seconds=wall.second)


def _minutes(value: timedelta) -> timedelta:
    return round(value / timedelta(minutes=1)) * timedelta(minutes=1) % _DAY


def _clock(value: timedelta) -> str:
    hours, minutes = divmod(value // timedelta(minutes=1), 60)
    return f"{hours:02}:{minutes:02}"
