"""A day's events out of the database, page by page, into a file: each with what contradicted it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.days import Day
from heartfly.db.database import Database
from heartfly.db.models import event_conflicts, event_ids, events, usage_names
from heartfly.usage.apply import hash_of
from heartfly.usage.archive.files import Format, Writing, Written
from heartfly.usage.archive.row import Row
from heartfly.usage.seal import hours_of

_PAGE = 2_000


async def write_day(
    usage: Database, pid: int, span: Day, path: Path, format_: Format, *, type_id: int | None
) -> Written | None:
    """`type_id`: of that type alone. None: there is nothing to be written."""
    from_at, to_at = hours_of(span)
    names: dict[int, str] = {}
    writing: Writing | None = None
    at = (from_at, 0)
    try:
        while True:
            async with usage.read() as read:
                found, rows = await _page(read, pid, at, to_at, type_id=type_id, names=names)
            if rows:
                if writing is None:
                    writing = await asyncio.to_thread(Writing, path.parent, path.name, format_)
                await asyncio.to_thread(writing.add, rows)
            if len(found) < _PAGE:
                break
            at = (found[-1].at, found[-1].id)
        written = None if writing is None else await asyncio.to_thread(writing.finish)
    except BaseException:
        if writing is not None:
            await asyncio.to_thread(writing.give_up)
        raise
    return written


async def _page(
    read: AsyncConnection,
    pid: int,
    after: tuple[datetime, int],
    to_at: datetime,
    *,
    type_id: int | None,
    names: dict[int, str],
) -> tuple[Sequence[Any], list[Row]]:  # fmt: skip
    """Events behind `after` in the order of their times, each followed by what contradicted it."""
    at, number = after
    behind = sa.or_(events.c.at > at, sa.and_(events.c.at == at, events.c.id > number))
    query = sa.select(events).where(events.c.pid == pid, events.c.at >= at, events.c.at < to_at, behind)
    if type_id is not None:
        query = query.where(events.c.type_id == type_id)
    found = (await read.execute(query.order_by(events.c.at, events.c.id).limit(_PAGE))).all()
    if not found:
        return found, []
    missing = ({one.type_id for one in found} | {one.subject_id for one in found}) - names.keys()
    of_numbers = (usage_names.c.pid == pid, usage_names.c.id.in_(sorted(missing)))
    named = sa.select(usage_names.c.id, usage_names.c.text).where(*of_numbers)
    names |= {one.id: one.text for one in await read.execute(named)} if missing else {}
    numbers = [one.id for one in found]
    known = sa.select(event_ids.c.event_id, event_ids.c.fingerprint).where(
        event_ids.c.pid == pid,
        event_ids.c.id_hash.in_([hash_of(one.transaction_id) for one in found]),
        event_ids.c.event_id.in_(numbers),
    )
    known_by = {one.event_id: bytes(one.fingerprint).hex() for one in await read.execute(known)}
    against: dict[int, list[Row]] = {}
    of_events = (event_conflicts.c.pid == pid, event_conflicts.c.event_id.in_(numbers))
    for one in await read.execute(sa.select(event_conflicts).where(*of_events).order_by(event_conflicts.c.id)):
        against.setdefault(one.event_id, []).append(
            Row(one.id, one.event_id, one.received_at, one.at, one.type, one.subject, one.transaction_id,
                one.properties, "")
        )  # fmt: skip
    rows: list[Row] = []
    for one in found:
        rows.append(
            Row(one.id, None, one.received_at, one.at, names[one.type_id], names[one.subject_id], one.transaction_id,
                one.properties, known_by.get(one.id, ""))
        )  # fmt: skip
        rows += against.get(one.id, ())
    return found, rows
