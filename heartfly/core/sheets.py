"""All that the requests of a window come to, told apart by one thing (an endpoint, a customer), in one piece: a sheet.

Column by column, so that many windows are added up without a look at each of their rows. How requests ended is kept as
counts only: sums and times are of all statuses together. Where sheets lie, and which of them count, is not known here.
"""

from __future__ import annotations

import struct
import sys
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, groupby
from operator import add, eq, itemgetter
from typing import Literal, NamedTuple

from heartfly.core.amounts import ONE, Amount
from heartfly.core.packed import added, packed
from heartfly.core.sketches import middle_of

Row = tuple[int, int, int, int, int, int, bytes | None]
"""n, n_timed, latency_us, latency_max_us, bytes_in, bytes_out, and their times (core/packed.py)."""

COLUMNS = (
    *("key", "n", "n_400", "n_500", "n_timed", "latency_us", "latency_max_us", "bytes_in", "bytes_out"),
    "p95_place",
)
"""Of the sums, in their order. `p95_place`: 1 is the lowest bucket that can hold p95; 0: it is nothing, or of none."""
_LARGEST = frozenset({"latency_max_us", "p95_place"})
"""Do not add up."""
_LOWEST = 1 << 15
"""No time is so short that its bucket would be so far below nothing."""
_P95 = 95 * ONE
_WIDTHS: Mapping[int, Literal["B", "H", "I", "Q"]] = {1: "B", 2: "H", 4: "I", 8: "Q"}
_MOST = (1 << 64) - 1


class Sheet(NamedTuple):
    """In three parts: who asks for one need not read the others."""

    sums: bytes
    statuses: bytes
    times: bytes


