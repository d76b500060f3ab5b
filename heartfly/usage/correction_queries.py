"""Corrections as they are shown: of one event, and of a project, newest first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.database import Database
from heartfly.db.models import backfills, event_corrections, events
from heartfly.errors import NotFoundError
from heartfly.usage import backfill_queries, event_queries
from heartfly.usage.corrections import CONTENT
from heartfly.usage.customer_queries import one_customer, subject_ids
from heartfly.usage.event_queries import Shown, shown

MOST = 100
"""Shown of one event."""
_PIECE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """`before`: what counted until then; `after`: what counted from then on, None where nothing did.

    `backfill`: the public id of the set that made it. `undone_at` None: it stands.
    """

    id: int
    event_id: int
    kind: str
    made_at: datetime
    made_by: str
    reason: str
    backfill: str | None
    undone_at: datetime | None
    undone_by: str | None
    before: Shown
    after: Shown | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """`event`: as it counts, or was when it last did. `against`: what contradicts it. Corrections: the newest first."""

    event: Shown
    counts: bool
    against: Sequence[Shown]
    corrections: Sequence[Correction]


async def known_event(read: AsyncConnection, pid: int, transaction_id: str) -> Known:
    """One that was voided or replaced, too. NotFoundError."""
    number = await event_queries.number_of(read, pid, transaction_id)
    if number is None:
        raise NotFoundError("there is no such event")
    query = _corrections(pid).where(event_corrections.c.event_id == number)
    rows = (await read.execute(query.order_by(event_corrections.c.id.desc()).limit(MOST))).all()
    corrections = await _told(read, pid, rows)
    counts = (await read.execute(sa.select(events).where(events.c.pid == pid, events.c.id == number))).all()
    standing = next((one for one in corrections if one.undone_at is None), None)
    if not counts and (standing is None or standing.after is not None):
        raise NotFoundError("there is no such event")  # it was erased, or is not kept any more
    if counts or standing is None:
        (event,) = await shown(read, pid, counts)
    else:
        event = standing.before
    against = await event_queries.against(read, pid, number)
    return Known(event=event, counts=bool(counts), against=against, corrections=corrections)


async def list_corrections(
    read: AsyncConnection, pid: int, *, kind: str, backfill: str, before: tuple[int, int] | None, limit: int
) -> Sequence[Correction]:
    """Newest first. `before`: those behind this one. `kind` and `backfill` (a public id) empty: any. NotFoundError."""
    query = _corrections(pid)
    if kind:
        query = query.where(event_corrections.c.kind == kind)
    if backfill:
        row = await backfill_queries.one_set(read, pid, backfill)
        query = query.where(event_corrections.c.id == (row.run or 0))
    return await _page(read, pid, query, before=before, limit=limit)


async def customers_corrections(database: Database, pid: int, public_id: str) -> AsyncIterator[Sequence[Correction]]:
    """Those of events that are his or were, newest first, piece by piece."""
    before: tuple[int, int] | None = None
    while True:
        async with database.read() as read:
            row = await one_customer(read, pid, public_id)
            his = subject_ids(pid, row.id)
            of_him = sa.or_(event_corrections.c.subject_id.in_(his), event_corrections.c.new_subject_id.in_(his))
            found = await _page(read, pid, _corrections(pid).where(of_him), before=before, limit=_PIECE)
        if found:
            yield found
        if len(found) < _PIECE:
            return
        before = (found[-1].id, found[-1].event_id)


async def _page(
    read: AsyncConnection, pid: int, query: sa.Select[Any], *, before: tuple[int, int] | None, limit: int
) -> Sequence[Correction]:
    if before is not None:
        number, event_id = before
        at, one = event_corrections.c.id, event_corrections.c.event_id
        query = query.where(at <= number, sa.or_(at < number, one < event_id))
    order = (event_corrections.c.id.desc(), event_corrections.c.event_id.desc())
    return await _told(read, pid, (await read.execute(query.order_by(*order).limit(limit))).all())


def _corrections(pid: int) -> sa.Select[Any]:
    of_set = sa.and_(backfills.c.pid == event_corrections.c.pid, backfills.c.id == event_corrections.c.backfill_id)
    query = sa.select(event_corrections, backfills.c.uuid.label("backfill"))
    return query.outerjoin(backfills, of_set).where(event_corrections.c.pid == pid)


async def _told(read: AsyncConnection, pid: int, rows: Sequence[Any]) -> list[Correction]:
    befores = await shown(read, pid, [_content(row, {}) for row in rows])
    amended = [row for row in rows if row.new_at is not None]
    afters = await shown(read, pid, [_content(row, _new(row)) for row in amended])
    after_of: Mapping[tuple[int, int], Shown] = {
        (row.event_id, row.id): one for row, one in zip(amended, afters, strict=True)
    }
    return [
        Correction(
            id=row.id,
            event_id=row.event_id,
            kind=row.kind,
            made_at=row.made_at,
            made_by=row.made_by,
            reason=row.reason,
            backfill=row.backfill,
            undone_at=row.undone_at,
            undone_by=row.undone_by,
            before=before,
            after=after_of.get((row.event_id, row.id)),
        )
        for row, before in zip(rows, befores, strict=True)
    ]


def _content(row: Any, new: Mapping[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(**{name: getattr(row, name) for name in CONTENT} | {"id": row.event_id} | dict(new))


def _new(row: Any) -> Mapping[str, Any]:
    return {name: getattr(row, f"new_{name}") for name in ("at", "type_id", "subject_id", "properties")}
