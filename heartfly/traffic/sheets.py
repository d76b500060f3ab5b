"""What requests come to, as the sheets of windows tell it (core/sheets.py): a row of the database for each window.

They serve who asks for nothing but what a sheet tells apart. A few of its lines are found sooner among the rows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from heartfly.core.sheets import Line, Sheet, Sums, lines_of, times_of
from heartfly.core.traffic import SHEETED, Cube
from heartfly.core.windows import HOUR
from heartfly.db.models import request_sheets
from heartfly.traffic.counting import counting
from heartfly.traffic.plan import Grain, Piece
from heartfly.traffic.rows import By, Rows, number_of

_FEW = {Cube.TOTAL: 0, Cube.ENDPOINT: 8, Cube.CUSTOMER: 12}
"""So many lines are found sooner among the rows. Customers are more than endpoints, and their sheets are larger."""
_AT_ONCE = 50
"""Windows whose sheets are read in one go, where they have many lines: some megabytes."""
_MANY = 20
"""Steps; where there are more it is asked first in which of them there is something."""
_STEPS = {Grain.HOUR: HOUR, Grain.DAY: timedelta(days=1)}


@dataclass(slots=True)
class Sheets:
    """Of a question. `only`: the lines that are asked for, None: all. `lacks`: of a run that was read to its end,
    whether some windows have no sheet, or no requests.
    """

    rows: Rows
    only: Collection[int] | None
    lacks: bool = field(default=False, init=False)

    async def sums(self, grain: Grain, run: Sequence[Piece], into: Sums) -> None:
        """Of all lines."""
        async for _, (sums,) in self._of(grain, run, "sums"):
            into.add(sums)

    async def lines(self, grain: Grain, run: Sequence[Piece]) -> AsyncIterator[tuple[int, Iterable[Line]]]:
        """By the number of the window."""
        async for n, blobs in self._of(grain, run, *Sheet._fields):
            yield n, lines_of(Sheet(*blobs), self.only)

    async def times(self, grain: Grain, run: Sequence[Piece]) -> AsyncIterator[tuple[int, bytes]]:
        async for _, (sums, times) in self._of(grain, run, "sums", "times"):
            for one in times_of(sums, times, self.only):
                yield one

    async def _of(self, grain: Grain, run: Sequence[Piece], *names: str) -> AsyncIterator[tuple[int, Sequence[bytes]]]:
        self.lacks = False
        begins = [piece.from_at for piece in run]
        for at, until in await self._steps(grain, run[0].from_at, run[-1].to_at):
            for start_at, *blobs in await self.rows.read.execute(self._query(grain, at, until, names)):
                if blobs[0] is None:
                    self.lacks = True
                else:
                    yield number_of(start_at, run, begins), blobs

    async def _steps(self, grain: Grain, from_at: datetime, to_at: datetime) -> Sequence[tuple[datetime, datetime]]:
        """What is read in one go each. In a long time only where there are windows: 27 empty years are 5,000 steps."""
        if self.rows.cube is Cube.TOTAL:
            return [(from_at, to_at)]
        step = _STEPS[grain] * _AT_ONCE
        if to_at - from_at <= _MANY * step:
            n = -(-(to_at - from_at) // step)
            return [(from_at + i * step, min(to_at, from_at + (i + 1) * step)) for i in range(n)]
        w = counting(self.rows.pid, grain.value, from_at, to_at)
        there = (await self.rows.read.execute(sa.select(w.c.start_at).order_by(w.c.start_at))).scalars().all()
        return list(pairwise([*there[::_AT_ONCE], to_at]))

    def _query(self, grain: Grain, from_at: Any, to_at: Any, names: Sequence[str]) -> sa.Select[Any]:
        h, w = request_sheets.c, counting(self.rows.pid, grain.value, from_at, to_at)
        of_window = (h.pid == self.rows.pid, h.cube == int(self.rows.cube), h.tier == grain.value)
        same = (h.start_at == w.c.start_at, h.gen == w.c.gen)
        columns = sa.select(w.c.start_at, *(h[name] for name in names))
        return columns.select_from(w.outerjoin(request_sheets, sa.and_(*of_window, *same)))


def sheets_for(rows: Rows, keys: Collection[int] | None) -> Sheets | None:
    """Where they serve. `keys`: that are asked for, or all."""
    wanted, cube = rows.wanted, rows.cube
    filtered = {Cube.ENDPOINT: wanted.endpoints, Cube.CUSTOMER: wanted.subjects}.get(cube)
    if keys is None or rows.by is By.NOTHING:
        only: Collection[int] | None = filtered
    else:
        only = keys if filtered is None else filtered & set(keys)
    if wanted.statuses or cube not in SHEETED or (only is not None and len(only) <= _FEW[cube]):
        return None
    return Sheets(rows, only)
