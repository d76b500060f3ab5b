"""How long a job usually takes and how late it usually is, and which limits that suggests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta

ENOUGH = 20
"""Of fewer values the hundredth part says nothing."""
_ROOM = 1.2
_MINUTE = timedelta(minutes=1)


def quantile(values: Sequence[timedelta], share: float) -> timedelta:
    """The smallest value that at least this share (0 to 1) does not exceed. `values`: sorted, and not empty."""
    return values[max(math.ceil(share * len(values)) - 1, 0)]


def suggested(values: Sequence[timedelta]) -> timedelta | None:
    """What 99 of 100 keep, and a fifth more, in whole minutes; None: there are too few. `values`: sorted."""
    if len(values) < ENOUGH:
        return None
    return max(math.ceil(quantile(values, 0.99) * _ROOM / _MINUTE), 1) * _MINUTE
