"""Histograms of times as few bytes, the same for the same counts, and many of them added up quickly.

A byte says how the counts lie: 0, in pairs of a step to the next bucket and a count; else each bucket in between has
that many bytes. Of the two the first is taken only where it is shorter by a third. Then come how many values were
nothing, and the first bucket. Numbers are varints of 7 bits, the lowest first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, islice

from heartfly.core.sketches import Histogram

_MOST_AT_ONCE = 1 << 15
"""Lanes of one or two bytes that are added up in four cannot run over."""


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


def unpacked(blob: bytes) -> Histogram:
    return merged([blob])


def merged(blobs: Iterable[bytes]) -> Histogram:
    """All of them together."""
    zero, counts = 0, dict[int, int]()
    dense: list[tuple[int, int, bytes]] = []
    """The bytes of a lane, the first bucket, and the lanes."""
    for blob in blobs:
        n_zero, place = (blob[1], 2) if blob[1] < 0x80 else _read(blob, 1)
        zero += n_zero
        if place == len(blob):
            continue
        code, place = _read(blob, place)
        first = -(code >> 1) if code & 1 else code >> 1
        if (width := blob[0]) == 1 and place + 1 == len(blob):  # of what is rare: all in one bucket
            counts[first] = counts.get(first, 0) + blob[place]
        elif width:
            dense.append((width, first, blob[place:]))
        else:
            for bucket, count in _pairs(blob[place:], first):
                counts[bucket] = counts.get(bucket, 0) + count
    for start in range(0, len(dense), _MOST_AT_ONCE):
        for bucket, count in _lanes(dense[start : start + _MOST_AT_ONCE]):
            counts[bucket] = counts.get(bucket, 0) + count
    return Histogram(zero, counts)


def apart(text: str) -> Iterator[bytes]:
    """Histograms that a database has put one behind the other: in hexadecimal digits, with a comma between."""
    return map(bytes.fromhex, text.split(","))


def _lanes(some: Sequence[tuple[int, int, bytes]]) -> Iterator[tuple[int, int]]:
    """Added up as whole numbers: a blob takes one addition, each of its lanes spread to four bytes."""
    low = min(first for _, first, _ in some)
    total = end = 0
    for width, first, lanes in some:
        n = len(lanes) // width
        end = max(end, first + n)
        wide = bytearray(4 * n)
        if width == 1:
            wide[::4] = lanes
        elif width == 2:
            wide[::4], wide[1::4] = lanes[::2], lanes[1::2]
        else:  # of a row that counts more than 65,535 in a bucket: there are few
            yield from _wide(width, first, lanes)
            continue
        total += int.from_bytes(wide, "little") << 32 * (first - low)
    told = total.to_bytes(4 * (end - low), "little")
    for place, (count,) in enumerate(struct.iter_unpack("<I", told)):
        if count:
            yield low + place, count


def _wide(width: int, first: int, lanes: bytes) -> Iterator[tuple[int, int]]:
    for place in range(0, len(lanes), width):
        if count := int.from_bytes(lanes[place : place + width], "little"):
            yield first + place // width, count


def _pairs(pairs: bytes, first: int) -> Iterator[tuple[int, int]]:
    if pairs.isascii():  # each number is one byte
        return zip(islice(accumulate(pairs[::2], initial=first), 1, None), pairs[1::2], strict=True)
    return _long_pairs(pairs, first)


def _long_pairs(pairs: bytes, first: int) -> Iterator[tuple[int, int]]:
    bucket, place = first, 0
    while place < len(pairs):
        step, place = _read(pairs, place)
        count, place = _read(pairs, place)
        bucket += step
        yield bucket, count


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
