"""Customers who were erased go from files, too: from then on none of their events is put back, and each file that holds
any is written anew by the next run of the job.

Of who they were a hash is kept until then, and nothing of it after.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.ids import IdSource
from heartfly.db.models import archive_erasures, archives
from heartfly.usage.apply import hold_events
from heartfly.usage.archive.files import Writing, Written, name_of, rows_in
from heartfly.usage.archive.let_go import Rules, demand_whole
from heartfly.usage.archive.queries import folder_of

_AT_ONCE = 2_000


def note_erased(tx: Tx, pid: int, subjects: Iterable[str], *, at: datetime, ids: IdSource) -> None:
    """Before the first of his events goes, so that none is put back; and with the last, for what went into a file until
    then. Nothing is noted where nothing is archived.
    """
    hold_events(tx, pid)  # a file that is begun is either noted before this looks, or finds none of his events
    if tx.conn.execute(sa.select(archives.c.day).where(archives.c.pid == pid).limit(1)).first() is None:
        return
    e = archive_erasures.c
    known = {bytes(one) for one in tx.conn.execute(sa.select(e.subject_hash).where(e.pid == pid)).scalars()}
    rows = [
        {"pid": pid, "id": ids.next(at), "subject_hash": hashed, "at": at}
        for hashed in sorted({hash_of_subject(pid, text) for text in subjects} - known)
    ]
    if rows:
        tx.conn.execute(sa.insert(archive_erasures), rows)


def hash_of_subject(pid: int, text: str) -> bytes:
    return hashlib.blake2b(f"{pid}\0{text}".encode(), digest_size=16).digest()


async def rewrite(usage: Database, pid: int, rules: Rules, *, fence: Callable[[], Awaitable[None]]) -> int:
    """Write each file anew that holds somebody who was erased. How many. StoreError: one cannot be read."""
    async with usage.read() as read:
        e, a = archive_erasures.c, archives.c
        noted = (await read.execute(sa.select(e.id, e.subject_hash).where(e.pid == pid))).all()
        query = sa.select(archives).where(a.pid == pid, a.part > 0).order_by(a.day, a.part)
        parts = (await read.execute(query)).all() if noted else ()
    if not noted:
        return 0
    gone, n = frozenset(bytes(one.subject_hash) for one in noted), 0
    for part in parts:
        await fence()
        folder = folder_of(rules.folder, pid)
        written = await asyncio.to_thread(_without, folder, part, gone)
        if written is not None:
            await usage.write(lambda tx, part=part, written=written: _replaced(tx, part, written))  # type: ignore[misc]
            await asyncio.to_thread((folder / part.file).unlink, missing_ok=True)
            n += 1
    numbers = [one.id for one in noted]
    await usage.write(
        lambda tx: tx.conn.execute(sa.delete(archive_erasures).where(e.pid == pid, e.id.in_(numbers))),
        priority=Priority.BULK,
    )
    return n


def _without(folder: Path, part: Any, gone: frozenset[bytes]) -> Written | None:
    """None: nobody of them is in it."""
    path = folder / part.file
    demand_whole(path, part)
    if not any(hash_of_subject(part.pid, row.subject) in gone for row in rows_in(path, part.format)):
        return None
    writing = Writing(folder, _next_name(part), part.format)
    try:
        some = []
        for row in rows_in(path, part.format):
            if hash_of_subject(part.pid, row.subject) in gone:
                continue
            some.append(row)
            if len(some) == _AT_ONCE:
                writing.add(some)
                some = []
        writing.add(some)
        return writing.finish()
    except BaseException:
        writing.give_up()
        raise


def _next_name(part: Any) -> str:
    words: Sequence[str] = part.file.removeprefix(f"{part.day.isoformat()}.{part.part}.").split(".")
    revision = int(words[0]) if words[0].isdecimal() else 0
    return name_of(part.day, part.part, part.format, revision + 1)


def _replaced(tx: Tx, part: Any, written: Written) -> None:
    a = archives.c
    tx.conn.execute(
        sa.update(archives)
        .where(a.pid == part.pid, a.day == part.day, a.part == part.part)
        .values(
            file=written.name,
            n_events=written.figures.n_events,
            n_conflicts=written.figures.n_conflicts,
            n_bytes=written.n_bytes,
            sums=written.figures.sums(),
            fingerprint=written.figures.fingerprint,
            checksum=written.checksum,
        )
    )
