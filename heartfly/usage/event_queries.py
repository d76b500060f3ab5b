"""Events as they are searched and shown: newest first, each with whose it is, and with what contradicts it.

Every list walks down an index from a place on, so that its cost does not depend on how many events there are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.events import wrong_subject
from heartfly.db.database import Database
from heartfly.db.models import event_conflicts, event_ids, events, usage_names
from heartfly.errors import InvalidValueError, NotFoundError
from heartfly.usage.apply import hash_of
from heartfly.usage.customer_queries import one_customer, subject_ids, whose

_AT_ONCE = 50
"""Names whose events are merged in one statement."""
_PIECE = 500
MOST_LOOKED_AT = 20_000
"""Events of any type that a search for a type reads for one page; the next page goes on from there."""
MOST_CONFLICTS = 100
"""Shown of one event."""

Place = tuple[datetime, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events are listed; empty: any. `customer` is a public id. `from_at` is inclusive, `to_at` is not.

    `id`: what stands behind the first `#` of a transaction id, or all of it (api/openmeter.py). No index knows it: all
    events of the time are looked at.
    """

    customer: str = ""
    subject: str = ""
    type: str = ""
    transaction_id: str = ""
    id: str = ""
    from_at: datetime | None = None
    to_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An event with the names in place of their numbers. `customer`: the public id of whose it is, if that is known."""

    id: int
    transaction_id: str
    subject: str
    customer: str | None
    type: str
    at: datetime
    received_at: datetime
    properties: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """What came under the transaction id of `kept`, which counts."""

    came: Shown
    kept: Shown | None


async def list_events(
    read: AsyncConnection, pid: int, wanted: Wanted, *, before: Place | None, limit: int
) -> Sequence[Shown]:
    """Newest first. `before`: those behind this one, by when it happened and its number.

    InvalidValueError: there is no such customer.
    """
    subjects = await _subjects(read, pid, wanted)
    types = None if not wanted.type else await _names(read, pid, "type", wanted.type)
    if subjects == [] or types == []:
        return ()
    if wanted.transaction_id:
        event_id = await number_of(read, pid, wanted.transaction_id)
        base = _bounded(pid, wanted, types, before).where(events.c.id == event_id)
        if subjects is not None:
            base = base.where(events.c.subject_id.in_(subjects))
        return await shown(read, pid, (await read.execute(base)).all())
    base = _bounded(pid, wanted, types, before).order_by(events.c.at.desc(), events.c.id.desc()).limit(limit)
    if subjects is None:
        return await shown(read, pid, (await read.execute(base)).all())
    rows: list[Any] = []
    for start in range(0, len(subjects), _AT_ONCE):
        walks = [
            sa.select(base.where(events.c.subject_id == subject).subquery())
            for subject in subjects[start : start + _AT_ONCE]
        ]
        rows += (await read.execute(sa.union_all(*walks) if len(walks) > 1 else walks[0])).all()
    rows.sort(key=lambda row: (row.at, row.id), reverse=True)
    return await shown(read, pid, rows[:limit])


@dataclass(frozen=True, slots=True)
class Page:
    """What was found, newest first. `last`: from where to go on, if there may be more."""

    events: Sequence[Shown]
    last: Place | None


async def search(read: AsyncConnection, pid: int, wanted: Wanted, *, before: Place | None, limit: int) -> Page:
    """As `list_events`. Of one type, a page may hold fewer than `limit`, or none, although there are more."""
    if not wanted.type or wanted.transaction_id or wanted.customer or wanted.subject:
        found = await list_events(read, pid, wanted, before=before, limit=limit + 1)
        return Page(found[:limit], _place(found[limit - 1]) if len(found) > limit else None)
    types = await _names(read, pid, "type", wanted.type)
    if not types:
        return Page((), None)
    walk = _bounded(pid, wanted, None, before).order_by(events.c.at.desc(), events.c.id.desc())
    some = walk.limit(MOST_LOOKED_AT).subquery()
    fits = sa.select(some).where(some.c.type_id == types[0]).order_by(some.c.at.desc(), some.c.id.desc())
    rows = (await read.execute(fits.limit(limit + 1))).all()
    if len(rows) > limit:
        return Page(await shown(read, pid, rows[:limit]), _place(rows[limit - 1]))
    edge = walk.with_only_columns(events.c.at, events.c.id).limit(1).offset(MOST_LOOKED_AT - 1)
    last = (await read.execute(edge)).first()
    return Page(await shown(read, pid, rows), None if last is None else _place(last))


def _place(one: Any) -> Place:
    return one.at, one.id


async def one_event(read: AsyncConnection, pid: int, transaction_id: str) -> tuple[Shown, Sequence[Shown]]:
    """With what contradicts it, newest first, at most MOST_CONFLICTS. NotFoundError."""
    event_id = await number_of(read, pid, transaction_id)
    rows = (await read.execute(_columns().where(events.c.pid == pid, events.c.id == event_id))).all()
    if not rows:
        raise NotFoundError("there is no such event")
    (kept,) = await shown(read, pid, rows)
    return kept, await against(read, pid, kept.id)


async def against(read: AsyncConnection, pid: int, event_id: int) -> Sequence[Shown]:
    """What contradicts an event, newest first, at most MOST_CONFLICTS."""
    query = _conflicts(pid).where(event_conflicts.c.event_id == event_id)
    rows = (await read.execute(query.order_by(event_conflicts.c.id.desc()).limit(MOST_CONFLICTS))).all()
    return await _came(read, pid, rows)


async def list_conflicts(read: AsyncConnection, pid: int, *, before: int | None, limit: int) -> Sequence[Conflict]:
    query = _conflicts(pid)
    if before is not None:
        query = query.where(event_conflicts.c.id < before)
    rows = (await read.execute(query.order_by(event_conflicts.c.id.desc()).limit(limit))).all()
    firsts = sorted({row.event_id for row in rows})
    found = (await read.execute(_columns().where(events.c.pid == pid, events.c.id.in_(firsts)))).all() if rows else ()
    kept = {one.id: one for one in await shown(read, pid, found)}
    came = await _came(read, pid, rows)
    return [Conflict(came=one, kept=kept.get(row.event_id)) for one, row in zip(came, rows, strict=True)]


async def customers_events(database: Database, pid: int, public_id: str) -> AsyncIterator[Sequence[Shown]]:
    """All that are his, newest first, piece by piece; what comes meanwhile may be among them or not."""
    before: Place | None = None
    while True:
        async with database.read() as read:
            found = await list_events(read, pid, Wanted(customer=public_id), before=before, limit=_PIECE)
        if found:
            yield found
        if len(found) < _PIECE:
            return
        before = (found[-1].at, found[-1].id)


async def _subjects(read: AsyncConnection, pid: int, wanted: Wanted) -> list[int] | None:
    """The numbers of the names that are wanted; None: any."""
    found: set[int] | None = None
    if wanted.customer:
        try:
            row = await one_customer(read, pid, wanted.customer)
        except NotFoundError:
            raise InvalidValueError("customer", "is the id of none of your customers") from None
        found = {one.id for one in await read.execute(subject_ids(pid, row.id))}
    if wanted.subject:
        named = set(await _names(read, pid, "subject", wanted.subject))
        found = named if found is None else found & named
    return None if found is None else sorted(found)


async def _names(read: AsyncConnection, pid: int, kind: str, text: str) -> list[int]:
    query = sa.select(usage_names.c.id).where(
        usage_names.c.pid == pid, usage_names.c.text == text, usage_names.c.kind == kind
    )
    return list((await read.execute(query)).scalars())


async def number_of(read: AsyncConnection, pid: int, transaction_id: str) -> int | None:
    """Also of an event that does not count any more. None: none is known by that name."""
    if wrong_subject(transaction_id) is not None:
        return None  # no event could be called that
    query = sa.select(event_ids.c.event_id).where(
        event_ids.c.pid == pid, event_ids.c.id_hash == hash_of(transaction_id)
    )
    found: int | None = (await read.execute(query)).scalar()
    return found


def _columns() -> sa.Select[Any]:
    return sa.select(
        events.c.id,
        events.c.received_at,
        events.c.at,
        events.c.type_id,
        events.c.subject_id,
        events.c.transaction_id,
        events.c.properties,
    )


def _bounded(pid: int, wanted: Wanted, types: list[int] | None, before: Place | None) -> sa.Select[Any]:
    query = _columns().where(events.c.pid == pid)
    if types is not None:
        query = query.where(events.c.type_id == types[0])
    if wanted.id:
        named, end = events.c.transaction_id, f"#{wanted.id}"
        ends = sa.func.substr(named, sa.func.length(named) - len(end) + 1) == end
        query = query.where(sa.or_(named == wanted.id, ends))
    if wanted.from_at is not None:
        query = query.where(events.c.at >= wanted.from_at)
    if wanted.to_at is not None:
        query = query.where(events.c.at < wanted.to_at)
    if before is not None:
        at, event_id = before
        query = query.where(events.c.at <= at, sa.or_(events.c.at < at, events.c.id < event_id))
    return query


def _conflicts(pid: int) -> sa.Select[Any]:
    return sa.select(event_conflicts).where(event_conflicts.c.pid == pid)


async def shown(read: AsyncConnection, pid: int, rows: Sequence[Any]) -> list[Shown]:
    """Rows that have an event's columns, with names in place of numbers."""
    numbers = {row.type_id for row in rows} | {row.subject_id for row in rows}
    query = sa.select(usage_names.c.id, usage_names.c.text).where(
        usage_names.c.pid == pid, usage_names.c.id.in_(sorted(numbers))
    )
    names: Mapping[int, str] = {one.id: one.text for one in (await read.execute(query)).all()} if rows else {}
    owners = await whose(read, pid, {names[row.subject_id] for row in rows})
    return [
        Shown(
            id=row.id,
            transaction_id=row.transaction_id,
            subject=names[row.subject_id],
            customer=owners.get(names[row.subject_id]),
            type=names[row.type_id],
            at=row.at,
            received_at=row.received_at,
            properties=row.properties,
        )
        for row in rows
    ]


async def _came(read: AsyncConnection, pid: int, rows: Sequence[Any]) -> list[Shown]:
    owners = await whose(read, pid, {row.subject for row in rows})
    return [
        Shown(
            id=row.id,
            transaction_id=row.transaction_id,
            subject=row.subject,
            customer=owners.get(row.subject),
            type=row.type,
            at=row.at,
            received_at=row.received_at,
            properties=row.properties,
        )
        for row in rows
    ]
