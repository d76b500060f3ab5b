"""A point of a histogram of requests is an event `http.requests`: so many, all alike, in a span of time (decision 28).

Which metrics are looked at, and what of a point is kept. Points of cumulative metrics become readings, of which
usage/series.py makes what was added.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from heartfly.api.foreign import unfit
from heartfly.api.otlp_attributes import attributes, customer_of, instant, properties_of
from heartfly.core.amounts import Number
from heartfly.core.series import MOST_BUCKETS, Buckets, Reading
from heartfly.usage.ingest import Unreadable

TYPE = "http.requests"
_DELTA, _CUMULATIVE = 1, 2
_LATENCY, _IN, _OUT = "latency_ms", "request_bytes", "response_bytes"
MEASURES: Mapping[str, str] = {
    "http.server.request.duration": _LATENCY,
    "http.server.duration": _LATENCY,
    "http.server.request.body.size": _IN,
    "http.server.request.size": _IN,
    "http.server.response.body.size": _OUT,
    "http.server.response.size": _OUT,
}
"""Metrics, today's and former names, and the property that each one's sum is."""
_IN_MS = {"s": Decimal(1_000), "ms": Decimal(1), "us": Decimal("0.001"), "ns": Decimal("0.000001")}
_LATEST = 1 << 62
"""Nanoseconds: the year 2116."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A point: what it is of, and what it says. `series`: stands for all but its times; `ends`: those, of the epoch."""

    series: bytes
    measure: str
    unit: str
    begun_ns: int
    ended_ns: int
    is_cumulative: bool
    reading: Reading
    customer: str
    properties: Mapping[str, Any]

    def event(self, added: Reading, since_ns: int) -> dict[str, Any] | None:
        """Of what was added since then; None: nothing was. Its time is when it ended."""
        if not added.n:
            return None
        properties = {**self.properties, "from_at": instant(since_ns), "until_at": instant(self.ended_ns)}
        factor = _IN_MS.get(self.unit, Decimal(1))
        if added.total is not None and added.total >= 0:
            properties[self.measure] = Number(_plain(added.total * factor))
        if self.measure == _LATENCY:
            properties["n"] = Number(str(added.n))
            properties["latencies"] = _numbers({"unit": self.unit, **added.buckets.written()})
        name = hashlib.blake2b(self.series + b"%d-%d" % (self.begun_ns, self.ended_ns), digest_size=16)
        return {
            "transaction_id": f"otlp-{name.hexdigest()}",
            "customer_id": self.customer,
            "timestamp": instant(self.ended_ns),
            "event_type": TYPE,
            "properties": properties,
        }


def n_points(found: Any) -> int:
    """Of all metrics, whatever they are of."""
    return sum(
        len(getattr(metric, kind).data_points)
        for resource in found.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if (kind := metric.WhichOneof("data")) is not None
    )


def n_buckets(found: Any) -> int:
    """Of all points of histograms."""
    n = 0
    for resource in found.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                n += sum(len(one.bucket_counts) for one in metric.histogram.data_points)
                for one in metric.exponential_histogram.data_points:
                    n += len(one.positive.bucket_counts) + len(one.negative.bucket_counts)
    return n


def points_in(found: Any, customers: Sequence[str]) -> Iterator[Measured | Unreadable]:
    for resource in found.resource_metrics:
        program = attributes(resource.resource.attributes)
        whose = _hash(*_said(resource.resource.attributes))
        for scope in resource.scope_metrics:
            by = _hash(whose, scope.scope.name.encode(), scope.scope.version.encode(), *_said(scope.scope.attributes))
            for metric in scope.metrics:
                if metric.name in MEASURES:
                    yield from _points(metric, program, by, customers)


