"""An archived day comes back into the database, for a while: its events can be looked for again, and nothing that it
came to changes, as its windows stay sealed. Put back twice it is there once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from heartfly.audit.record import Action, Actor
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.ids import IdSource
from heartfly.db.models import archive_erasures, archives, event_conflicts, event_ids, events
from heartfly.errors import NotFoundError, StoreError
from heartfly.usage.apply import hash_of, hold_events
from heartfly.usage.archive.erasures import hash_of_subject
from heartfly.usage.archive.files import rows_in
from heartfly.usage.archive.let_go import demand_whole
from heartfly.usage.archive.queries import folder_of, parts_of
from heartfly.usage.archive.row import Row
from heartfly.usage.audit import note
from heartfly.usage.names import name_ids

MOST = 50_000
"""Rows that are put back at once, before the caller is told how far it is."""
_PIECE = 200


@dataclass(slots=True)
class Restored:
    """`n`: rows of the day's files; `done`: those that were looked at by now. `back`: events that were not here."""

    n: int
    done: int = 0
    back: int = 0
    erased: int = 0

    @property
    def is_over(self) -> bool:
        return self.done >= self.n


@dataclass(frozen=True, slots=True)
class Looked:
    """A file of a day. `wrong`: why it is not as it was written; empty: it is."""

    part: Any
    wrong: str


async def verify(usage: Database, pid: int, day: date, folder: Path) -> list[Looked]:
    """NotFoundError: nothing of the day is archived."""
    async with usage.read() as read:
        parts = await parts_of(read, pid, day)
    return [Looked(part, await asyncio.to_thread(_wrong, folder_of(folder, pid) / part.file, part)) for part in parts]


def _wrong(path: Path, part: Any) -> str:
    try:
        demand_whole(path, part)
    except (StoreError, NotFoundError) as error:
        return str(error)
    return ""


async def restore(
    usage: Database,
    pid: int,
    day: date,
    folder: Path,
    *,
    after: int,
    stay: timedelta,
    actor: Actor,
    now: datetime,
    ids: IdSource,
) -> Restored:
    """Put up to MOST rows back, behind the first `after`; at 0 each file is looked at as a whole before. It stays for
    `stay` from now.

    NotFoundError: nothing of the day is archived, or a file is away. StoreError: a file is not as it was written, or
    was written anew meanwhile.
    """
    async with usage.read() as read:
        parts = await parts_of(read, pid, day)
    told = Restored(sum(part.n_events + part.n_conflicts for part in parts), done=after)
    if after == 0:
        for part in parts:
            await asyncio.to_thread(demand_whole, folder_of(folder, pid) / part.file, part)
        until = now + stay
        await usage.write(lambda tx: _begin(tx, pid, parts, until=until, actor=actor, at=now, ids=ids))
    rows = await asyncio.to_thread(_rows, folder_of(folder, pid), parts, after)
    for some in (rows[place : place + _PIECE] for place in range(0, len(rows), _PIECE)):
        back, erased = await usage.write(
            lambda tx, some=some: _put(tx, pid, parts, some, at=now, ids=ids),  # type: ignore[misc]
            priority=Priority.BULK,
        )
        told.back += back
        told.erased += erased
        told.done += len(some)
    return told


def _rows(folder: Path, parts: Sequence[Any], after: int) -> list[Row]:
    found: list[Row] = []
    before = 0
    for part in parts:
        n = part.n_events + part.n_conflicts
        if before + n > after and len(found) < MOST:
            rows = rows_in(folder / part.file, part.format)
            found += islice(rows, max(0, after - before), max(0, after - before) + MOST - len(found))
        before += n
    return found


def _begin(
    tx: Tx, pid: int, parts: Sequence[Any], *, until: datetime, actor: Actor, at: datetime, ids: IdSource
) -> None:
    """From now on nobody removes the day's events as archived, or as too old."""
    hold_events(tx, pid)
    a, day = archives.c, parts[0].day
    tx.conn.execute(sa.update(archives).where(a.pid == pid, a.day == day).values(restored_until=until))
    told = {"day": day.isoformat(), "n_events": sum(part.n_events for part in parts), "until": until.isoformat()}
    note(
        tx, pid, actor=actor, action=Action.USAGE_RESTORE, of=f"usage_day:{day}", before=None, after=told,
        at=at, ids=ids,
    )  # fmt: skip


def _put(
    tx: Tx, pid: int, parts: Sequence[Any], some: Sequence[Row], *, at: datetime, ids: IdSource
) -> tuple[int, int]:
    """How many events were not here, and how many rows stay away, as they were of somebody who was erased by now.

    Their hours are not marked: they are sealed, and stay what they are.
    """
    hold_events(tx, pid)
    _demand_same(tx, pid, parts)
    gone = _erased(tx, pid)
    rows = [row for row in some if hash_of_subject(pid, row.subject) not in gone]
    mine = [row for row in rows if row.against is None]
    types = name_ids(tx, pid, "type", {row.type for row in mine}, at=at, ids=ids)
    subjects = name_ids(tx, pid, "subject", {row.subject for row in mine}, at=at, ids=ids)
    here = sa.select(events.c.id).where(events.c.pid == pid, events.c.id.in_([row.id for row in mine]))
    known = set(tx.conn.execute(here).scalars())
    new = [row for row in mine if row.id not in known]
    if new:
        tx.conn.execute(sa.insert(events), [
            {"pid": pid, "id": row.id, "received_at": row.received_at, "at": row.at, "type_id": types[row.type],
             "subject_id": subjects[row.subject], "transaction_id": row.transaction_id, "properties": row.properties}
            for row in new
        ])  # fmt: skip
    named = [
        {"pid": pid, "id_hash": hash_of(row.transaction_id), "event_id": row.id,
         "fingerprint": bytes.fromhex(row.known_by)}
        for row in new if row.known_by
    ]  # fmt: skip
    if named:  # where another event has come under the name since, it keeps it
        tx.conn.execute(tx.insert(event_ids).on_conflict_do_nothing(), named)
    against = [
        {"pid": pid, "id": row.id, "event_id": row.against, "received_at": row.received_at, "at": row.at,
         "type": row.type, "subject": row.subject, "transaction_id": row.transaction_id, "properties": row.properties}
        for row in rows if row.against is not None
    ]  # fmt: skip
    if against:
        tx.conn.execute(tx.insert(event_conflicts).on_conflict_do_nothing(), against)
    return len(new), len(some) - len(rows)


def _demand_same(tx: Tx, pid: int, parts: Sequence[Any]) -> None:
    """StoreError: a file was written anew since it was read. Nothing tells any more who was erased from it."""
    a = archives.c
    query = sa.select(a.part, a.file).where(a.pid == pid, a.day == parts[0].day)
    now = {row.part: row.file for row in tx.conn.execute(query)}
    for part in parts:
        if now.get(part.part) != part.file:
            raise StoreError(f"{part.file} was written anew meanwhile; put the day back from its beginning")


def _erased(tx: Tx, pid: int) -> frozenset[bytes]:
    """The hashes of those who are not out of all files yet."""
    query = sa.select(archive_erasures.c.subject_hash).where(archive_erasures.c.pid == pid)
    return frozenset(bytes(one) for one in tx.conn.execute(query).scalars())
