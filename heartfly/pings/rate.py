"""How many pings of one check leave a row. Above the rate a ping still counts; it is only not listed."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime


class RateLimiter:
    """A token bucket for each check, in this process's memory; the least recently heard are forgotten."""

    def __init__(self, *, per_minute: int, remembered: int = 100_000) -> None:
        self._per_second = per_minute / 60
        self._burst = float(per_minute)
        self._remembered = remembered
        self._buckets: OrderedDict[int, tuple[float, datetime]] = OrderedDict()

    def allows(self, check_id: int, at: datetime) -> bool:
        tokens, last = self._buckets.pop(check_id, (self._burst, at))
        passed = max(0.0, (at - last).total_seconds())
        tokens = min(self._burst, tokens + passed * self._per_second)
        allowed = tokens >= 1.0
        self._buckets[check_id] = (tokens - 1.0 if allowed else tokens, max(at, last))
        if len(self._buckets) > self._remembered:
            self._buckets.popitem(last=False)
        return allowed
