"""What the past of a job suggests: when it runs, how late it may come, how long it may take.

Fitted on the first four fifths of its runs; who asks tries the answer on the rest (checks/learned.py), so that nobody
has to believe a guess. Values far from what is usual teach nothing while they are few: they are what one is to hear
of. Nothing is suggested out of few runs, and nothing here changes a check.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from heartfly.core.habits import limit
from heartfly.core.schedule import Cron, Dialect, OnCalendar, Period, Schedule, next_after
from heartfly.core.zones import zone as find_zone

FITTED = Fraction(4, 5)
LEAST_RUNS = 10
"""Of fewer no schedule is told."""
_HIT = Fraction(4, 5)
"""So many of its times must have had a run: a job that was down for a while keeps its schedule."""
_BESIDE = Fraction(1, 20)
"""No more of its runs may be beside it."""
_STRAY = Fraction(1, 20)
"""So few values may be far out and teach nothing; where more are, they are usual."""
_ARC = 4
"""Within so much less than a cycle they begin: what begins all over it has no time in it."""
_TOO_OFTEN = 2
"""What fires so many times as often as the job ran is not its schedule."""
_ABOUT = (Fraction(3, 4), Fraction(9, 8))
"""A cycle is looked at if there are about as many runs as it has times."""
_NEAR = 10
"""A distance is the period if it differs by no more than this part of it."""
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_MINUTES = (60, 30, 20, 15, 12, 10, 6, 5, 4, 3, 2, 1)
_HOURS = (12, 8, 6, 4, 3, 2)
_EVERY_DAY = frozenset(range(7))
_MONTH = timedelta(days=365.2425) / 12
_MOST_DAYS = 4
"""Of a month, on which a job that runs by the month may run."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A run that ended well. `began_at`: its start, or its end if it told of no start; then `took` is None."""

    began_at: datetime
    ended_at: datetime
    took: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Fit:
    """A schedule, how many times it had within the runs, how many of them had one, and how many runs were beside it."""

    schedule: Schedule
    n_times: int
    n_hit: int
    n_beside: int

    @property
    def n_off(self) -> int:
        return self.n_times - self.n_hit + self.n_beside

    @property
    def is_good(self) -> bool:
        n_runs = self.n_hit + self.n_beside
        return self.n_hit >= _HIT * self.n_times and self.n_beside <= _BESIDE * n_runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """`fit`: a schedule that suits better than the present one; None: none does. `present`: how the present one does.

    `grace`, `max_run` None: there are too few runs to say. `n_runs`: out of so many.
    """

    n_runs: int
    present: Fit
    fit: Fit | None = None
    grace: timedelta | None = None
    max_run: timedelta | None = None

    @property
    def schedule(self) -> Schedule:
        return self.present.schedule if self.fit is None else self.fit.schedule


def split(runs: Sequence[Ran]) -> int:
    """So many of them, the oldest, are learned from."""
    return math.floor(FITTED * len(runs))


def learn(runs: Sequence[Ran], present: Schedule, *, zones: Sequence[str]) -> Suggestion | None:
    """`runs`: those to learn from, the oldest first. `zones`: in which a schedule may be told, the likeliest first.

    None: they are too few.
    """
    if len(runs) < LEAST_RUNS:
        return None
    was = matched(runs, present)
    found = fitted(runs, zones=zones, dialect=present.dialect if isinstance(present, Cron) else Dialect.CRON)
    # A calendar says when the job is expected, and a period only how soon after the last run.
    tells_more = isinstance(present, Period) and found is not None and isinstance(found.schedule, Cron)
    if found is not None and was.is_good and not tells_more and found.n_off >= was.n_off:
        found = None
    schedule = present if found is None else found.schedule
    took = sorted(run.took for run in runs if run.took is not None)
    max_run = limit(usual(took))
    # A run under way holds its slot: what begins in time need not be done within the grace, if it may run longer.
    late = sorted(_lateness(runs, schedule, of_ends=max_run is None))
    return Suggestion(
        n_runs=len(runs), present=was, fit=found, grace=limit(usual(late), least=_MINUTE), max_run=max_run
    )


