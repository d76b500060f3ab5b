"""Reads of backfills: which there are, and what was sent into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.models import backfill_events, backfills
from heartfly.errors import NotFoundError
from heartfly.usage.backfill_plan import the_set
from heartfly.usage.event_queries import Shown, shown


async def list_sets(read: AsyncConnection, pid: int, *, state: str, before: int | None, limit: int) -> Sequence[Any]:
    """Newest first. `state` empty: any."""
    query = sa.select(backfills).where(backfills.c.pid == pid)
    if state:
        query = query.where(backfills.c.state == state)
    if before is not None:
        query = query.where(backfills.c.id < before)
    return (await read.execute(query.order_by(backfills.c.id.desc()).limit(limit))).all()


async def one_set(read: AsyncConnection, pid: int, public_id: str) -> Any:
    """NotFoundError, for one of another project too."""
    row = (await read.execute(the_set(pid, public_id))).first()
    if row is None:
        raise NotFoundError("there is no such backfill")
    return row


async def n_events(read: AsyncConnection, row: Any) -> int:
    return (await n_events_of(read, row.pid, [row.id]))[row.id]


async def n_events_of(read: AsyncConnection, pid: int, numbers: Sequence[int]) -> Mapping[int, int]:
    """How many were sent into each of these sets: one query, however many those are."""
    b = backfill_events.c
    query = sa.select(b.backfill_id, sa.func.count()).where(b.pid == pid, b.backfill_id.in_(numbers))
    counted = (await read.execute(query.group_by(b.backfill_id))).all() if numbers else ()
    return dict.fromkeys(numbers, 0) | {row[0]: row[1] for row in counted}


async def list_sent(
    read: AsyncConnection, row: Any, *, after: int | None, limit: int
) -> Sequence[tuple[Shown, str | None]]:
    """In the order in which they were sent, with what became of each once the set was closed."""
    query = sa.select(backfill_events).where(
        backfill_events.c.pid == row.pid,
        backfill_events.c.backfill_id == row.id,
        backfill_events.c.id > (after or 0),
    )
    rows = (await read.execute(query.order_by(backfill_events.c.id).limit(limit))).all()
    events = await shown(read, row.pid, rows)
    return [(event, one.outcome) for event, one in zip(events, rows, strict=True)]
