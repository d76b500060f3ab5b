"""Calls' rows beside what their events come to now, at the prices of now, row by row: compare.py asks it for a window.

A name that had no number when the window was folded lies in OTHER there, whatever number it has by now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from heartfly.core.calls import KEYS, OTHER, TYPE, WITH_STATUS, Cube, Named, amount_text
from heartfly.usage.calls import Calls, Row, has_others
from heartfly.usage.request_compare import Differs

CALLS = TYPE
"""What stands in the place of a meter: no meter's name has a dot."""


def differing_calls(kept: Calls, fresh: Calls, name: Callable[[int], str]) -> Iterator[Differs]:
    """`name`: of a number of `usage_names`."""
    unnamed = {kind: {-place: OTHER for place in range(1, len(texts) + 1)} for kind, texts in fresh.unnamed.items()}
    if has_others(kept.cells):
        held = {number for cell in kept.cells for number in cell[1:3]}
        for cell in fresh.cells:
            for kind, number in zip(KEYS[Cube(cell[0])], cell[1:3], strict=True):
                if kind is not None and kind is not Named.SUBJECT and number not in held:
                    unnamed.setdefault(kind, {})[number] = OTHER
    fresh.renumber(unnamed, {})
    for cell in sorted(kept.cells.keys() | fresh.cells.keys()):
        stands, would_be = kept.cells.get(cell), fresh.cells.get(cell)
        if stands != would_be:
            cube, key1, key2, status = cell
            customer = name(key1) if KEYS[Cube(cube)][0] is Named.SUBJECT else ""
            numbers = [str(key) for key, kind in zip((key1, key2), KEYS[Cube(cube)], strict=True) if kind is not None]
            told = f"status {status or 'unknown'}" if Cube(cube) in WITH_STATUS else ""
            group = ", ".join(filter(None, [Cube(cube).name.lower().replace("_", " and "), *numbers, told]))
            yield Differs(customer, group, _told(stands), _told(would_be))


def _told(row: Row | None) -> str | None:
    if row is None:
        return None
    sums = ", ".join(
        f"{measure[2:]} {amount_text(measure[0], amount)}"
        for measure, amount in zip(row.measures, row.amounts, strict=True)
    )
    return f"{row.n} calls, {row.n_errors} errors, {row.n_unpriced} without a price: {sums}"
