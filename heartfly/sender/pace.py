"""How long to wait before the next try: longer each time, never twice the same, and never less than was asked for."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_S = 0.5
LONGEST_S = 60.0
LONGEST_ASKED_S = 3600.0
"""Of a Retry-After; what asks for more is asked again after this."""


def wait_s(n_failed: int, asked_s: float | None, chance: Callable[[], float] = random.random) -> float:
    """Seconds after the n-th failure in a row, from 1. `asked_s`: what the server asked for. `chance`: from 0 to 1."""
    longest: float = min(LONGEST_S, FIRST_S * 2.0 ** min(n_failed - 1, 10))
    own = longest * (0.5 + chance() / 2)
    return own if asked_s is None else max(own, min(asked_s, LONGEST_ASKED_S))


def asked_for(retry_after: str | None, now: datetime) -> float | None:
    """Seconds from a Retry-After header: a number, or a date. None: nothing that can be read."""
    if not retry_after:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())
