"""Days that are old enough go into files, and then out of the database. Cut off at any point, it goes on when asked
again.

A day goes only when it is sealed, as pruning seals it (usage/seal.py): what it came to stays as it is. Its events are
removed one by one as the file has them, and only once the file was on the disk and was read back from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.days import Day, day_in, day_of
from heartfly.core.windows import HOUR
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.models import archives, events, usage_names
from heartfly.db.types import EPOCH
from heartfly.errors import HeartflyError, NotFoundError, StoreError
from heartfly.usage.apply import hold_events
from heartfly.usage.archive.files import Format, Written, is_ours, look_at, name_of, rows_in, shown
from heartfly.usage.archive.pages import write_day
from heartfly.usage.archive.queries import folder_of
from heartfly.usage.seal import MARGIN, PIECE, hours_of, remove_events, seal

CALL = "api.call"
_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """`after`: how old what goes is. `calls_only`: events `api.call` alone."""

    folder: Path
    format: Format
    after: timedelta
    calls_only: bool


@dataclass(slots=True)
class Let:
    """What a run came to. `held`: days that are old enough, and could not be sealed. `left`: there was no time for."""

    days: int = 0
    events: int = 0
    conflicts: int = 0
    n_bytes: int = 0
    gone: int = 0
    held: int = 0
    left: int = 0
    wrong: list[str] = field(default_factory=list)


async def archive_old(
    usage: Database,
    pid: int,
    zone: ZoneInfo,
    rules: Rules,
    *,
    now: datetime,
    fence: Callable[[], Awaitable[None]],
    has_time: Callable[[], bool],
) -> Let:
    """`fence`: raises if it is not ours any more to go on; asked before each day and each piece of one.

    One day that cannot be archived holds up none after it: `wrong` says why.
    """
    told, stuck = Let(), set[date]()
    for day in await _begun(usage, pid, now=now):
        if not has_time():
            told.left += 1
            continue
        await fence()
        if not await _told_of(told, day, _finish(usage, pid, day, rules, now=now, fence=fence, told=told)):
            stuck.add(day)  # what is left of it is in a file that somebody has to look at first
    after, kept = EPOCH, day_of(zone, now - rules.after - MARGIN)
    while (hour := await _next_hour(usage, pid, after)) is not None:
        span = day_in(zone, day_of(zone, hour + HOUR - _MOMENT))
        if span.date >= kept:
            break
        after = hours_of(span)[1]
        if span.date in stuck or await _is_done(usage, pid, span.date, rules):
            continue
        if not has_time():
            told.left += 1
            continue
        await fence()
        await _told_of(told, span.date, _archive(usage, pid, span, rules, now=now, fence=fence, told=told))
    return told


async def _told_of(told: Let, day: date, work: Awaitable[None]) -> bool:
    """Whether it went well."""
    try:
        await work
    except (StoreError, NotFoundError, OSError) as error:
        told.wrong.append(f"{day}: {_why(error)}")
        return False
    return True


def _why(error: Exception) -> str:
    if isinstance(error, HeartflyError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'the archive'}: {error.strerror}"
    return str(error)


# --- which days


async def _begun(usage: Database, pid: int, *, now: datetime) -> list[date]:
    """Days with a file whose events are here: a run was cut off, or somebody had put them back, and time is over."""
    a = archives.c
    here = sa.or_(a.let_go_at.is_(None), a.restored_until <= now)
    query = sa.select(a.day).where(a.pid == pid, a.part > 0, here).distinct().order_by(a.day)
    async with usage.read() as read:
        return list((await read.execute(query)).scalars())


async def _next_hour(usage: Database, pid: int, after: datetime) -> datetime | None:
    """The first hour from that one on in which there are events."""
    query = sa.select(events.c.at).where(events.c.pid == pid, events.c.at >= after)
    async with usage.read() as read:
        at = (await read.execute(query.order_by(events.c.at).limit(1))).scalar()
    return None if at is None else at - (at - EPOCH) % HOUR


async def _is_done(usage: Database, pid: int, day: date, rules: Rules) -> bool:
    """It was put back for a while; or what is left of it was looked at, and is of other types."""
    a = archives.c
    async with usage.read() as read:
        of_day = (a.pid == pid, a.day == day, sa.not_(_BEGUN))
        rows = (await read.execute(sa.select(a.restored_until).where(*of_day))).all()
    return any(row.restored_until is not None for row in rows) or (rules.calls_only and bool(rows))


# --- one day


async def _archive(
    usage: Database,
    pid: int,
    span: Day,
    rules: Rules,
    *,
    now: datetime,
    fence: Callable[[], Awaitable[None]],
    told: Let,
) -> None:
    sealed = await usage.write(lambda tx: seal(tx, pid, span, now=now), priority=Priority.BULK)
    if sealed is None:
        told.held += 1
        return
    folder = folder_of(rules.folder, pid)
    await usage.write(lambda tx: _begin(tx, pid, span, rules, now=now), priority=Priority.BULK)
    async with usage.read() as read:
        type_id = await _type_id(read, pid) if rules.calls_only else None
        part = await _next_part(read, pid, span.date)
    if rules.calls_only and type_id is None:
        written = None
    else:
        written = await write_day(
            usage, pid, span, folder / name_of(span.date, part, rules.format), rules.format, type_id=type_id
        )
    row = _row(pid, span, part if written is not None else 0, rules, written, now=now)
    await fence()  # another run may have written it meanwhile; then ours is a file that no row names
    await usage.write(lambda tx: _name(tx, pid, span.date, row), priority=Priority.BULK)
    if written is None:
        return
    told.days += 1
    told.events += written.figures.n_events
    told.conflicts += written.figures.n_conflicts
    told.n_bytes += written.n_bytes
    await _finish(usage, pid, span.date, rules, now=now, fence=fence, told=told)


_BEGUN = sa.and_(archives.c.part == 0, archives.c.let_go_at.is_(None))
"""A row that stands for a file that is being written, or was when a run was cut off."""


def _begin(tx: Tx, pid: int, span: Day, rules: Rules, *, now: datetime) -> None:
    """Before the first event is read for a file: who is erased from now on is noted (erasures.py), and goes from it."""
    hold_events(tx, pid)
    row = {**_row(pid, span, 0, rules, None, now=now), "let_go_at": None}
    tx.conn.execute(tx.insert(archives).on_conflict_do_nothing(index_elements=["pid", "day", "part"]), [row])


def _name(tx: Tx, pid: int, day: date, row: Mapping[str, Any]) -> None:
    """The file is there, and takes the place of what stood for it."""
    tx.conn.execute(sa.delete(archives).where(archives.c.pid == pid, archives.c.day == day, _BEGUN))
    tx.conn.execute(sa.insert(archives).values(row))


async def _type_id(read: AsyncConnection, pid: int) -> int | None:
    query = sa.select(usage_names.c.id).where(
        usage_names.c.pid == pid, usage_names.c.kind == "type", usage_names.c.text == CALL
    )
    found: int | None = (await read.execute(query)).scalar()
    return found


async def _next_part(read: AsyncConnection, pid: int, day: date) -> int:
    of_day = (archives.c.pid == pid, archives.c.day == day)
    return 1 + int((await read.execute(sa.select(sa.func.max(archives.c.part)).where(*of_day))).scalar() or 0)


def _row(pid: int, span: Day, part: int, rules: Rules, written: Written | None, *, now: datetime) -> Mapping[str, Any]:
    figures = None if written is None else written.figures
    return {
        "pid": pid,
        "day": span.date,
        "part": part,
        "file": "" if written is None else written.name,
        "format": rules.format,
        "from_at": span.from_at,
        "to_at": span.to_at,
        "n_events": 0 if figures is None else figures.n_events,
        "n_conflicts": 0 if figures is None else figures.n_conflicts,
        "n_bytes": 0 if written is None else written.n_bytes,
        "sums": {} if figures is None else figures.sums(),
        "fingerprint": b"" if figures is None else figures.fingerprint,
        "checksum": b"" if written is None else written.checksum,
        "written_at": now,
        "let_go_at": now if written is None else None,
    }


# --- out of the database


async def _finish(
    usage: Database,
    pid: int,
    day: date,
    rules: Rules,
    *,
    now: datetime,
    fence: Callable[[], Awaitable[None]],
    told: Let,
) -> None:
    """Each file of the day is looked at once more; then what is in it goes. StoreError: one is not as written."""
    a = archives.c
    here = sa.or_(a.let_go_at.is_(None), a.restored_until <= now)
    async with usage.read() as read:
        of_day = (a.pid == pid, a.day == day, a.part > 0)
        parts = (await read.execute(sa.select(archives).where(*of_day, here).order_by(a.part))).all()
    for part in parts:
        path = folder_of(rules.folder, pid) / part.file
        await asyncio.to_thread(demand_whole, path, part)
        numbers = await asyncio.to_thread(_numbers, path, part.format)
        for some in (numbers[place : place + PIECE] for place in range(0, len(numbers), PIECE)):
            await fence()
            told.gone += await usage.write(
                lambda tx, some=some, part=part: _remove(tx, pid, part, some, now=now),  # type: ignore[misc]
                priority=Priority.BULK,
            )
        await usage.write(lambda tx, part=part: _is_gone(tx, part, now=now), priority=Priority.BULK)  # type: ignore[misc]


def demand_whole(path: Path, part: Any) -> None:
    """NotFoundError; StoreError: the file is not what was written, of which `part` is the row."""
    found = look_at(path, part.format)
    if found.checksum != bytes(part.checksum) or found.figures.fingerprint != bytes(part.fingerprint):
        raise StoreError(f"{shown(path)} is not as it was written: its checksum is another")
    if (found.figures.n_events, found.figures.n_conflicts) != (part.n_events, part.n_conflicts):
        raise StoreError(f"{shown(path)} is not as it was written: it holds {found.figures.n_events} events")


def _numbers(path: Path, format_: Format) -> list[int]:
    return [row.id for row in rows_in(path, format_) if row.against is None]


def _remove(tx: Tx, pid: int, part: Any, numbers: Sequence[int], *, now: datetime) -> int:
    """Unless somebody puts the day back at this moment."""
    hold_events(tx, pid)
    a = archives.c
    row = tx.conn.execute(
        sa.select(a.restored_until).where(a.pid == pid, a.day == part.day, a.part == part.part)
    ).first()
    if row is None or (row.restored_until is not None and row.restored_until > now):
        return 0
    query = sa.select(events.c.id, events.c.transaction_id).where(events.c.pid == pid, events.c.id.in_(numbers))
    return remove_events(tx, pid, tx.conn.execute(query).all())


def _is_gone(tx: Tx, part: Any, *, now: datetime) -> None:
    a = archives.c
    this = (a.pid == part.pid, a.day == part.day, a.part == part.part)
    still = sa.or_(a.restored_until.is_(None), a.restored_until <= now)
    tx.conn.execute(sa.update(archives).where(*this, still).values(let_go_at=now, restored_until=None))


# --- what a crash leaves


async def remove_strays(usage: Database, pid: int, rules: Rules) -> int:
    """Files of ours that no row names. How many. What stood for them goes with them."""
    async with usage.read() as read:
        named = set((await read.execute(sa.select(archives.c.file).where(archives.c.pid == pid))).scalars())
    n = await asyncio.to_thread(lambda: sum(map(_unlink, _strays(folder_of(rules.folder, pid), named))))
    if "" in named:
        await usage.write(lambda tx: tx.conn.execute(sa.delete(archives).where(archives.c.pid == pid, _BEGUN)))
    return n


def _strays(folder: Path, named: set[str]) -> Iterator[Path]:
    if folder.is_dir():
        yield from [path for path in folder.iterdir() if is_ours(path.name) and path.name not in named]


def _unlink(path: Path) -> int:
    path.unlink(missing_ok=True)
    return 1
