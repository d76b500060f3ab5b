"""Which alerts become one message on a people's channel; pure.

A few alerts are a message for each source, at once. Many in a short time are a storm: the first ones at
once, then, every half window, all that gathered as one message. Machines (webhooks) get every event and
never come here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

MAX_MESSAGES = 3
"""A fold is cut into at most so many messages, to name each check. A larger one is one message that links the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """How many alerts the channel was given within the window, and when the last of them."""

    n_alerts: int = 0
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Messages to send now, each a list of alert ids in order; or none until `hold_until`.

    `folded`: they are one storm, so all of them are taken now, even if they go out one after the other.
    """

    messages: Sequence[Sequence[int]] = ()
    folded: bool = False
    hold_until: datetime | None = None


def plan(
    waiting: Mapping[str, Sequence[int]],
    recent: Recent,
    *,
    now: datetime,
    window: timedelta,
    threshold: int,
    most_named: int,
) -> Plan:
    """`waiting`: each source with its alerts, in order. What one source has waiting is always one message."""
    n_waiting = sum(map(len, waiting.values()))
    if recent.n_alerts + n_waiting <= threshold:
        return Plan(messages=tuple(waiting.values()))
    if recent.n_alerts > threshold and recent.last_at is not None and now < recent.last_at + window / 2:
        return Plan(hold_until=recent.last_at + window / 2)
    return Plan(messages=_folded(list(waiting.values()), most_named), folded=True)


def _folded(sources: Sequence[Sequence[int]], most_named: int) -> list[list[int]]:
    size = most_named if len(sources) <= MAX_MESSAGES * most_named else len(sources)
    return [sorted(chain.from_iterable(sources[i : i + size])) for i in range(0, len(sources), size)]
