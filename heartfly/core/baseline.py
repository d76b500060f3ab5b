"""What is usual: the median of past runs that went well, by which a gate judges a figure.

Of each past day one run counts, the one nearest to the time of day that is judged, so that a job which runs hourly is
compared with its own hour. Too little past is no baseline, and then nothing is judged by it. Runs that failed or were
degraded are left out by whoever hands them in (checks/past_figures.py).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from statistics import median

import msgspec

LEAST_PAST = 7
"""Days, or runs."""
LEAST_WEEKDAYS = 3
LEAST_COUNTED = 100
"""Fewer events than this in all, and chance alone makes any figure."""
MOST_WEEKS = 12
MOST = 2_000
"""Runs that are looked at, the newest, whatever came of them."""
MOST_RUNS = 200
_SPREADS = 3
_WIDEST = Fraction(9, 10)
_WEEKDAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")


class Usual(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which runs are looked at: the last `runs`, or those of so many `weeks`, of the same weekday if that is asked."""

    runs: int = 0
    weeks: int = 0
    same_weekday: bool = False

    @property
    def text(self) -> str:
        if self.runs:
            return f"median(last {self.runs} runs)"
        weeks = "1 week" if self.weeks == 1 else f"{self.weeks} weeks"
        return f"median(same weekday, {weeks})" if self.same_weekday else f"median({weeks})"


@dataclass(frozen=True, slots=True)
class Sample:
    """`counted`: how many events it speaks of; None: it is no count, and any number of them will do."""

    value: Fraction
    counted: Fraction | None


@dataclass(frozen=True, slots=True)
class Baseline:
    """`spread`: no deviation up to it is unusual: three times the median absolute deviation, never so much that a
    figure of 0 were usual. `words`: of what it is the median.
    """

    median: Fraction
    spread: Fraction
    words: str
    or_near: Fraction | None = None
    """The median of the same weekdays while they are too few: near them is usual, too."""


Ask = Callable[[int], Sample | None]
"""Of the run at this place: what it says; None: it says nothing about it."""


def of(usual: Usual, ends: Sequence[datetime], ask: Ask, *, at: datetime, zone: tzinfo) -> Baseline | str:
    """For a run that ends at `at`, from those that ended before it. A text: why there is none.

    `ends`: when runs ended, oldest first.
    """
    if usual.runs:
        known = _last(usual.runs, bisect_left(ends, at), ask)
        if len(known) < LEAST_PAST:
            return f"{len(known)} of {LEAST_PAST} runs that went well are known"
        return _baseline(known, known, "runs")
    days = _by_day(usual.weeks, ends, ask, at.astimezone(zone), zone)
    if len(days) < LEAST_PAST:
        return f"{len(days)} of {LEAST_PAST} past days with a run that went well are known"
    known, weekday = list(days.values()), at.astimezone(zone).weekday()
    alike = [one for day, one in days.items() if day.weekday() == weekday]
    if usual.same_weekday and len(alike) >= LEAST_WEEKDAYS:
        return _baseline(known, alike, _WEEKDAYS[weekday])
    found = _baseline(known, known, "days")
    if usual.same_weekday and alike and isinstance(found, Baseline):
        return replace(found, or_near=median(one.value for one in alike))
    return found


def _baseline(known: Sequence[Sample], chosen: Sequence[Sample], words: str) -> Baseline | str:
    """`known`: all that there are, by whose number of events is judged whether they tell anything."""
    counted = [one.counted for one in known if one.counted is not None]
    if counted and (total := sum(counted)) < LEAST_COUNTED:
        return f"{amount(Fraction(total))} of {LEAST_COUNTED} events are known, in {len(known)} runs that went well"
    middle = median(one.value for one in chosen)
    if middle == 0:
        return f"the median of {len(chosen)} {words} is 0"
    spread = _SPREADS * median(abs(one.value - middle) for one in chosen)
    return Baseline(middle, min(spread, _WIDEST * abs(middle)), f"{len(chosen)} {words}")


def earliest(usual: Usual, at: datetime) -> datetime | None:
    """Runs before it are not asked for, whatever the zone; None: by their number."""
    return None if usual.runs else at - timedelta(weeks=usual.weeks, days=2)


def _last(wanted: int, end: int, ask: Ask) -> list[Sample]:
    found: list[Sample] = []
    while end > 0 and len(found) < wanted:
        end -= 1
        if (one := ask(end)) is not None:
            found.append(one)
    return found


def _by_day(weeks: int, ends: Sequence[datetime], ask: Ask, now: datetime, zone: tzinfo) -> dict[date, Sample]:
    """Of each day before that of `now` what the run nearest to its time of day says, by the clock on the wall there."""
    found: dict[date, Sample] = {}
    end = bisect_left(ends, _at(now.date(), time(), zone))
    for ago in range(1, 7 * weeks + 1):
        day = now.date() - timedelta(days=ago)
        start = bisect_left(ends, _at(day, time(), zone), 0, end)
        same_time = _at(day, now.time(), zone)
        for place in _nearest_first(ends, start, end, same_time):
            if (one := ask(place)) is not None:
                found[day] = one
                break
        end = start
    return found


def _nearest_first(ends: Sequence[datetime], start: int, end: int, to: datetime) -> Iterator[int]:
    """The places from `start` on, before `end`; of two as near the later."""
    after = bisect_left(ends, to, start, end)
    before = after - 1
    while before >= start or after < end:
        if before < start or (after < end and ends[after] - to <= to - ends[before]):
            yield after
            after += 1
        else:
            yield before
            before -= 1


def _at(day: date, clock: time, zone: tzinfo) -> datetime:
    return datetime.combine(day, clock, zone).astimezone(UTC)


def amount(value: Fraction) -> str:
    """For people: whole numbers in full, others to some places."""
    if value.denominator == 1:
        return f"{value.numerator:,}"
    places = 2 if abs(value) >= 1 else 4
    text = f"{Decimal(round(value * 10**places)).scaleb(-places):,f}"
    return text.rstrip("0").rstrip(".") or "0"
