"""How long a job usually takes and how late it usually is, and which limits that suggests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta

ENOUGH = 20
"""Of fewer values the hundredth part says nothing."""
_ROOM = 1.2
_MINUTE, _SECOND = timedelta(minutes=1), timedelta(seconds=1)


def quantile(values: Sequence[timedelta], share: float) -> timedelta:
    """The smallest value that at least this share (0 to 1) does not exceed. `values`: sorted, and not empty."""
    return values[max(math.ceil(share * len(values)) - 1, 0)]


def limit(values: Sequence[timedelta], *, least: timedelta = _SECOND) -> timedelta | None:
    """What 99 of 100 keep, and a fifth more; None: there are too few. `values`: sorted.

    In whole minutes from ten of them on, else in tens of seconds or in seconds: a job of half a minute that takes two
    shall be found.
    """
    if len(values) < ENOUGH:
        return None
    wanted = quantile(values, 0.99) * _ROOM
    unit = _MINUTE if wanted >= 10 * _MINUTE else 10 * _SECOND if wanted >= _MINUTE else _SECOND
    return max(math.ceil(wanted / unit) * unit, least)
