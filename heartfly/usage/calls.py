"""What the calls of a window come to, as rows that are ready to be written, and how they add up.

How they are read is call_columns.py's, how they are told apart call_fold.py's, and who may have which number
call_rows.py's. Money and units stay whole numbers until they are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import NamedTuple

from heartfly.core.calls import KEYS, OTHER, Cube, Named
from heartfly.core.packed import merged as merged_latencies
from heartfly.core.packed import packed
from heartfly.usage.requests import MOST, Limits

Cell = tuple[int, int, int, int]
"""Cube, its two keys, status (0 in a cube that tells none apart)."""
Measures = tuple[str, ...]
"""In the order of the alphabet (core/calls.py)."""


class Row(NamedTuple):
    """As it is stored. `amounts`: of each measure, in units, money or calls. `first_at`, `last_at`: of calls whose cost
    is not known, in cubes that have a status; else None.
    """

    n: int
    n_errors: int
    n_timed: int
    n_unpriced: int
    n_odd: int
    latency_us: int
    latency_max_us: int
    latencies: bytes | None
    measures: Measures
    amounts: tuple[int, ...]
    first_at: datetime | None = None
    last_at: datetime | None = None


def together(rows: Iterable[Row]) -> Row:
    """At least one."""
    some = list(rows)
    if len(some) == 1:
        return some[0]
    amounts: dict[str, int] = {}
    for row in some:
        for measure, amount in zip(row.measures, row.amounts, strict=True):
            amounts[measure] = amounts.get(measure, 0) + amount
    blobs = [row.latencies for row in some if row.latencies is not None]
    latencies = blobs[0] if len(blobs) == 1 else None
    if len(blobs) > 1:
        found = merged_latencies(blobs)
        latencies = packed(found.zero, found.above)
    measures = tuple(sorted(amounts))
    return Row(
        sum(row.n for row in some),
        sum(row.n_errors for row in some),
        sum(row.n_timed for row in some),
        sum(row.n_unpriced for row in some),
        sum(row.n_odd for row in some),
        min(MOST, sum(row.latency_us for row in some)),
        max(row.latency_max_us for row in some),
        latencies,
        measures,
        tuple(amounts[measure] for measure in measures),
        min((row.first_at for row in some if row.first_at is not None), default=None),
        max((row.last_at for row in some if row.last_at is not None), default=None),
    )


def added(rows: Iterable[tuple[Cell, Row]]) -> dict[Cell, Row]:
    """Rows of one cell become one."""
    found: dict[Cell, list[Row]] = {}
    for cell, row in rows:
        if cell in found:
            found[cell].append(row)
        else:
            found[cell] = [row]
    return {cell: together(some) for cell, some in found.items()}


def in_order(cells: Mapping[Cell, Row]) -> dict[Cell, Row]:
    """Of the table's key, so that rows go in side by side."""
    return dict(sorted(cells.items(), key=itemgetter(0)))


Unnamed = dict[Named, list[str]]


@dataclass(slots=True)
class Calls:
    """Of a window. `unnamed`: names without a number; the first of a kind stands as -1 in `cells`.

    `minutes`: by the minute's beginning and the status. `version`: of the prices by which they are charged. `is_over`:
    some are of no name of their own, as there are too many, which is known when they were named.
    """

    limits: Limits = field(default_factory=Limits)
    version: str | None = None
    unnamed: Unnamed = field(default_factory=dict)
    cells: dict[Cell, Row] = field(default_factory=dict)
    minutes: dict[tuple[datetime, int], Row] = field(default_factory=dict)
    is_over: bool = False

    def n_rows(self, tier: str) -> int:
        """Of a tier. By the minute hours only have rows."""
        return len(self.cells) + (len(self.minutes) if tier == "hour" else 0)

    def merge(self, other: Calls) -> None:
        """Another time comes to this one; no call may be in both. Its minutes stay behind."""
        self.version = self.version or other.version
        numbers: dict[Named, dict[int, int]] = {}
        for kind, texts in other.unnamed.items():
            mine = self.unnamed.setdefault(kind, [])
            known = {text: -place for place, text in enumerate(mine, 1)}
            now = numbers[kind] = {}
            for place, text in enumerate(texts, 1):
                if text not in known:
                    mine.append(text)
                    known[text] = -len(mine)
                now[-place] = known[text]
        self.cells = in_order(added([*self.cells.items(), *renumbered(other.cells, numbers)]))

    def renumber(self, numbers: Mapping[Named, Mapping[int, int]], unnamed: Unnamed) -> None:
        """Names get other numbers, several of them perhaps the same one; `unnamed`: those that still have none."""
        self.unnamed = unnamed
        self.cells = in_order(added(renumbered(self.cells, numbers)))


def renumbered(cells: Mapping[Cell, Row], numbers: Mapping[Named, Mapping[int, int]]) -> Iterable[tuple[Cell, Row]]:
    """With other numbers for names that have those; a cell may come more than once then."""
    nothing: Mapping[int, int] = {}
    of = {
        cube: [numbers.get(kind, nothing) if kind is not None else nothing for kind in kinds]
        for cube, kinds in KEYS.items()
    }
    for cell, row in cells.items():
        cube, key1, key2, status = cell
        first, second = of[Cube(cube)]
        yield (cube, first.get(key1, key1), second.get(key2, key2), status), row


def has_others(cells: Iterable[Cell]) -> bool:
    """Whether some are of no name of their own."""
    for cube, key1, key2, _ in cells:
        first, second = KEYS[Cube(cube)]
        if (first is not None and key1 == OTHER) or (second is not None and key2 == OTHER):
            return True
    return False
