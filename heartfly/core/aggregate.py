"""Partial results: what the events of a window come to, and how windows add up to larger ones.

A partial is a function of its events, whatever their order: to fold them again, or to fold parts and merge these,
gives the same to the byte. Sums are exact; only a percentile is not (core/sketches.py says by how much).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from heartfly.core.amounts import ONE, Amount, over
from heartfly.core.meters import Aggregation, Counted, Meter
from heartfly.core.sketches import Histogram

Place = tuple[datetime, int]
"""When an event was, and its number: of two at one instant the one that came later is the latest."""


@dataclass(slots=True)
class Partial:
    """`n`: events that count. `uniques`: 16 bytes for each value that was told apart."""

    n: int = 0
    sum: Amount = 0
    min: Amount | None = None
    max: Amount | None = None
    latest: Amount | None = None
    latest_place: Place | None = None
    uniques: set[bytes] = field(default_factory=set)
    histogram: Histogram | None = None

    def add(self, meter: Meter, counted: Counted, place: Place) -> None:
        self.n += 1
        if counted.unique is not None:
            self.uniques.add(hash_of(counted.unique))
        value = counted.amount
        if value is None:
            return
        self.sum += value
        if self.min is None or value < self.min:
            self.min = value
        if self.max is None or value > self.max:
            self.max = value
        if meter.aggregation is Aggregation.LATEST:
            self.later(value, place)
        elif meter.aggregation is Aggregation.PERCENTILE:
            self.histogram = self.histogram or Histogram()
            self.histogram.add(value)

    def add_all(self, meter: Meter, amounts: Sequence[Amount]) -> None:
        """As `add` for each, of which there is one at least. What is the latest `later` is to be told."""
        self.n += len(amounts)
        self.sum += sum(amounts)
        self._bound(min(amounts), max(amounts))
        if meter.aggregation is Aggregation.PERCENTILE:
            self.histogram = self.histogram or Histogram()
            self.histogram.add_all(amounts)

    def merge(self, other: Partial) -> None:
        """Another part of the same meter's events comes to these; no event may be in both."""
        self.n += other.n
        self.sum += other.sum
        self._bound(other.min, other.max)
        if other.latest is not None and other.latest_place is not None:
            self.later(other.latest, other.latest_place)
        self.uniques |= other.uniques
        if other.histogram is not None:
            self.histogram = self.histogram or Histogram()
            self.histogram.merge(other.histogram)

    def _bound(self, low: Amount | None, high: Amount | None) -> None:
        if low is not None and (self.min is None or low < self.min):
            self.min = low
        if high is not None and (self.max is None or high > self.max):
            self.max = high

    def later(self, value: Amount, place: Place) -> None:
        """Of two the one whose place is behind the other's counts."""
        if self.latest_place is None or place > self.latest_place:
            self.latest, self.latest_place = value, place

    def result(self, meter: Meter) -> Amount | None:
        """The meter's value. None where there is none: a count of nothing is 0, but nothing has no largest value."""
        match meter.aggregation:
            case Aggregation.COUNT:
                return self.n * ONE
            case Aggregation.UNIQUE:
                return len(self.uniques) * ONE
            case Aggregation.SUM:
                return self.sum
            case Aggregation.MIN:
                return self.min
            case Aggregation.MAX:
                return self.max
            case Aggregation.LATEST:
                return self.latest
            case Aggregation.AVERAGE:
                return over(self.sum, self.n) if self.n else None
            case _:
                return self._percentile(meter.percent)

    def _percentile(self, percent: Amount) -> Amount | None:
        found = None if self.histogram is None else self.histogram.percentile(percent)
        if found is None or self.min is None or self.max is None:
            return None
        return min(max(found, self.min), self.max)  # the middle of a bucket may lie outside of what was seen


def merged(parts: Iterable[Partial]) -> Partial:
    whole = Partial()
    for part in parts:
        whole.merge(part)
    return whole


def hash_of(value: str) -> bytes:
    """16 bytes that stand for a value; two values have the same by a chance that does not occur."""
    return _short_hash(value) if len(value) <= _SHORT else _hash(value)


_SHORT = 64
"""Characters. The same values come again and again; long ones are not remembered, as they would fill the memory."""


def _hash(value: str) -> bytes:
    return hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=16).digest()


_short_hash = lru_cache(16_384)(_hash)
