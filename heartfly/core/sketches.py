"""How many values lie where: base-2 exponential histograms, of which percentiles are read.

OpenTelemetry's mapping at scale 5: bucket i holds the values in (2^(i/32), 2^((i+1)/32)], so that a percentile is
wrong by 1.1 % at most. Counts only: the order of values does not matter, and histograms add up. Bounds are compared
as whole numbers, so that each machine puts a value into the same bucket.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from math import isqrt

from heartfly.core.amounts import ONE, Amount, text_of

SCALE = 5
_PER_OCTAVE = 1 << SCALE
_BITS = 64


def _root(k: int) -> int:
    """2^(k/32) in units of 2^-64, rounded down: five square roots of 2^k."""
    wide = 2048
    value = (1 << k) << wide
    for _ in range(SCALE):
        value = isqrt(value << wide)
    return value >> (wide - _BITS)


_BOUNDS = [_root(k) for k in range(_PER_OCTAVE)]
"""Lower bounds of the buckets of an octave, from 1 up to but without 2."""


@lru_cache(16_384)
def bucket_of(value: Amount) -> int:
    """The bucket of a positive value. A value on a bound belongs to the bucket that ends there."""
    octave = value.bit_length() - ONE.bit_length()
    if (value << max(0, -octave)) < (ONE << max(0, octave)):
        octave -= 1
    # The mantissa, in [1, 2), in units of 2^-64; whatever is cut off makes it greater than what is left says.
    scaled, rest = divmod(value << (_BITS + max(0, -octave)), ONE << max(0, octave))
    place = bisect_left(_BOUNDS, scaled)
    if rest and place < _PER_OCTAVE and _BOUNDS[place] == scaled:
        place += 1
    return octave * _PER_OCTAVE + place - 1


def _bound(bucket: int) -> tuple[int, int]:
    """The bucket's lower bound as a fraction."""
    octave, place = divmod(bucket, _PER_OCTAVE)
    return _BOUNDS[place] << max(0, octave), 1 << (_BITS + max(0, -octave))


def end_of(bucket: int) -> tuple[int, int]:
    """The greatest value that a bucket holds, as a fraction."""
    return _bound(bucket + 1)


@lru_cache(4_096)
def middle_of(bucket: int) -> Amount:
    """The value from which both ends of the bucket are equally far, in proportion: 2ab / (a + b)."""
    (low, low_of), (high, high_of) = _bound(bucket), _bound(bucket + 1)
    return 2 * low * high * ONE // (low * high_of + high * low_of)


_WRONG = (109_486, 10_000_000)
"""By how much of itself the middle of a bucket is wrong at most, rounded up: (2^(1/32) - 1) / 2."""
_DIGITS = 3


def rounded(value: Amount) -> tuple[Amount, Amount]:
    """A percentile to the digits that it holds, and how far from it the true one may be: a step of the last digit, or
    more. For people; what is stored and sent keeps all digits.
    """
    step: Amount = 10 ** max(0, len(str(abs(value))) - _DIGITS)
    near = (abs(value) + step // 2) // step * step
    margin = -(-(abs(value) * _WRONG[0] // _WRONG[1] + abs(near - abs(value))) // step) * step
    return (near if value >= 0 else -near), margin


def spelled(value: Amount) -> str:
    """The same in words, such as `38.2 ± 0.5`: both to the same place."""
    near, margin = map(text_of, rounded(value))
    places = max(len(text.partition(".")[2]) for text in (near, margin))
    return f"{_padded(near, places)} ± {_padded(margin, places)}"


def _padded(text: str, places: int) -> str:
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.ljust(places, '0')}" if places else whole


@dataclass(slots=True)
class Histogram:
    """`zero`: how many values were nothing. `above` and `below` it: bucket of the distance from zero → how many."""

    zero: int = 0
    above: dict[int, int] = field(default_factory=dict)
    below: dict[int, int] = field(default_factory=dict)

    def add(self, value: Amount, n: int = 1) -> None:
        if value == 0:
            self.zero += n
            return
        side, bucket = (self.above if value > 0 else self.below), bucket_of(abs(value))
        side[bucket] = side.get(bucket, 0) + n

    def add_all(self, values: Sequence[Amount]) -> None:
        side = self.above
        for value in values:
            if value > 0:
                bucket = bucket_of(value)
                side[bucket] = side.get(bucket, 0) + 1
            else:
                self.add(value)

    def merge(self, other: Histogram) -> None:
        self.zero += other.zero
        _add(self.above, other.above.items())
        _add(self.below, other.below.items())

    @property
    def n(self) -> int:
        return self.zero + sum(self.above.values()) + sum(self.below.values())

    def percentile(self, percent: Amount) -> Amount | None:
        """The value that so many per cent of all values do not exceed (nearest rank); None if there are none.

        `percent`: above 0, up to 100. Wrong by 1.1 % at most.
        """
        return self.percentiles([percent])[0]

    def percentiles(self, percents: Sequence[Amount]) -> list[Amount | None]:
        """Each of them, for little more than one."""
        below, above = sorted(self.below, reverse=True), sorted(self.above)
        counts = [*(self.below[bucket] for bucket in below), self.zero, *(self.above[bucket] for bucket in above)]
        up_to = list(accumulate(counts))
        if not (n := up_to[-1]):
            return [None for _ in percents]
        found: list[Amount | None] = []
        for percent in percents:
            place = bisect_left(up_to, max(1, -(-percent * n // (100 * ONE)))) - len(below)
            if place < 0:
                found.append(-middle_of(below[place + len(below)]))
            else:
                found.append(middle_of(above[place - 1]) if place else 0)
        return found

    def written(self) -> dict[str, object]:
        """As JSON, the same whatever the order in which it came about."""
        sides = {"above": _pairs(self.above), "below": _pairs(self.below)}
        return {"zero": self.zero, **{name: pairs for name, pairs in sides.items() if pairs}}


def read(written: Mapping[str, object]) -> Histogram:
    """What `written` wrote."""
    above, below, zero = written.get("above", []), written.get("below", []), written["zero"]
    assert isinstance(above, list)
    assert isinstance(below, list)
    assert isinstance(zero, int)
    return Histogram(zero, dict(above), dict(below))


def _pairs(side: Mapping[int, int]) -> list[list[int]]:
    return [[bucket, side[bucket]] for bucket in sorted(side)]


def _add(side: dict[int, int], found: Iterable[tuple[int, int]]) -> None:
    for bucket, count in found:
        side[bucket] = side.get(bucket, 0) + count
