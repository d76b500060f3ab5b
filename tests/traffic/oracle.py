"""Requests of a test, and what they come to by brute force: Python's Decimal, and nothing of what Heartfly has."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from math import ceil
from typing import Any

Told = tuple[int, int, int, int, int, int]
"""n, n_timed, microseconds, the most of them, bytes in and out."""
Ended = tuple[dict[int, int], Told]
"""How many of each status, and what all of them come to."""


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A request. None: the event does not tell. `latency`: milliseconds, as it is written."""

    number: int
    at: datetime
    subject: str = "anonymous"
    method: str = "GET"
    route: str = "/a"
    status: int | None = 200
    latency: str | None = None
    n_in: int | None = None
    n_out: int | None = None
    key: str | None = None
    source: str | None = None

    @property
    def endpoint(self) -> str:
        return f"{self.method} {self.route}"

    @property
    def us(self) -> int | None:
        if self.latency is None:
            return None
        return int((Decimal(self.latency) * 1000).quantize(Decimal(1), ROUND_HALF_UP))

    def wire(self) -> dict[str, Any]:
        from heartfly.core.amounts import Number  # noqa: PLC0415 - how JSON is read, not what is folded

        told: dict[str, Any] = {"method": self.method, "route": self.route, "path": f"{self.route}?n={self.number}"}
        numbers = {
            "status": self.status,
            "latency_ms": self.latency,
            "request_bytes": self.n_in,
            "response_bytes": self.n_out,
        }
        told |= {name: Number(str(value)) for name, value in numbers.items() if value is not None}
        texts = {"key": self.key, "source": self.source, "request_id": f"r-{self.number}"}
        told |= {name: text for name, text in texts.items() if text is not None}
        return {
            "transaction_id": f"h-{self.number}",
            "customer_id": self.subject,
            "timestamp": self.at.isoformat(),
            "event_type": "http.request",
            "properties": told | {"ip": "192.0.2.0", "user_agent": "curl/8.5"},
        }


def told(hits: Iterable[Hit]) -> Told:
    some = list(hits)
    times = [one.us for one in some if one.us is not None]
    return (
        len(some),
        len(times),
        sum(times),
        max(times, default=0),
        sum(one.n_in or 0 for one in some),
        sum(one.n_out or 0 for one in some),
    )


def by_status(hits: Iterable[Hit]) -> Ended:
    some = list(hits)
    return {status: len(of) for status, of in grouped(some, lambda one: one.status or 0).items()}, told(some)


def grouped(hits: Iterable[Hit], by: Callable[[Hit], Any]) -> dict[Any, list[Hit]]:
    found: dict[Any, list[Hit]] = {}
    for one in hits:
        found.setdefault(by(one), []).append(one)
    return found


def percentile(hits: Iterable[Hit], percent: int) -> Decimal:
    """The exact one, of milliseconds, by nearest rank."""
    times = sorted(Decimal(one.latency) for one in hits if one.latency is not None)
    return times[max(1, ceil(percent * len(times) / 100)) - 1]


def hits_of(n: int, *, seed: int, from_at: datetime, to_at: datetime, first: int = 0) -> list[Hit]:
    """Some tell no time, no status or no size; some are fast beyond a microsecond, some take half an hour.

    In few hours of a day, each of which is to be folded.
    """
    draw = random.Random(seed)
    span = (to_at - from_at) // timedelta(microseconds=1)

    def at() -> datetime:
        found = from_at + timedelta(microseconds=draw.randrange(span))
        return max(from_at, found - timedelta(hours=found.hour % 5))

    return [
        Hit(
            number=first + number,
            at=at(),
            subject=draw.choice(["anonymous", "acme", "acme-eu", "globex", "initech"]),
            method=draw.choice(["GET", "GET", "POST"]),
            route=draw.choice(["/a", "/b/{id}", "/c"]),
            status=draw.choice([200, 200, 200, 201, 304, 404, 429, 500, 503, None]),
            latency=draw.choice(
                [None, "0", "0.0004", "1800000", *(f"{draw.lognormvariate(3, 1.5):.4f}" for _ in "123")]
            ),
            n_in=draw.choice([None, draw.randrange(10_000)]),
            n_out=draw.choice([None, draw.randrange(1_000_000)]),
            key=draw.choice([None, "k-1", "k-2"]),
            source=draw.choice(["nginx-1", "nginx-2"]),
        )
        for number in range(n)
    ]


def within(hits: Sequence[Hit], from_at: datetime, to_at: datetime) -> list[Hit]:
    return [one for one in hits if from_at <= one.at < to_at]
