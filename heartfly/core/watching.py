"""What is wrong with another Heartfly, by what its `/readyz` says: not only whether it answers, but whether an alarm
still comes out at the other end. How it is asked, and who is told, is decided in cli/watch.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from heartfly.core.spans import span


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What may be, inclusive. `canary` None: whether and when its canary was told is not looked at."""

    lag: timedelta = timedelta(seconds=30)
    undelivered: timedelta = timedelta(seconds=60)
    canary: timedelta | None = timedelta(hours=2, minutes=30)
    latency: timedelta = timedelta(seconds=60)


def what_is_wrong(told: Mapping[str, Any], bounds: Bounds, *, without_canary: timedelta = timedelta()) -> Sequence[str]:
    """In sentences; empty: nothing. `told`: the answer of `/readyz`. `without_canary`: how long it has told of none."""
    wrong = [f"not ready: {one.get('detail') or one.get('reason')}" for one in told.get("reasons") or ()]
    if not wrong and told.get("status") != "ready":
        wrong.append("it does not say that it is ready")
    if (lag := _seconds(told.get("watermark_lag_s"))) is not None and lag > bounds.lag:
        wrong.append(f"silence is judged only up to {span(lag)} ago")
    if (waits := _seconds(told.get("undelivered_s"))) is not None and waits > bounds.undelivered:
        wrong.append(f"an alert has been waiting for {span(waits)}")
    if (cut_off := _seconds(told.get("cut_off_s"))) is not None:
        wrong.append(f"nothing that is sent to its public address has reached it for {span(cut_off)}")
    return [*wrong, *_of_canary(told.get("canary"), bounds, without_canary)]


def _of_canary(canary: Any, bounds: Bounds, without: timedelta) -> Sequence[str]:
    if bounds.canary is None:
        return []
    if not isinstance(canary, Mapping):
        return [f"it has told of no canary for {span(without)}"] if without > bounds.canary else []
    wrong = []
    if (age := _seconds(canary.get("age_s"))) is None or age > bounds.canary:
        wrong.append("the last canary was told of " + ("at no known time" if age is None else f"{span(age)} ago"))
    if (latency := _seconds(canary.get("latency_s"))) is not None and latency > bounds.latency:
        wrong.append(f"the last canary was told of {span(latency)} late")
    return wrong


def _seconds(value: Any) -> timedelta | None:
    return timedelta(seconds=value) if isinstance(value, int | float) and not isinstance(value, bool) else None
