"""Histograms of times as few bytes, the same for the same counts, and many of them added up quickly.

A byte says how the counts lie: 0, in pairs of a step to the next bucket and a count; else each bucket in between has
that many bytes. Of the two the first is taken only where it is shorter by a third. Then come how many values were
nothing, and the first bucket. Numbers are varints of 7 bits, the lowest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from heartfly.core.sketches import Histogram

_MOST_AT_ONCE = 256
"""Lanes of a byte that are added up in two bytes cannot run over."""


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
    dense: dict[int, list[tuple[int, bytes]]] = {}
    """By the bytes of a lane: the first bucket, and the lanes."""
    for blob in blobs:
        n_zero, place = _read(blob, 1)
        zero += n_zero
        if place == len(blob):
            continue
        code, place = _read(blob, place)
        first = -(code >> 1) if code & 1 else code >> 1
        width = blob[0]
        if width:
            dense.setdefault(width, []).append((first, blob[place:]))
        else:
            for bucket, count in _pairs(blob, place, first):
                counts[bucket] = counts.get(bucket, 0) + count
    for width, some in dense.items():
        for start in range(0, len(some), _MOST_AT_ONCE):
            for bucket, count in _lanes(width, some[start : start + _MOST_AT_ONCE]):
                counts[bucket] = counts.get(bucket, 0) + count
    return Histogram(zero, counts)


def _lanes(width: int, some: Sequence[tuple[int, bytes]]) -> Iterator[tuple[int, int]]:
    """Added up as whole numbers: a blob takes two additions, each of every second lane, with room beside it."""
    low = min(first for first, _ in some)
    n = max(first + len(lanes) // width for first, lanes in some) - low
    room = 2 * width
    every_second = int.from_bytes((b"\xff" * width + bytes(width)) * (n // 2 + 1), "little")
    sums = [0, 0]
    for first, lanes in some:
        one = int.from_bytes(lanes, "little") << 8 * width * (first - low)
        sums[0] += one & every_second
        sums[1] += one >> 8 * width & every_second
    for odd, total in enumerate(sums):
        told = total.to_bytes(room * (n // 2 + 1), "little")
        for place in range(n // 2 + 1):
            if count := int.from_bytes(told[room * place : room * (place + 1)], "little"):
                yield low + 2 * place + odd, count


def _pairs(blob: bytes, place: int, first: int) -> Iterator[tuple[int, int]]:
    bucket = first
    while place < len(blob):
        step, place = _read(blob, place)
        count, place = _read(blob, place)
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
