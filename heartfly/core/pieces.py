"""How much of what is removed goes in one transaction: whoever waits for the one writer waits for all of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

MOST_BYTES = 12_000_000
"""SQLite walks through the pages of each large value that it removes: two milliseconds for a megabyte. More than a
hundred pings may say, by what is kept of a body.
"""


def within(rows: Iterable[Any], *, most: int = MOST_BYTES) -> list[Any]:
    """The first of these whose `size` is no more than that together; one, if there is any, whatever its size."""
    taken: list[Any] = []
    room = most
    for row in rows:
        room -= row.size
        if taken and room < 0:
            break
        taken.append(row)
    return taken
