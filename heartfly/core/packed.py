"""Histograms of times as few bytes, the same for the same counts, and many of them added up quickly.

A byte says how the counts lie: 0, in pairs of a step to the next bucket and a count; else each bucket in between has
that many bytes, which is read at once. Of the two the first is taken only where it is shorter by a third. Then come
how many values were nothing, and the first bucket. Numbers are varints of 7 bits, the lowest first.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from operator import add

from heartfly.core.sketches import Histogram

_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


def packed(zero: int, above: Mapping[int, int]) -> bytes:
    """`above`: bucket → how many, as in `Histogram`. Of times, of which none is below nothing."""
    if not above:
        return bytes([0, *_varint(zero)])
    buckets = sorted(above)
    first, most = buckets[0], max(above.values())
    head = [*_varint(zero), *_varint(first << 1 if first >= 0 else -first << 1 | 1)]
    pairs: list[int] = []
    last = first
    for bucket in buckets:
        pairs += _varint(bucket - last)
        pairs += _varint(above[bucket])
        last = bucket
    width = 1 if most < 1 << 8 else 2 if most < 1 << 16 else 4 if most < 1 << 32 else 8
    n = buckets[-1] - first + 1
    if 2 * n * width > 3 * len(pairs):
        return bytes([0, *head, *pairs])
    lanes = array(_CODES[width], bytes(n * width))
    for bucket in buckets:
        lanes[bucket - first] = above[bucket]
    return bytes([width, *head]) + _little(lanes).tobytes()


def unpacked(blob: bytes) -> Histogram:
    return merged([blob])


def merged(blobs: Iterable[bytes]) -> Histogram:
    """All of them together."""
    zero, low = 0, 0
    lanes: list[int] = []
    """Of the buckets from `low` on."""
    for blob in blobs:
        width = blob[0]
        n_zero, place = _read(blob, 1)
        zero += n_zero
        if place == len(blob):
            continue
        code, place = _read(blob, place)
        first = -(code >> 1) if code & 1 else code >> 1
        pairs = [] if width else _pairs(blob, place, first)
        end = first + (len(blob) - place) // width if width else pairs[-1][0] + 1
        if not lanes:
            low, lanes = first, [0] * (end - first)
        if first < low:
            lanes[:0] = [0] * (low - first)
            low = first
        if end > low + len(lanes):
            lanes += [0] * (end - low - len(lanes))
        if width:
            here = slice(first - low, end - low)
            lanes[here] = map(add, lanes[here], _counts(blob, place, width))
        else:
            for bucket, count in pairs:
                lanes[bucket - low] += count
    return Histogram(zero, {bucket: count for bucket, count in enumerate(lanes, low) if count})


def _counts(blob: bytes, place: int, width: int) -> Sequence[int]:
    return blob[place:] if width == 1 else _little(array(_CODES[width], blob[place:]))


def _pairs(blob: bytes, place: int, first: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    bucket = first
    while place < len(blob):
        step, place = _read(blob, place)
        count, place = _read(blob, place)
        bucket += step
        found.append((bucket, count))
    return found


def _little(lanes: array[int]) -> array[int]:
    if sys.byteorder == "big":
        lanes.byteswap()
    return lanes


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
