"""When a delivery that failed is tried again, when others should hear of it, and when we give up.

Quick at first, for a receiver that restarts; patient later, for one that is away overnight: ten tries
in about 28 hours. Who tries, and what a failure is, is decided in notify/.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

DELAYS_S = (0, 5, 30, 120, 600, 1_800, 7_200, 18_000, 36_000, 36_000)
"""The wait before attempt 1, 2, 3, and so on."""

MAX_ATTEMPTS = len(DELAYS_S)
JITTER = 0.1
RETRY_AFTER_CAP_S = 3_600.0

PATIENCE_S = 120.0
"""A channel that delivers nothing for so long is news. By then the fourth try of a message has failed and the next is
ten minutes away; a receiver that only restarted is back, and to tell of each restart would be noise."""

GATHER = timedelta(minutes=2)
"""So long news of a channel that fails waits for that of others, if others are in trouble as well. By then the fourth
tries of all that were cut off together have failed, whatever spread them.
"""
_ONE_TROUBLE = timedelta(minutes=10)
"""A channel of which people heard longer ago is in another trouble."""


def retry_at(
    attempt: int, *, failed_at: datetime, permanent: bool, retry_after_s: float | None, jitter: float
) -> datetime | None:
    """Return when the attempt after `attempt` (counted from 1) is due, or None: give up.

    `jitter` is a random number in [0, 1) that spreads retries by 10 % to either side. The receiver's own
    wish is followed when it asks for longer, up to an hour: beyond that it would hold back an alarm.
    """
    if permanent or attempt >= MAX_ATTEMPTS:
        return None
    delay_s = DELAYS_S[attempt] * (1 - JITTER + 2 * JITTER * jitter)
    if retry_after_s is not None:
        delay_s = max(delay_s, min(retry_after_s, RETRY_AFTER_CAP_S))
    return failed_at + timedelta(seconds=delay_s)


def outlasts_patience(*, since: datetime, failed_at: datetime, retry_after_s: float | None) -> bool:
    """Return whether a channel fails for too long to be kept quiet about, though it is tried again.

    `since`: its first failed try after its last success. The time for which the receiver asks counts at once:
    in it nothing arrives either.
    """
    asked_s = max(0.0, min(retry_after_s or 0.0, RETRY_AFTER_CAP_S))
    return (failed_at - since).total_seconds() + asked_s >= PATIENCE_S


def is_one_of_many(told_at: Iterable[datetime | None], *, at: datetime) -> bool:
    """Whether a channel fails with others. `told_at`: of each other in trouble, when it was told of; None: not yet."""
    return any(one is None or at - one < _ONE_TROUBLE for one in told_at)
