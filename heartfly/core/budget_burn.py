"""How fast a budget's money goes: a day's burn, how long what is left lasts, and on which day it is gone.

Exact fractions of money; no float. What a period comes to by its end is foreseen elsewhere, with a range.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from fractions import Fraction
from math import ceil

from heartfly.core.money import Money

BURN_DAYS = 7
"""Of how many whole days the burn is the mean."""


def burn(before: Sequence[Money]) -> Fraction | None:
    """A day's, of the last whole days since something was spent (oldest first); None: nothing was yet."""
    days = since_first(before[-BURN_DAYS:])
    return Fraction(sum(days), len(days)) if days else None


def since_first(days: Sequence[Money]) -> Sequence[Money]:
    """Without the days before anything was spent."""
    for n, one in enumerate(days):
        if one:
            return days[n:]
    return ()


def lasts_days(left: Money, burnt: Fraction | None) -> Fraction | None:
    """How many days what is left lasts; None: nobody knows, or for ever."""
    if burnt is None or burnt <= 0:
        return None
    return Fraction(max(left, 0)) / burnt


def gone_on(today: date, left: Money, burnt: Fraction | None, *, share_left: Fraction) -> date | None:
    """The day on which nothing is left any more, if it goes on so. `share_left`: of today. None: not foreseen."""
    lasts = lasts_days(left, burnt)
    if lasts is None:
        return None
    beyond = max(0, ceil(lasts - share_left))
    return today + timedelta(days=beyond) if beyond <= (date.max - today).days else None