def _points(
    metric: Any, program: dict[str, Any], by: bytes, customers: Sequence[str]
) -> Iterator[Measured | Unreadable]:
    kind = metric.WhichOneof("data")
    if kind is None:
        return
    data = getattr(metric, kind)
    measure = MEASURES[metric.name]
    unit = metric.unit or ("ms" if metric.name == "http.server.duration" else "s") if measure == _LATENCY else "By"
    wrong = ""
    if kind not in {"histogram", "exponential_histogram"}:
        wrong = "is no histogram"
    elif measure == _LATENCY and unit not in _IN_MS:
        wrong = "has a unit that is none of s, ms, us, ns"
    elif data.aggregation_temporality not in {_DELTA, _CUMULATIVE}:
        wrong = "has no temporality"
    for point in data.data_points:
        found = wrong or _reading(point, exponential=kind == "exponential_histogram")
        if not isinstance(found, Reading):
            yield _unread(metric, found)
        elif not 0 < point.time_unix_nano < _LATEST or point.start_time_unix_nano > point.time_unix_nano:
            yield _unread(metric, "has no times, or ends before it begins")
        else:
            told = attributes(point.attributes)
            yield Measured(
                _hash(by, metric.name.encode(), *_said(point.attributes)), measure, unit,
                point.start_time_unix_nano, point.time_unix_nano, data.aggregation_temporality == _CUMULATIVE,
                found, customer_of(told, program, customers), properties_of(told, program),
            )  # fmt: skip


def _unread(metric: Any, why: str) -> Unreadable:
    return unfit({"metric": metric.name}, f"{metric.name}: {why}")


def _said(found: Iterable[Any]) -> list[bytes]:
    """All of the attributes, whole, whatever their order: what is kept of them may be the same for two series."""
    return sorted(one.SerializeToString(deterministic=True) for one in found)


def _hash(*parts: bytes) -> bytes:
    whole = b"".join(b"%d:%s" % (len(part), part) for part in parts)
    return hashlib.blake2b(whole, digest_size=16).digest()


def series_since(one: Measured) -> bytes:
    """Of a cumulative series: its start is part of it, for two programs may share all else."""
    return hashlib.blake2b(one.series + b"%d" % one.begun_ns, digest_size=16).digest()


def _reading(point: Any, *, exponential: bool) -> Reading | str:
    total = Decimal(repr(point.sum)) if point.HasField("sum") else None
    if total is not None and not (total.is_finite() and abs(total) < Decimal(10) ** 18):
        total = None
    if exponential:
        if point.negative.bucket_counts and any(point.negative.bucket_counts):
            return "has values below zero"
        counts, offset = point.positive.bucket_counts, point.positive.offset
        if len(counts) > MOST_BUCKETS or not -10 <= point.scale <= 20:
            return f"has more than {MOST_BUCKETS} buckets, or a scale that nobody needs"
        found = {offset + place: n for place, n in enumerate(counts) if n}
        buckets = Buckets(None, point.scale, point.zero_count, found)
    else:
        bounds, counts = tuple(map(repr, point.explicit_bounds)), point.bucket_counts
        if len(counts) > MOST_BUCKETS or (counts and len(counts) != len(bounds) + 1):
            return f"has more than {MOST_BUCKETS} buckets, or another number of bounds"
        if not all(a < b for a, b in zip(point.explicit_bounds, point.explicit_bounds[1:], strict=False)):
            return "has bounds that do not ascend"
        buckets = Buckets(bounds, counts={place: n for place, n in enumerate(counts) if n})
    if point.count >= 1 << 62 or (
        (buckets.counts or buckets.zero) and (sum(buckets.counts.values()) + buckets.zero != point.count)
    ):
        return "has a count that its buckets do not add up to"
    return Reading(point.count, total, buckets)


def _plain(value: Decimal) -> str:
    """To the nanosecond, with no exponent."""
    text = format(value.quantize(Decimal("0.000001")), "f").rstrip("0").rstrip(".")
    return text if text not in {"", "-0"} else "0"


def _numbers(value: Any) -> Any:
    """Whole numbers as events keep them."""
    if isinstance(value, dict):
        return {name: _numbers(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    return Number(str(value)) if isinstance(value, int) else value
