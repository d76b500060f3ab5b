"""Histograms of times as few bytes, the same for the same counts, and many of them added up quickly.

A byte says how the counts lie: 0, in pairs of a step to the next bucket and a count; else each bucket in between has
that many bytes. Of the two the first is taken only where it is shorter by a third. Then come how many values were
nothing, and the first bucket. Numbers are varints of 7 bits, the lowest first.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from operator import add
from typing import NamedTuple

from heartfly.core.amounts import ONE, Amount
from heartfly.core.sketches import Histogram, middle_of

_ROOM = {1: 1 << 8, 2: 1 << 16}
"""So many lanes of one byte, or of two, cannot run over twice as many bytes."""


def packed(zero: int, above: Mapping[int, int]) -> bytes:
    """`above`: bucket → how many, as in `Histogram`. Of times, of which none is below nothing."""
    if not above:
        return bytes([0, *_varint(zero)])
    buckets = sorted(above) if len(above) > 1 else list(above)
    first, most = buckets[0], max(above.values())
    head = [*_varint(zero), *_varint(first << 1 if first >= 0 else -first << 1 | 1)]
    width = 1 if most < 1 << 8 else 2 if most < 1 << 16 else 4 if most < 1 << 32 else 8
    n = buckets[-1] - first + 1
    if n * width > 3 * len(buckets):  # else pairs, of two bytes at least, are not shorter by a third
        pairs: list[int] = []
        last = first
        for bucket in buckets:
            step, count = bucket - last, above[bucket]
            if step < 0x80 and count < 0x80:
                pairs += step, count
            else:
                pairs += _varint(step) + _varint(count)
            last = bucket
        if 2 * n * width > 3 * len(pairs):
            return bytes([0, *head, *pairs])
    told = [0] * n
    for bucket in buckets:
        told[bucket - first] = above[bucket]
    lanes = bytes(told) if width == 1 else b"".join([count.to_bytes(width, "little") for count in told])
    return bytes([width, *head]) + lanes


class Lanes(NamedTuple):
    """Added up. `counts`: how many in bucket `low` and in those that follow, of which the last ones may be empty."""

    zero: int
    low: int
    counts: Sequence[int]

    def histogram(self) -> Histogram:
        return Histogram(self.zero, {bucket: n for bucket, n in enumerate(self.counts, self.low) if n})

    def buckets(self, percents: Iterable[Amount]) -> list[int | None]:
        """As `Histogram.percentiles`, in which bucket each lies. None: it is nothing."""
        up_to = list(accumulate(self.counts, initial=self.zero))
        places = [bisect_left(up_to, -(-percent * up_to[-1] // (100 * ONE))) for percent in percents]
        return [self.low + place - 1 if place else None for place in places]

    def percentiles(self, percents: Sequence[Amount]) -> list[Amount | None]:
        """As those of a Histogram."""
        if not self.zero and not any(self.counts):
            return [None for _ in percents]
        return [0 if bucket is None else middle_of(bucket) for bucket in self.buckets(percents)]


def unpacked(blob: bytes) -> Histogram:
    return merged([blob])


def merged(blobs: Iterable[bytes]) -> Histogram:
    """All of them together."""
    return added(blobs).histogram()


def added(blobs: Iterable[bytes]) -> Lanes:
    """The same, for who asks for percentiles only."""
    zero = 0
    sparse: list[tuple[Sequence[int], Sequence[int]]] = []
    """Buckets, and how many."""
    dense: dict[int, list[tuple[int, bytes]]] = {}
    """By the bytes of a lane the first bucket, and the lanes."""
    for blob in blobs:
        n_zero, place = (blob[1], 2) if blob[1] < 0x80 else _read(blob, 1)
        zero += n_zero
        if place == len(blob):
            continue
        code, place = _read(blob, place)
        first = -(code >> 1) if code & 1 else code >> 1
        if width := blob[0]:
            dense.setdefault(width, []).append((first, blob[place:]))
        else:
            sparse.append(_pairs(blob[place:], first))
    parts = [part for width, some in dense.items() for part in _of_width(width, some)]
    if len(parts) == 1 and not sparse:
        return Lanes(zero, *parts[0])
    low = min([*(first for first, _ in parts), *(buckets[0] for buckets, _ in sparse)], default=0)
    ends = [*(first + len(counts) for first, counts in parts), *(buckets[-1] + 1 for buckets, _ in sparse)]
    total = [0] * (max(ends, default=low) - low)
    for first, counts in parts:
        place, end = first - low, first - low + len(counts)
        total[place:end] = map(add, total[place:end], counts)
    for buckets, counts in sparse:
        for bucket, count in zip(buckets, counts, strict=True):
            total[bucket - low] += count
    return Lanes(zero, low, total)


def apart(text: str) -> Iterator[bytes]:
    """Histograms that a database has put one behind the other: in hexadecimal digits, with a comma between."""
    return map(bytes.fromhex, text.split(","))


def _of_width(width: int, some: Sequence[tuple[int, bytes]]) -> Iterator[tuple[int, Sequence[int]]]:
    """First buckets and counts, of as many blobs together as do not run over."""
    if width not in _ROOM:  # of rows that count more than 65,535 in a bucket: there are few
        for first, lanes in some:
            yield first, struct.unpack(f"<{len(lanes) // width}{'I' if width == 4 else 'Q'}", lanes)
    elif len(some) == 1 and width == 1:
        yield some[0]
    else:
        for start in range(0, len(some), _ROOM[width]):
            yield _summed(width, some[start : start + _ROOM[width]])


def _summed(width: int, some: Sequence[tuple[int, bytes]]) -> tuple[int, Sequence[int]]:
    """Added up as whole numbers, every second lane apart from those between, so that each has room to grow twice as
    wide: a blob takes a few steps, however many lanes it has.
    """
    bits, low = 8 * width, min(first for first, _ in some)
    n = (max(first + len(lanes) // width for first, lanes in some) - low + 1) // 2
    mask = _every_second(width, n)
    even = odd = 0
    for first, lanes in some:
        value = int.from_bytes(lanes, "little") << bits * (first - low)
        even += value & mask
        odd += value >> bits & mask
    counts = [0] * (2 * n)
    form = f"<{n}{'H' if width == 1 else 'I'}"
    for beside, total in enumerate((even, odd)):
        counts[beside::2] = struct.unpack(form, total.to_bytes(2 * width * n, "little"))
    return low, counts


@lru_cache(256)
def _every_second(width: int, n: int) -> int:
    return int.from_bytes((b"\xff" * width + bytes(width)) * n, "little")


def _pairs(pairs: bytes, first: int) -> tuple[Sequence[int], Sequence[int]]:
    """Buckets, and how many in each."""
    if pairs.isascii():  # each number is one byte
        return list(accumulate(pairs[::2], initial=first))[1:], pairs[1::2]
    numbers, place = list[int](), 0
    while place < len(pairs):
        number, place = _read(pairs, place)
        numbers.append(number)
    return list(accumulate(numbers[::2], initial=first))[1:], numbers[1::2]


def _varint(value: int) -> list[int]:
    found = []
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return found


def _read(blob: bytes, place: int) -> tuple[int, int]:
    """A number, and where the next one begins."""
    byte = blob[place]
    if byte < 0x80:
        return byte, place + 1
    value, shift = byte & 0x7F, 7
    while True:
        place += 1
        byte = blob[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place + 1
        shift += 7
