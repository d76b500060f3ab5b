"""What the requests of a window come to, as rows, and how windows add up to larger ones.

The same requests make the same rows, to the byte, in whatever order they are added. Endpoints that have no number yet
stand by one of their own here, below zero; which of them get one is decided where rows are written (request_rows.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import NamedTuple

from heartfly.core.packed import merged as merged_latencies
from heartfly.core.packed import packed
from heartfly.core.sheets import Sheet, sheet_of
from heartfly.core.traffic import SHEETED, Cube

MOST = (1 << 63) - 1
"""What a column holds: a sum that would be more stays there."""
SLOWEST, SLOWEST_OF_ENDPOINT = 100, 5
_MANY = 64
"""Histograms that wait to be added up."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`endpoints`: what comes when a project has so many is of none of them. `slow_us`: from then on one is slow.

    `call_names`: the same of calls, for each kind of names by which they are told apart.
    """

    endpoints: int = 1_000
    slow_us: int = 1_000_000
    call_names: int = 2_000


Cell = tuple[int, int, int, int]
"""Cube, its two keys, status."""


class Row(NamedTuple):
    """As `core.traffic.Figures`, as it is stored."""

    n: int
    n_timed: int
    latency_us: int
    latency_max_us: int
    bytes_in: int
    bytes_out: int
    latencies: bytes | None


class Slow(NamedTuple):
    """In the order in which they are told: the slowest first. `name`: its transaction id."""

    negative_us: int
    at: datetime
    name: str
    event_id: int
    endpoint_id: int
    subject_id: int
    status: int
    path: str
    request_id: str


class Sum:
    """Rows that add up."""

    __slots__ = ("_waiting", "figures")

    def __init__(self) -> None:
        self.figures = [0, 0, 0, 0, 0, 0]
        self._waiting: list[bytes] = []

    def add(self, row: Row) -> None:
        n, n_timed, latency_us, latency_max_us, bytes_in, bytes_out, latencies = row
        figures = self.figures
        figures[0] += n
        figures[1] += n_timed
        figures[2] += latency_us
        figures[3] = max(figures[3], latency_max_us)
        figures[4] += bytes_in
        figures[5] += bytes_out
        if latencies is not None:
            self._waiting.append(latencies)
            if len(self._waiting) >= _MANY:
                self._waiting = [_put_together(self._waiting)]

    def row(self) -> Row:
        n, n_timed, latency_us, latency_max_us, bytes_in, bytes_out = self.figures
        waiting = self._waiting
        latencies = None if not waiting else waiting[0] if len(waiting) == 1 else _put_together(waiting)
        return Row(
            *(n, n_timed, min(latency_us, MOST), latency_max_us),
            *(min(bytes_in, MOST), min(bytes_out, MOST), latencies),
        )


def _put_together(blobs: Iterable[bytes]) -> bytes:
    found = merged_latencies(blobs)
    return packed(found.zero, found.above)


def added(rows: Iterable[tuple[Cell, Row]]) -> dict[Cell, Row]:
    """Rows of one cell become one."""
    found: dict[Cell, Row] = {}
    sums: dict[Cell, Sum] = {}
    for cell, row in rows:
        first = found.get(cell)
        if first is None:
            found[cell] = row
            continue
        of_cell = sums.get(cell)
        if of_cell is None:
            of_cell = sums[cell] = Sum()
            of_cell.add(first)
        of_cell.add(row)
    for cell, of_cell in sums.items():
        found[cell] = of_cell.row()
    return found


def in_order(cells: Mapping[Cell, Row]) -> dict[Cell, Row]:
    """Of the table's key, so that rows go in side by side. Not where they are written: to sort many takes its time."""
    return dict(sorted(cells.items(), key=itemgetter(0)))


@dataclass(slots=True)
class Requests:
    """Of a window. `unnamed`: endpoints without a number; the first of them stands as -1 in `cells` and `slow`.

    `minutes`: by the minute's beginning and the status. `is_over`: some are of no endpoint, as there are too many,
    which is known when they were named. `elsewhere`: endpoints that other windows count, told where it matters.
    """

    limits: Limits = field(default_factory=Limits)
    unnamed: list[str] = field(default_factory=list)
    cells: dict[Cell, Row] = field(default_factory=dict)
    minutes: dict[tuple[datetime, int], Row] = field(default_factory=dict)
    slow: list[Slow] = field(default_factory=list)
    is_over: bool = False
    elsewhere: frozenset[int] | None = None

    def n_rows(self, tier: str) -> int:
        """Of a tier, with its sheets. By the minute, and what is slow, hours only have rows."""
        n_sheets = len(SHEETED) if self.cells else 0
        return n_sheets + len(self.cells) + (len(self.minutes) + len(self.slow) if tier == "hour" else 0)

    def sheets(self) -> Iterator[tuple[Cube, Sheet]]:
        """Those that there are, of what `cells` hold."""
        of_cube: dict[int, list[tuple[int, int, Row]]] = {cube: [] for cube in SHEETED}
        for (cube, key1, _, status), row in self.cells.items():
            if cube in of_cube:
                of_cube[cube].append((key1, status, row))
        for cube in SHEETED:
            if sheet := sheet_of(sorted(of_cube[cube], key=itemgetter(0, 1))):
                yield cube, sheet

    def merge(self, other: Requests) -> None:
        """Another time comes to this one; no request may be in both. Its minutes, and which are slow, stay behind."""
        mine = {text: -place for place, text in enumerate(self.unnamed, 1)}
        numbers: dict[int, int] = {}
        for place, text in enumerate(other.unnamed, 1):
            if text not in mine:
                self.unnamed.append(text)
                mine[text] = -len(self.unnamed)
            numbers[-place] = mine[text]
        self.cells = in_order(added([*self.cells.items(), *_renumbered(other.cells, numbers)]))

    def renumber(self, numbers: Mapping[int, int], unnamed: list[str]) -> None:
        """Endpoints get other numbers, several of them perhaps the same one; `unnamed`: those that still have none."""
        self.unnamed = unnamed
        self.cells = added(_renumbered(self.cells, numbers))
        self.slow = slowest(
            one._replace(endpoint_id=numbers.get(one.endpoint_id, one.endpoint_id)) for one in self.slow
        )


def _renumbered(cells: Mapping[Cell, Row], numbers: Mapping[int, int]) -> Iterable[tuple[Cell, Row]]:
    """With other numbers for endpoints that have those; a cell may come more than once then."""
    for cell, row in cells.items():
        cube, key1, key2, status = cell
        if cube == Cube.ENDPOINT and key1 in numbers:
            yield (cube, numbers[key1], key2, status), row
        elif cube == Cube.PAIR and key2 in numbers:
            yield (cube, key1, numbers[key2], status), row
        else:
            yield cell, row


def slowest(found: Iterable[Slow]) -> list[Slow]:
    """Those that are kept of an hour's slow ones."""
    of_endpoint: dict[int, int] = {}
    kept = []
    for place, one in enumerate(sorted(found)):
        n = of_endpoint[one.endpoint_id] = of_endpoint.get(one.endpoint_id, 0) + 1
        if place < SLOWEST or n <= SLOWEST_OF_ENDPOINT:
            kept.append(one)
    return kept
