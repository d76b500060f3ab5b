"""Which tiles a question's windows are made of, and which of them are read together.

What a tile is, is decided in core/tiles.py.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from datetime import datetime

from heartfly.core.tiles import Tier, Tile, tiles
from heartfly.core.windows import Size, Window

Numbered = tuple[datetime, datetime, int]
"""From when to when a tile is, and the number of the window that it is of."""


def tiles_of(part: Window, days: Sequence[Window], size: Size | None) -> list[Tile]:
    return [Tile(Tier.RAW, part.from_at, part.to_at)] if size is Size.MINUTE else tiles(part, days)


def within(days: Sequence[Window], part: Window) -> Sequence[Window]:
    first = bisect.bisect_left(days, part.from_at, key=lambda day: day.from_at)
    end = bisect.bisect_left(days, part.to_at, key=lambda day: day.from_at)
    return days[first:end]


def runs(found: Sequence[Numbered]) -> Iterator[list[Numbered]]:
    """Tiles that follow one another, together: one query for each."""
    run: list[Numbered] = []
    for tile in found:
        if run and run[-1][1] != tile[0]:
            yield run
            run = []
        run.append(tile)
    if run:
        yield run