def usual(values: Sequence[timedelta]) -> Sequence[timedelta]:
    """Without those that are far above the others, if these are few. `values`: sorted."""
    if not values:
        return values
    middle = values[len(values) // 2]
    spread = sorted(abs(value - middle) for value in values)[len(values) // 2]
    fence = middle + max(8 * spread, middle / 2, _MINUTE)
    n_within = bisect_right(values, fence)
    return values[:n_within] if len(values) - n_within <= _STRAY * len(values) else values


# --- schedules ---------------------------------------------------------------------------------------


def fitted(runs: Sequence[Ran], *, zones: Sequence[str], dialect: Dialect) -> Fit | None:
    """The schedule that suits these runs best; of several that do so equally the one that they follow most closely."""
    found = [fit for name in dict.fromkeys(zones) for fit in _calendars(runs, find_zone(name), dialect)]
    best = min(found, key=lambda fit: (fit.n_off, _spread(runs, fit.schedule)), default=None)
    if best is None and (period := _period(runs)) is not None:
        best = matched(runs, period)
    return best if best is not None and best.is_good else None


def matched(runs: Sequence[Ran], schedule: Schedule) -> Fit:
    """How a schedule suits runs."""
    if isinstance(schedule, Period):
        apart = [later.ended_at - run.ended_at for run, later in pairwise(runs)]
        leeway = schedule.period / _NEAR
        near = sum(abs(one - schedule.period) <= leeway for one in apart)
        n_early = sum(one < schedule.period - leeway for one in apart)
        return Fit(schedule, len(apart) - n_early, near, n_early)
    times = _times(runs, schedule)
    if times is None:
        return Fit(schedule, _TOO_OFTEN * len(runs), 0, len(runs))
    hit = Counter(bisect_right(times, run.began_at) for run in runs)
    n_hit = sum(place > 0 for place in hit)
    return Fit(schedule, len(times), n_hit, len(runs) - n_hit)


def _calendars(runs: Sequence[Ran], zone: ZoneInfo, dialect: Dialect) -> Iterator[Fit]:
    walls = [run.began_at.astimezone(zone).replace(tzinfo=None) for run in runs]
    for text in _expressions(walls):
        fit = matched(runs, Cron(text, zone.key, dialect))
        if fit.is_good:
            yield fit


def _expressions(walls: Sequence[datetime]) -> Iterator[str]:
    """Those by which they may have begun, by the clock on the wall; the longest cycle first."""
    of_day = [wall - wall.replace(hour=0, minute=0, second=0, microsecond=0) for wall in walls]
    if (start := _start(of_day, _DAY)) is not None:
        days = Counter((wall - start).weekday() for wall in walls)
        often = _often(days)
        if _is_about(walls, _DAY * 7 / len(often)):
            yield f"{_clock(start)} * * {_weekdays(often)}"
        of_month = _often(Counter((wall - start).day for wall in walls))
        months = _often(Counter((wall - start).month for wall in walls))
        if len(of_month) <= _MOST_DAYS and _is_about(walls, _MONTH * 12 / len(months) / len(of_month)):
            yield f"{_clock(start)} {_listed(of_month)} {'*' if len(months) == 12 else _listed(months)} *"
    for n in _HOURS:
        if _is_about(walls, n * _HOUR) and (start := _start(of_day, n * _HOUR)) is not None:
            hour = start // _HOUR
            yield f"{start % _HOUR // _MINUTE} {f'{hour}-23' if hour else '*'}/{n} * * *"
    for n in _MINUTES:
        if _is_about(walls, n * _MINUTE) and (start := _start(of_day, n * _MINUTE)) is not None:
            minute = start // _MINUTE
            steps = f"{f'{minute}-59' if minute else '*'}/{n}" if n > 1 else "*"
            yield f"{minute if n == _MINUTES[0] else steps} * * * *"


def _often(counted: Counter[int]) -> frozenset[int]:
    """Those that have at least half as many as the one that has most."""
    return frozenset(one for one, n in counted.items() if 2 * n >= max(counted.values()))


def _listed(numbers: frozenset[int]) -> str:
    return ",".join(map(str, sorted(numbers)))


def _is_about(walls: Sequence[datetime], cycle: timedelta) -> bool:
    n_times = (walls[-1] - walls[0]) / cycle + 1
    return n_times * _ABOUT[0] <= len(walls) <= n_times * _ABOUT[1] + 1


def _start(of_day: Sequence[timedelta], cycle: timedelta) -> timedelta | None:
    """The minute of a cycle at which they begin; None: they begin all over it."""
    places = sorted(value % cycle for value in of_day)
    n = len(places)
    wanted = n - math.floor(_STRAY * n)
    around = [*places, *(place + cycle for place in places)]
    length, start = min((around[i + wanted - 1] - around[i], around[i]) for i in range(n))
    return None if _ARC * length > cycle else start // _MINUTE * _MINUTE


def _clock(of_day: timedelta) -> str:
    return f"{of_day % _HOUR // _MINUTE} {of_day // _HOUR}"


def _weekdays(days: frozenset[int]) -> str:
    """As cron counts them, from Sunday on."""
    if days == _EVERY_DAY:
        return "*"
    if days == frozenset(range(5)):
        return "1-5"
    return ",".join(str(day) for day in sorted((day + 1) % 7 for day in days))


def _times(runs: Sequence[Ran], schedule: Cron | OnCalendar) -> Sequence[datetime] | None:
    """From the one of the first run to that of the last; None: far more than there are runs."""
    first, last, n = runs[0].began_at, runs[-1].began_at, len(runs)
    # The first run is of the last time before it, which only looking forward from an earlier instant finds.
    since = first - max(last - first, _DAY) / n * 2 - _MINUTE
    return _fires(schedule, since, first, last, _TOO_OFTEN * n)


@lru_cache(maxsize=16)
def _fires(
    schedule: Cron | OnCalendar, since: datetime, first: datetime, last: datetime, most: int
) -> Sequence[datetime] | None:
    """Remembered, as each is a tenth of a millisecond of work and asked for several times."""
    found: list[datetime] = []
    at = next_after(schedule, since)
    while at is not None and at <= last:
        if at <= first:
            found.clear()
        found.append(at)
        if len(found) > most:
            return None
        at = next_after(schedule, at)
    return tuple(found)


def _period(runs: Sequence[Ran]) -> Period | None:
    """The usual distance of ends, in whole minutes where it has several of them."""
    apart = sorted(later.ended_at - run.ended_at for run, later in pairwise(runs))
    middle = apart[len(apart) // 2]
    unit = _MINUTE if middle >= 5 * _MINUTE else timedelta(seconds=1)
    rounded = max(round(middle / unit), 1) * unit
    return Period(rounded) if timedelta(seconds=5) <= rounded <= timedelta(days=365) else None


def _spread(runs: Sequence[Ran], schedule: Schedule) -> timedelta:
    """Within how much of each other most of them begin."""
    late = sorted(_lateness(runs, schedule, of_ends=False))
    return late[math.ceil((1 - _STRAY) * len(late)) - 1] - late[0] if late else timedelta(0)


def _lateness(runs: Sequence[Ran], schedule: Schedule, *, of_ends: bool) -> Iterator[timedelta]:
    if isinstance(schedule, Period):
        for run, later in pairwise(runs):
            at = later.ended_at if of_ends else later.began_at
            yield max(at - run.ended_at - schedule.period, timedelta(0))
        return
    times = _times(runs, schedule) or []
    seen: set[int] = set()
    for run in runs:
        place = bisect_right(times, run.began_at)
        if place and place not in seen:
            seen.add(place)
            yield (run.ended_at if of_ends else run.began_at).astimezone(UTC) - times[place - 1]
