"""When alerts become one message on a people's channel; pure.

A few alerts are a message for each source, at once. Many in a short time are a storm: the first ones at
once, then, every half window, all that gathered as one message. Machines (webhooks) get every event and
never come here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from itertools import chain

MAX_MESSAGES = 3
"""A fold is cut into at most so many messages, to name each check. A larger one is one message that links the rest."""


class Fold(Enum):
    APART = "a message for each source"
    TOGETHER = "one message, or a few"
    LATER = "nothing yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """How many alerts the channel was given within the window, and when the last of them."""

    n_alerts: int = 0
    last_at: datetime | None = None


def fold(n_waiting: int, recent: Recent, *, now: datetime, window: timedelta, threshold: int) -> Fold:
    if recent.n_alerts + n_waiting <= threshold:
        return Fold.APART
    if recent.n_alerts <= threshold or recent.last_at is None or recent.last_at + window / 2 <= now:
        return Fold.TOGETHER
    return Fold.LATER


def can_name_all(n_sources: int, *, most_named: int) -> bool:
    return n_sources <= MAX_MESSAGES * most_named


def cut(sources: Sequence[Sequence[int]], *, most_named: int) -> list[list[int]]:
    """Messages of at most `most_named` sources each, with their alerts in order."""
    return [
        sorted(chain.from_iterable(sources[start : start + most_named])) for start in range(0, len(sources), most_named)
    ]
