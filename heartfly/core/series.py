"""Readings of histograms that only grow, as cumulative metrics tell them, and what was added between two of them.

A reading is of one series: one program's, of one metric and one set of attributes, since one start. What it is of, and
which event an increase becomes, is not known here. Sums are exact decimals of what was sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

MOST_BUCKETS = 400


@dataclass(frozen=True, slots=True)
class Buckets:
    """How many values lie where. Either `bounds`, and one count more than there are bounds, the last one open; or
    `scale`, and the counts by the number of their exponential bucket (OpenTelemetry's), with `zero` apart.
    """

    bounds: tuple[str, ...] | None = None
    scale: int = 0
    zero: int = 0
    counts: Mapping[int, int] = field(default_factory=dict)

    def coarser(self, scale: int) -> Buckets:
        """The same at a scale that is not finer: buckets fall together by twos."""
        if scale == self.scale:
            return self
        counts: dict[int, int] = {}
        for bucket, n in self.counts.items():
            wide = bucket >> (self.scale - scale)
            counts[wide] = counts.get(wide, 0) + n
        return Buckets(None, scale, self.zero, counts)

    def written(self) -> dict[str, Any]:
        """As a property of an event: the same whatever the order of counts."""
        if self.bounds is not None:
            counts = [self.counts.get(place, 0) for place in range(len(self.bounds) + 1)]
            return {"bounds": list(self.bounds), "counts": counts}
        some = {bucket: n for bucket, n in sorted(self.counts.items()) if n}
        first = next(iter(some), 0)
        filled = [some.get(bucket, 0) for bucket in range(first, next(reversed(some), first - 1) + 1)]
        return {"scale": self.scale, "zero": self.zero, "offset": first, "counts": filled}


@dataclass(frozen=True, slots=True)
class Reading:
    """All since the start of the series. `total` None: the sum was not told."""

    n: int
    total: Decimal | None
    buckets: Buckets


class BrokenSeriesError(ValueError):
    """A later reading says less than an earlier one, or counts in other buckets; the text says which."""


def increase(before: Reading, after: Reading) -> Reading:
    """What was added. BrokenSeriesError."""
    if after.n < before.n:
        raise BrokenSeriesError("counts less than it did before, though its start is the same")
    total = None if before.total is None or after.total is None else after.total - before.total
    old, new = before.buckets, after.buckets
    if old.bounds != new.bounds:
        raise BrokenSeriesError("has other buckets than before, though its start is the same")
    if new.bounds is None:
        scale = min(old.scale, new.scale)
        old, new = old.coarser(scale), new.coarser(scale)
    counts = {bucket: n for bucket in new.counts.keys() | old.counts.keys()
              if (n := new.counts.get(bucket, 0) - old.counts.get(bucket, 0))}  # fmt: skip
    if min(counts.values(), default=0) < 0 or new.zero < old.zero:
        raise BrokenSeriesError("has less in a bucket than before, though its start is the same")
    return Reading(after.n - before.n, total, Buckets(new.bounds, new.scale, new.zero - old.zero, counts))


def kept(reading: Reading) -> dict[str, Any]:
    """As JSON, to be subtracted from what comes next."""
    told = reading.buckets
    return {
        "n": reading.n,
        "total": None if reading.total is None else str(reading.total),
        "bounds": None if told.bounds is None else list(told.bounds),
        "scale": told.scale,
        "zero": told.zero,
        "counts": [[bucket, told.counts[bucket]] for bucket in sorted(told.counts)],
    }


def read(found: Mapping[str, Any]) -> Reading:
    """What `kept` made."""
    bounds: Sequence[str] | None = found["bounds"]
    total: str | None = found["total"]
    buckets = Buckets(None if bounds is None else tuple(bounds), found["scale"], found["zero"], dict(found["counts"]))
    return Reading(found["n"], None if total is None else Decimal(total), buckets)