def sheet_of(cells: Iterable[tuple[int, int, Row]]) -> Sheet | None:
    """`cells`: key, status, and what they come to; in the order of keys, and of statuses within each. None: there are
    none, or a sum is more than a sheet holds.
    """
    lines: list[Sequence[int]] = []
    ended: list[Sequence[int]] = []
    blobs: list[bytes] = []
    for key, of_key in groupby(cells, itemgetter(0)):
        some = [(status, row) for _, status, row in of_key]
        ended += [(len(lines), status, row[0]) for status, row in some]
        n, n_timed, us, largest, came, went, told = zip(*(row for _, row in some), strict=True)
        n_400, n_500 = (sum(row[0] for status, row in some if status // 100 == first) for first in (4, 5))
        lanes = added(blob for blob in told if blob is not None)
        times = lanes.histogram()
        blobs.append(packed(times.zero, times.above))
        (p95,) = lanes.buckets([_P95])
        sums = (sum(n), n_400, n_500, sum(n_timed), sum(us), max(largest), sum(came), sum(went))
        lines.append((key, *sums, 0 if p95 is None else p95 + _LOWEST))
    if not lines or max(map(max, lines)) > _MOST:
        return None
    return Sheet(_written(lines), _written(ended), _written([[len(blob)] for blob in blobs]) + b"".join(blobs))


def most_p95(p95_place: int) -> Amount:
    """Of the greatest `p95_place` of some sheets: their requests' p95 is no more, as a histogram tells it.

    Each of them has its share of times up to there, and so have all together.
    """
    return middle_of(p95_place - _LOWEST) if p95_place else 0


class Sums:
    """Of many sheets, added up by key. `names`: of COLUMNS those that are asked for, besides the key."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = [name for name in COLUMNS[1:] if name in names]
        self._places: dict[int, int] = {}
        self._columns: list[list[int]] = [[] for _ in self.names]

    def add(self, sums: bytes) -> None:
        keys, *columns = _read(sums, ["key", *self.names])
        places = self._places
        if len(keys) == len(places) and all(map(eq, keys, places)):  # most often those of the sheet before
            for name, into, values in zip(self.names, self._columns, columns, strict=True):
                into[:] = map(max if name in _LARGEST else add, into, values)
            return
        for key in sorted(set(keys).difference(places)):
            places[key] = len(places)
        at = [places[key] for key in keys] if columns else ()
        for name, into, values in zip(self.names, self._columns, columns, strict=True):
            into.extend([0] * (len(places) - len(into)))
            if name in _LARGEST:
                for place, value in zip(at, values, strict=True):
                    if value > into[place]:  # noqa: PLR1730 - a call for each costs more
                        into[place] = value
            else:
                for place, value in zip(at, values, strict=True):
                    into[place] += value

    def keys(self) -> Collection[int]:
        return self._places.keys()

    def columns(self) -> Mapping[str, Sequence[int]]:
        """By name; each in the order of the keys."""
        return dict(zip(self.names, self._columns, strict=True))


class Line(NamedTuple):
    """What a key comes to. `ended`: each status, and how many."""

    key: int
    ended: Sequence[tuple[int, int]]
    n_timed: int
    latency_us: int
    latency_max_us: int
    bytes_in: int
    bytes_out: int
    times: bytes


def lines_of(sheet: Sheet, only: Iterable[int] | None = None) -> Iterator[Line]:
    """Those of these keys, or all."""
    keys, *columns = _read(sheet.sums, ["key", *Line._fields[2:-1]])
    (whose, statuses, counts), _ = _columns(sheet.statuses, 3)
    blobs = _Times(sheet.times)
    for place in _places(keys, only):
        first, end = bisect_left(whose, place), bisect_left(whose, place + 1)
        ended = list(zip(statuses[first:end], counts[first:end], strict=True))
        n_timed, us, largest, came, went = (column[place] for column in columns)
        yield Line(keys[place], ended, n_timed, us, largest, came, went, blobs.at(place))


def times_of(sums: bytes, times: bytes, only: Iterable[int] | None = None) -> Iterator[tuple[int, bytes]]:
    """By key, of these keys or of all."""
    (keys,) = _read(sums, ["key"])
    blobs = _Times(times)
    for place in _places(keys, only):
        yield keys[place], blobs.at(place)


def _places(keys: Sequence[int], only: Iterable[int] | None) -> Iterable[int]:
    if only is None:
        return range(len(keys))
    found = ((key, bisect_left(keys, key)) for key in only)
    return [place for key, place in found if place < len(keys) and keys[place] == key]


class _Times:
    """Histograms one behind the other."""

    def __init__(self, times: bytes) -> None:
        (lengths,), start = _columns(times, 1)
        self._ends = list(accumulate(lengths, initial=start))
        self._times = times

    def at(self, place: int) -> bytes:
        return self._times[self._ends[place] : self._ends[place + 1]]


# --- numbers in columns: how many lines there are, and of each column a byte that says how wide its numbers are


def _written(lines: Sequence[Sequence[int]]) -> bytes:
    pieces = [struct.pack("<I", len(lines))]
    for column in zip(*lines, strict=True):
        most = max(column)
        width = next(width for width in _WIDTHS if most < 1 << 8 * width)
        pieces.append(struct.pack(f"<B{len(lines)}{_WIDTHS[width]}", width, *column))
    return b"".join(pieces)


def _read(sums: bytes, names: Collection[str]) -> list[Sequence[int]]:
    """Those of COLUMNS that are asked for, in their order there."""
    return _columns(sums, len(COLUMNS), [name in names for name in COLUMNS])[0]


def _columns(told: bytes, n: int, wanted: Sequence[bool] | None = None) -> tuple[list[Sequence[int]], int]:
    """And where the last of them ends."""
    (n_lines,) = struct.unpack_from("<I", told)
    found: list[Sequence[int]] = []
    place = 4
    for number in range(n):
        width = told[place]
        if wanted is None or wanted[number]:
            found.append(column(told, place + 1, n_lines, width))
        place += 1 + n_lines * width
    return found, place


def copied(told: bytes, start: int, n: int, width: int) -> Sequence[int]:
    """`n` numbers of `width` bytes, the lowest byte first."""
    return struct.unpack_from(f"<{n}{_WIDTHS[width]}", told, start)


def _seen(told: bytes, start: int, n: int, width: int) -> Sequence[int]:
    return memoryview(told)[start : start + n * width].cast(_WIDTHS[width])


column = _seen if sys.byteorder == "little" else copied
"""The same, as they lie there: who asks for a few of many numbers copies none of the others."""
