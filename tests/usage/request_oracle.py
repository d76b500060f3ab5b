"""What requests come to, by brute force: one loop, Decimal, and nothing of what Heartfly folds with."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from heartfly.core.amounts import Number

_DEEP = Context(prec=60)
_THIRTY_YEARS = 10**12
"""In milliseconds: what is longer is no time."""


@dataclass(frozen=True)
class Asked:
    """A request of a test. `properties`: as they are sent; numbers as texts."""

    number: int
    at: datetime
    subject: str
    properties: tuple[tuple[str, str], ...]

    @property
    def told(self) -> dict[str, str]:
        return dict(self.properties)

    @property
    def name(self) -> str:
        return f"00000000-0000-4000-8000-{self.number:012x}" if self.number % 2 else f"r-{self.number}"

    def wire(self) -> dict[str, Any]:
        texts = {"method", "route", "path", "rules", "request_id"}
        return {
            "transaction_id": self.name,
            "customer_id": self.subject,
            "timestamp": self.at.isoformat(),
            "event_type": "http.request",
            "properties": {
                name: value if name in texts or not value[:1].isdecimal() else Number(value)
                for name, value in self.properties
            },
        }


@dataclass
class Expected:
    n: int = 0
    us: list[int] = field(default_factory=list)
    buckets: dict[int | None, int] = field(default_factory=dict)
    bytes_in: int = 0
    bytes_out: int = 0

    def figures(self) -> tuple[Any, ...]:
        return (
            *(self.n, len(self.us), sum(self.us), max(self.us, default=0), self.bytes_in, self.bytes_out),
            tuple(sorted(self.buckets.items(), key=lambda one: (one[0] is not None, one[0] or 0))),
        )


def bucket_of(ms: Decimal) -> int | None:
    """i of (2^(i/32), 2^((i+1)/32)]; None: of nothing."""
    if ms == 0:
        return None
    place = _DEEP.divide(_DEEP.ln(ms), _DEEP.ln(Decimal(2))) * 32
    near = int(place.to_integral_value(ROUND_HALF_UP))
    if abs(place - near) < Decimal("1e-30"):
        return near - 1
    return int(place.to_integral_value("ROUND_FLOOR"))


def endpoint(told: dict[str, str]) -> str:
    return f"{told.get('method', '-')} {told.get('route', '-')}"


Key = tuple[str, str, str, int]
"""Cube, customer, endpoint, status."""


def brute_force(found: Iterable[Asked], name: Any = endpoint) -> dict[Key, tuple[Any, ...]]:
    cells: dict[Key, Expected] = {}
    for one in found:
        told = one.told
        status = told.get("status", "")
        code = int(status) if len(status) == 3 and status.isdecimal() and status[0] != "0" else 0
        of = name(told)
        for key in (
            ("total", "", "", code),
            ("endpoint", "", of, code),
            ("customer", one.subject, "", code),
            ("pair", one.subject, of, code),
        ):
            take(cells.setdefault(key, Expected()), told)
    return {key: cell.figures() for key, cell in cells.items()}


def take(cell: Expected, told: dict[str, str]) -> None:
    cell.n += 1
    text = told.get("latency_ms", "")
    if text.replace(".", "", 1).isdecimal():
        ms = Decimal(text)
        if ms <= _THIRTY_YEARS:
            cell.us.append(int((ms * 1000).quantize(Decimal(1), ROUND_HALF_UP, _DEEP)))
            bucket = bucket_of(ms)
            cell.buckets[bucket] = cell.buckets.get(bucket, 0) + 1
    cell.bytes_in += int(told["request_bytes"]) if told.get("request_bytes", "").isdecimal() else 0
    cell.bytes_out += int(told["response_bytes"]) if told.get("response_bytes", "").isdecimal() else 0


def requests_of(n: int, *, seed: int, from_at: datetime, to_at: datetime) -> list[Asked]:
    draw = random.Random(seed)
    span = (to_at - from_at) // timedelta(microseconds=1)
    latencies = ["0", "1", "2", "0.5", "1.0905", "1500", "1000", "999.9994", "12.3456", "0.000000000000000001", "60000"]
    odd = ["slow", "-1", "", "1e3", "99999999999999999999"]
    found = []
    for number in range(n):
        told = {
            "method": draw.choice(["GET", "POST", ""]),
            "route": draw.choice(["/a", "/b/{id}", "/b/{id}/c", ""]),
            "path": f"/b/{number}",
            "status": draw.choice(["200", "201", "404", "429", "499", "500", "", "0", "20", "ok"]),
            "latency_ms": draw.choice([*latencies, f"{draw.uniform(0, 4000):.3f}", *odd]),
            "request_bytes": draw.choice(["0", "17", "123456", ""]),
            "response_bytes": draw.choice(["1", "40000", "many", ""]),
            "request_id": f"id-{number}",
        }
        if not told["route"]:
            del told["path"]
        at = from_at + timedelta(microseconds=draw.randrange(span))
        subject = f"c-{draw.randrange(4)}"
        found.append(Asked(number, at, subject, tuple((name, value) for name, value in told.items() if value)))
    return found


def slow_of(found: Sequence[Asked], *, slow_us: int = 1_000_000) -> list[str]:
    """The request ids of an hour's slow ones that are kept, the slowest first."""
    told = []
    for one in found:
        cell = Expected()
        take(cell, one.told)
        if cell.us and cell.us[0] >= slow_us:
            told.append((-cell.us[0], one.at, one.name, endpoint(one.told), one.told["request_id"]))
    told.sort()
    kept = []
    for place, (*_, of, request_id) in enumerate(told):
        if place < 100 or sum(1 for before in told[:place] if before[3] == of) < 5:
            kept.append(request_id)
    return kept
