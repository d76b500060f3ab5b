"""Budgets as pictures: how much is spent, with thresholds as marks, and what the last days cost. Numbers in, paths out.

Pictures are stretched to their place, so labels stand beside them in words; geometry only, and floats only here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from heartfly.core.budgets import WHOLE
from heartfly.core.money import Money
from heartfly.core.rounded import share_words

WIDTH, HEIGHT = 600, 12
_DAYS_HEIGHT = 60
_MOST = 150
"""Percent that a bar shows at most; what is beyond is at its end."""
_GAP = 0.2


@dataclass(frozen=True, slots=True)
class Bar:
    """`spent` and `over`: how wide in the picture's measure, up to the whole and beyond it. `marks`: x of thresholds,
    and whether each is reached. `used`: `64 %`. `mood`: ok, wait or bad.
    """

    spent: float
    over: float
    marks: Sequence[tuple[float, int, bool]]
    used: str
    mood: str


@dataclass(frozen=True, slots=True)
class DayBars:
    """`path`: of whole days; `today`: of today so far. `days`: with what each cost."""

    path: str
    today: str
    days: Sequence[tuple[date, Money]]


def bar_of(spent: Money, whole: Money, thresholds: Sequence[int]) -> Bar:
    percent = spent * WHOLE // whole
    top = max(WHOLE, min(_MOST, max([*thresholds, min(percent, _MOST)], default=WHOLE)))
    shown = max(0.0, min(float(top), spent * WHOLE * 100 // whole / 100))
    unit = WIDTH / top
    reached = [one for one in thresholds if spent * WHOLE >= whole * one]
    mood = "bad" if percent >= WHOLE else "wait" if reached and max(reached) >= 80 else "ok"
    return Bar(
        spent=round(min(shown, WHOLE) * unit, 2),
        over=round(max(0.0, shown - WHOLE) * unit, 2),
        marks=[(round(min(one, top) * unit, 2), one, one in reached) for one in thresholds],
        used=share_words(spent, whole),
        mood=mood,
    )


def days_of(days: Sequence[tuple[date, Money]]) -> DayBars | None:
    """None: nothing was spent. The last one is today."""
    top = max((money for _, money in days), default=0)
    if top <= 0:
        return None
    wide = WIDTH / len(days)
    pieces = []
    for n, (_, money) in enumerate(days):
        high = max(0, money) * _DAYS_HEIGHT * 100 // top / 100
        left, across = round(n * wide + wide * _GAP / 2, 2), round(wide * (1 - _GAP), 2)
        pieces.append(f"M{left} {_DAYS_HEIGHT}v-{high}h{across}v{high}z" if high else "")
    return DayBars("".join(pieces[:-1]), pieces[-1], days)
