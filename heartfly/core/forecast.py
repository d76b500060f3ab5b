"""What a sum will come to at the end of a period, with a range: from what days like those ahead have come to.

A day ahead is taken to come to the mean of the last WEEKS days of the same weekday, or of all days where there are no
two of its weekday. How far the days that were known differed from that mean of the days before them says how wide the
range is: LEVEL of 1,000 periods of such independent days would end in it. Whole numbers only, so that the same days
make the same forecast; nothing of it knows what trend, season or price there will be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import isqrt

LEAST_DAYS = 14
"""Known days that it takes; with fewer there is no forecast."""
WEEKS = 4
LEVEL = 800
_DEVIATIONS = 1_282
"""Of a normal distribution: thousandths of a standard deviation to both sides within which LEVEL lie."""
_LEAST_PAIRS = 2


@dataclass(frozen=True, slots=True)
class Forecast:
    """`expected` within `low` and `high`; never less than what there is already. `n_days`: that it was made of."""

    low: int
    expected: int
    high: int
    n_days: int


def forecast(
    known: Mapping[date, int], *, so_far: int, today: tuple[date, int] | None, ahead: Sequence[date]
) -> Forecast | None:
    """`known`: whole days, none left out between the first and the last; a day of nothing is 0.

    `so_far`: of the period, today included. `today`: what it came to by now; it is taken to come to as much as a day
    like it, if that is more. `ahead`: the period's days after today. None: not enough data.
    """
    if len(known) < LEAST_DAYS:
        return None
    days = sorted(known)
    rest = 0
    n_open = len(ahead)
    if today is not None:
        rest += max(0, _like(known, days, today[0]) - today[1])
        n_open += 1
    rest += sum(_like(known, days, day) for day in ahead)
    spread = _deviation(known, days) * isqrt(n_open * 10**12) // 10**6 * _DEVIATIONS // 1_000
    return Forecast(max(so_far, so_far + rest - spread), so_far + rest, so_far + rest + spread, len(days))


def _like(known: Mapping[date, int], days: Sequence[date], day: date) -> int:
    """`days`: known ones, in order, of which those before `day` are looked at."""
    before = [one for one in days if one < day]
    same = [one for one in before if one.weekday() == day.weekday()][-WEEKS:]
    some = same if len(same) >= _LEAST_PAIRS else before
    return sum(known[one] for one in some) // len(some) if some else 0


def _deviation(known: Mapping[date, int], days: Sequence[date]) -> int:
    """The root of the mean square of how wrong the rule was of the known days, from the second week on."""
    judged = days[LEAST_DAYS // 2 :]
    squares = sum((known[day] - _like(known, days, day)) ** 2 for day in judged)
    return isqrt(squares // len(judged))
