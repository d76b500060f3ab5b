"""Events in pages of columns, for answers: minutes and pieces of hours, of which no rollup tells.

What they come to is decided in core/columns.py, as where hours are folded. In pages between which the event loop has
its turn.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import NullType

from heartfly.core.aggregate import Place
from heartfly.core.columns import Amounts, Page, Told
from heartfly.core.versions import Span
from heartfly.db.models import events
from heartfly.db.prepared import among
from heartfly.db.snapshots import as_read, as_stored

_PAGE = 2_000
"""Events; some 5 ms of computing for one meter."""
_AT, _ID, _TYPE, _SUBJECT, PROPERTIES = range(5)


async def count_between(
    read: AsyncConnection, pid: int, from_at: datetime, to_at: datetime, *, subjects: Sequence[int] | None, most: int
) -> int:
    """How many `rows_between` would tell, up to `most`. To be asked before: reading is not broken off in the middle."""
    query, given = _between(read, [events.c.id], pid=pid, from_at=from_at, to_at=to_at, subjects=subjects)
    some = sa.select(sa.func.count()).select_from(query.limit(most).subquery())
    n: int = (await read.execute(some, given)).scalar_one()
    return n


async def rows_between(
    read: AsyncConnection, pid: int, from_at: datetime, to_at: datetime, *, subjects: Sequence[int] | None
) -> AsyncIterator[Sequence[Any]]:
    """Of [from_at, to_at) and these subjects (None: of any), in whatever order, as the driver has them."""
    names = ("at", "id", "type_id", "subject_id", "properties")
    columns = [sa.type_coerce(events.c[name], NullType()).label(name) for name in names]
    query, given = _between(read, columns, pid=pid, from_at=from_at, to_at=to_at, subjects=subjects)
    async with read.stream(query, given) as result:
        async for rows in result.partitions(_PAGE):
            yield rows


def _between(
    read: AsyncConnection,
    columns: Sequence[sa.ColumnElement[Any]],
    *,
    pid: int,
    from_at: datetime,
    to_at: datetime,
    subjects: Sequence[int] | None,
) -> tuple[sa.Select[Any], dict[str, Any]]:
    query = sa.select(*columns).where(events.c.pid == pid, events.c.at >= from_at, events.c.at < to_at)
    if subjects is None:
        return query, {}
    return query.where(among(read, events.c.subject_id, "subjects")), {"subjects": list(subjects)}


def by_type(rows: Sequence[Any], wanted: Mapping[int, str]) -> Mapping[int, Sequence[Any]]:
    found: dict[int, list[Any]] = {}
    for row in rows:
        if row[_TYPE] in wanted:
            found.setdefault(row[_TYPE], []).append(row)
    return found


class Edges:
    """Where windows begin, and what instants are, in the driver's values: each of an event's need not be converted.

    `run`: when each begins and ends, and its number; they follow one another without a gap.
    """

    def __init__(self, read: AsyncConnection, run: Sequence[tuple[datetime, datetime, int]]) -> None:
        self.stored = as_stored(read, events.c.at)
        self.instant = as_read(read, events.c.at)
        self._begins = [self.stored(from_at) for from_at, _, _ in run]
        self._numbers = [n for _, _, n in run]
        self.from_at, self.to_at = run[0][0], run[-1][1]

    def numbers(self, ats: Sequence[Any]) -> Sequence[int]:
        if len(self._begins) == 1:
            return self._numbers * len(ats)
        begins, numbers = self._begins, self._numbers
        return [numbers[bisect_right(begins, at) - 1] for at in ats]


class Read:
    """A page of events of one type. `where`: the number of the window that each is in."""

    def __init__(self, rows: Sequence[Any], edges: Edges, known: Amounts) -> None:
        self._ats, self._ids, _, self.subjects, properties = zip(*rows, strict=True)
        self._edges = edges
        self._page = Page(properties, known)
        self.where = edges.numbers(self._ats)

    def told(self, span: Span) -> Told:
        """What its version counts of those that happened while it was in force."""
        edges, among = self._edges, None
        if edges.from_at < span.from_at or span.to_at < edges.to_at:
            first, end = (edges.stored(at) for at in (max(span.from_at, edges.from_at), min(span.to_at, edges.to_at)))
            among = [first <= at < end for at in self._ats]
        return self._page.told(span.version.meter, among)

    def places(self) -> Sequence[Place]:
        return list(zip(map(self._edges.instant, self._ats), self._ids, strict=True))
