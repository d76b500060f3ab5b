"""What questions about calls have in common that are asked of one state of the data: each is read once for all of them.

Found again by the connection that they are asked through, which sees one state as long as it is held (db/parts.py), so
nobody hands it from one question to the next. What belongs to a single question is not here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.calls.waiting import Waiting
from heartfly.core.calls import KEYS, OTHER, TYPE, Cube, Named
from heartfly.core.windows import Window
from heartfly.db.models import call_names, call_rollups
from heartfly.traffic.counting import counting
from heartfly.traffic.plan import Steady, steady_in, thinned_in
from heartfly.usage.call_fold import product_of
from heartfly.usage.call_reading import measures_called
from heartfly.usage.calls import Measures
from heartfly.usage.raw import type_ids
from heartfly.usage.settled import Settled, settled_in

_LONGEST_DAY = timedelta(hours=50)


class Known:
    """Of a project. Holds no connection: it is found by one, and goes with it."""

    def __init__(self, pid: int, waiting: Waiting | None = None) -> None:
        self.waiting = waiting or Waiting(pid)
        self._pid = pid
        self._settled: dict[tuple[Window, datetime], Settled] = {}
        self._steady: dict[tuple[Window, datetime], Steady] = {}
        self._thinned: dict[Window, frozenset[datetime]] = {}
        self._names: dict[Named, Mapping[int, str]] = {}
        self._products: Mapping[int, tuple[str, str]] | None = None
        self._measures: dict[int, Measures] = {}
        self._others: dict[tuple[Cube, tuple[Named, ...], Window], bool] = {}
        self._types: Sequence[int] | None = None

    async def settled(self, read: AsyncConnection, span: Window, now: datetime) -> Settled:
        found = self._settled.get((span, now))
        if found is None:
            found = await settled_in(read, self._pid, span.from_at, span.to_at, now=now, meter_id=None)
            self._settled[span, now] = found
        return found

    async def steady(self, read: AsyncConnection, span: Window, now: datetime) -> Steady:
        found = self._steady.get((span, now))
        if found is None:
            found = await steady_in(read, self._pid, span, await self.settled(read, span, now))
            self._steady[span, now] = found
        return found

    async def thinned(self, read: AsyncConnection, span: Window) -> frozenset[datetime]:
        found = self._thinned.get(span)
        if found is None:
            found = self._thinned[span] = await thinned_in(read, self._pid, span)
        return found

    async def type_id(self, read: AsyncConnection) -> int | None:
        """The number of the type that calls are events of; None: none ever came."""
        if self._types is None:
            self._types = list(await type_ids(read, self._pid, {TYPE}))
        return next(iter(self._types), None)

    async def names(self, read: AsyncConnection, kind: Named) -> Mapping[int, str]:
        """All that the project has, by number; some thousands at most."""
        found = self._names.get(kind)
        if found is None:
            query = sa.select(call_names.c.id, call_names.c.text).where(
                call_names.c.pid == self._pid, call_names.c.kind == kind.value
            )
            found = self._names[kind] = {row.id: row.text for row in await read.execute(query)}
        return found

    async def products(self, read: AsyncConnection) -> Mapping[int, tuple[str, str]]:
        """The provider and model of each, by number."""
        if self._products is None:
            self._products = {
                number: product_of(text) for number, text in (await self.names(read, Named.PRODUCT)).items()
            }
        return self._products

    async def measures(self, read: AsyncConnection, numbers: Collection[int]) -> Mapping[int, Measures]:
        """What rows with these numbers are of."""
        if missing := set(numbers) - self._measures.keys():
            self._measures |= await read.run_sync(measures_called, self._pid, missing)
        return self._measures

    async def has_others(self, read: AsyncConnection, cube: Cube, kinds: Sequence[Named], span: Window) -> bool:
        """Whether there were calls of names of these kinds when the project had as many as it may."""
        key = cube, tuple(kinds), span
        if key not in self._others:
            self._others[key] = await _has_others(read, self._pid, cube, kinds, span)
        return self._others[key]


async def _has_others(read: AsyncConnection, pid: int, cube: Cube, kinds: Sequence[Named], span: Window) -> bool:
    r = call_rollups.c
    columns = [column for column, kind in zip((r.key1, r.key2), KEYS[cube], strict=True) if kind in kinds]
    for tier in ("hour", "day"):
        w = counting(pid, tier, span.from_at - _LONGEST_DAY, span.to_at)
        same = sa.and_(r.start_at == w.c.start_at, r.gen == w.c.gen)
        for column in columns:
            query = sa.select(r.key1).select_from(w.join(call_rollups, same))
            query = query.where(
                r.pid == pid, r.cube == sa.literal(int(cube), literal_execute=True), r.tier == tier, column == OTHER
            )
            if (await read.execute(query.limit(1))).first() is not None:
                return True
    return False


_KNOWN: WeakKeyDictionary[AsyncConnection, dict[int, Known]] = WeakKeyDictionary()


def known_by(read: AsyncConnection, pid: int) -> Known:
    """To all that is asked through this connection while it is held."""
    of_read = _KNOWN.setdefault(read, {})
    if pid not in of_read:
        of_read[pid] = Known(pid)
    return of_read[pid]


def share(read: AsyncConnection, pid: int, waiting: Waiting) -> None:
    """What waits was read, or will be, by others, too. To be said before anything is asked through it."""
    _KNOWN.setdefault(read, {})[pid] = Known(pid, waiting)
