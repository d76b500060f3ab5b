"""Requests' rows beside what their events come to now, row by row: compare.py asks it for each window.

An endpoint that had no number when the window was folded lies in OTHER there, whatever number it has by now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from heartfly.core.access.as_event import TYPE
from heartfly.core.traffic import OTHER, UNKNOWN_STATUS, Cube
from heartfly.usage.requests import Requests, Row


class Differs(NamedTuple):
    """`group`: endpoint and status in words. `kept` and `would_be`: None where there is no such row."""

    customer: str
    group: str
    kept: str | None
    would_be: str | None


METER = TYPE
"""What stands in the place of a meter: no meter's name has a dot."""


def differing(kept: Requests, fresh: Requests, name: Callable[[int], str]) -> Iterator[Differs]:
    """`name`: of a number of `usage_names`."""
    named = {key1 for cube, key1, _, _ in kept.cells if cube == Cube.ENDPOINT}
    others = {key1 for cube, key1, _, _ in fresh.cells if cube == Cube.ENDPOINT} - named
    if OTHER in named:
        fresh.renumber(dict.fromkeys(others, OTHER), [])
    for cell in sorted(kept.cells.keys() | fresh.cells.keys()):
        stands, would_be = kept.cells.get(cell), fresh.cells.get(cell)
        if stands == would_be:
            continue
        cube, key1, key2, status = cell
        customer = name(key1) if cube in {Cube.CUSTOMER, Cube.PAIR} else ""
        number = {Cube.ENDPOINT: key1, Cube.PAIR: key2}.get(Cube(cube))
        code = "status unknown" if status == UNKNOWN_STATUS else f"status {status}"
        of = "" if number is None else f"{_endpoint(number, fresh, name)}, "
        yield Differs(customer, f"{of}{code}", _told(stands), _told(would_be))


def _endpoint(number: int, fresh: Requests, name: Callable[[int], str]) -> str:
    if number < 0:
        return fresh.unnamed[-number - 1]
    return "other endpoints" if number == OTHER else name(number)


def _told(row: Row | None) -> str | None:
    if row is None:
        return None
    return f"{row.n} requests, {row.n_timed} of them in {row.latency_us} us, {row.bytes_in} + {row.bytes_out} bytes"
