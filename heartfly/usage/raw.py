"""Events read one after another, for what no rollup tells: pieces of hours, minutes, and meters that are not there yet.

In slices, between which the event loop has its turn: whoever reads many holds up nobody.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.events import read as parsed
from heartfly.db.models import events, usage_names
from heartfly.db.prepared import among

_SLICE = 500
"""Events; some 5 ms of computing."""


@dataclass(frozen=True, slots=True)
class Raw:
    id: int
    at: datetime
    type: str
    subject_id: int
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Slice:
    """Of `n` events those that were wanted. `at`: when the last of the `n` was."""

    events: Sequence[Raw]
    n: int
    at: datetime


async def type_ids(read: AsyncConnection, pid: int, types: Collection[str]) -> Mapping[int, str]:
    """Of these types those that ever came."""
    query = sa.select(usage_names.c.id, usage_names.c.text).where(
        usage_names.c.pid == pid, usage_names.c.kind == "type", among(read, usage_names.c.text, "texts")
    )
    return {row.id: row.text for row in await read.execute(query, {"texts": sorted(types)})}


async def events_between(
    read: AsyncConnection,
    pid: int,
    from_at: datetime,
    to_at: datetime,
    *,
    types: Mapping[int, str],
    subjects: Sequence[int] | None = None,
    newest_first: bool = False,
) -> AsyncIterator[Slice]:
    """In [from_at, to_at), of these types (`type_ids`) and subjects (None: of any), slice by slice.

    A slice is made of so many events of any type: none of it may be wanted, and it tells how far it has come.
    """
    edge: tuple[datetime, int] | None = None
    wanted = None if subjects is None else frozenset(subjects)
    place = sa.tuple_(events.c.at, events.c.id)
    order = (events.c.at.desc(), events.c.id.desc()) if newest_first else (events.c.at, events.c.id)
    while True:
        query = sa.select(events.c.id, events.c.at, events.c.type_id, events.c.subject_id, events.c.properties).where(
            events.c.pid == pid, events.c.at >= from_at, events.c.at < to_at
        )
        if edge is not None:
            bound = sa.tuple_(sa.literal(edge[0], events.c.at.type), sa.literal(edge[1], events.c.id.type))
            query = query.where(place < bound if newest_first else place > bound)
        rows = (await read.execute(query.order_by(*order).limit(_SLICE))).all()
        if rows:
            found = [
                Raw(row.id, row.at, types[row.type_id], row.subject_id, parsed(row.properties))
                for row in rows
                if row.type_id in types and (wanted is None or row.subject_id in wanted)
            ]
            yield Slice(found, len(rows), rows[-1].at)
        if len(rows) < _SLICE:
            return
        edge = (rows[-1].at, rows[-1].id)
