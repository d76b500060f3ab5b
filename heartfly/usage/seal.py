"""What is older than events are kept: its days are sealed, and then its events go. What they came to stays for ever.

A day of the project is sealed whole, at once, and only when it was proved: its windows are never folded again, so that
nothing that happens later can make less of them. A day that waits to be folded or closed, or does not agree with its
events, is held back with them, however old. Cut off at any point, it goes on when asked again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.days import Day, day_in, day_of
from heartfly.core.windows import HOUR
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.ids import first_id
from heartfly.db.models import (
    backfill_events,
    dead_letters,
    dirty_hours,
    event_conflicts,
    event_corrections,
    event_ids,
    events,
    intake,
    usage_days,
    windows,
)
from heartfly.db.types import EPOCH
from heartfly.errors import InvalidValueError
from heartfly.usage.apply import hash_of, hold_events
from heartfly.usage.fold import TIER_DAY, TIER_HOUR
from heartfly.usage.sources import forget_silent

PIECE = 200
"""Events in one transaction: each lies in three tables at places far apart."""
MARGIN = timedelta(hours=1)
"""What was taken just before it was too old may still wait for its commit."""
_SETTLED = ("final", "amended")
_MOMENT = timedelta(microseconds=1)


@dataclass(slots=True)
class Gone:
    """`held`: days that are old enough, and were not sealed."""

    events: int = 0
    letters: int = 0
    intake: int = 0
    sealed: int = 0
    held: int = 0


async def remove_old(
    usage: Database,
    pid: int,
    zone: ZoneInfo,
    *,
    keep: timedelta,
    now: datetime,
    fence: Callable[[], Awaitable[None]],
    spared: Callable[[Day], Awaitable[bool]] | None = None,
) -> Gone:
    """`fence`: raises if it is not ours any more to go on; asked before each day. `spared`: whether one is to stay."""
    before, gone = now - keep - MARGIN, Gone()
    kept = day_of(zone, before)
    """The earliest day that is not over yet at that instant."""
    after = EPOCH
    while (hour := await _next_hour(usage, pid, after)) is not None:
        span = day_in(zone, day_of(zone, hour + HOUR - _MOMENT))
        if span.date >= kept:
            break
        await fence()
        after = _down(span.to_at)
        if spared is not None and await spared(span):
            gone.held += 1
            continue
        n = await usage.write(lambda tx, span=span: seal(tx, pid, span, now=now), priority=Priority.BULK)  # type: ignore[misc]
        gone.held += n is None
        gone.sealed += bool(n)
        if n is not None:
            gone.events += await _all(usage, lambda tx, span=span: _events(tx, pid, span))  # type: ignore[misc]
    await fence()
    gone.letters = await _all(usage, lambda tx: _letters(tx, pid, before))
    await usage.write(lambda tx: forget_silent(tx, pid, now), priority=Priority.BULK)
    gone.intake = await _all(usage, lambda tx: _intake(tx, pid, before))
    await _all(usage, lambda tx: _corrections(tx, pid, before))
    await _all(usage, lambda tx: _sent_into_sets(tx, pid, before))
    last: int | None = 0
    while last is not None:
        last = await usage.write(lambda tx, last=last: _against_nothing(tx, pid, before, last), priority=Priority.BULK)  # type: ignore[misc]
    return gone


async def _next_hour(usage: Database, pid: int, after: datetime) -> datetime | None:
    """The first hour from that one on in which there are events."""
    query = sa.select(events.c.at).where(events.c.pid == pid, events.c.at >= after)
    async with usage.read() as read:
        at = (await read.execute(query.order_by(events.c.at).limit(1))).scalar()
    return None if at is None else _down(at)


def sealed_with_events(connection: sa.Connection, pid: int) -> Sequence[datetime]:
    """Hours that are sealed, and whose events are still there, or some of an earlier hour: their removal goes on."""
    first = sa.select(events.c.at).where(events.c.pid == pid).order_by(events.c.at).limit(1)
    at = connection.execute(first).scalar()
    w = windows.c
    sealed = sa.select(w.start_at).where(w.pid == pid, w.tier == TIER_HOUR, w.sealed_at.is_not(None))
    return [] if at is None else connection.execute(sealed.where(w.start_at >= _down(at))).scalars().all()


def seal(tx: Tx, pid: int, span: Day, *, now: datetime) -> int | None:
    """The hours that end within a day, and all days that they have a part in. How many windows; None: it is held back.

    Where days cut an hour in half, the rest of this day lies in an hour that is the next day's.
    """
    hold_events(tx, pid)  # an event that is being written has marked its hour by the time we look
    first, end = _down(span.from_at), _down(span.to_at)
    of_days = (usage_days.c.pid == pid, usage_days.c.from_at < end, usage_days.c.to_at > first)
    days = tx.conn.execute(sa.select(usage_days.c.day, usage_days.c.state).where(*of_days)).all()
    if any(row.state not in _SETTLED for row in days) or span.date not in {row.day for row in days}:
        return None
    marks = (dirty_hours.c.pid == pid, dirty_hours.c.hour >= first, dirty_hours.c.hour < end)
    if tx.conn.execute(sa.select(dirty_hours.c.hour).where(*marks).limit(1)).first() is not None:
        return None
    hours = sa.and_(windows.c.tier == TIER_HOUR, windows.c.start_at >= first, windows.c.start_at < end)
    whole = sa.and_(windows.c.tier == TIER_DAY, windows.c.start_at < end, windows.c.end_at > first)
    concerned = (windows.c.pid == pid, sa.or_(hours, whole), windows.c.sealed_at.is_(None))
    unfinished = sa.or_(windows.c.gen.is_(None), windows.c.stale)
    if tx.conn.execute(sa.select(windows.c.pid).where(*concerned, unfinished).limit(1)).first() is not None:
        return None
    # Whoever writes a generation at this moment is fenced off, as he is from any that another one has begun.
    return tx.conn.execute(sa.update(windows).where(*concerned).values(sealed_at=now, next_gen=None)).rowcount


def _events(tx: Tx, pid: int, span: Day) -> int:
    """Some of a day that is sealed."""
    from_at, to_at = hours_of(span)
    query = sa.select(events.c.id, events.c.transaction_id).where(
        events.c.pid == pid, events.c.at >= from_at, events.c.at < to_at
    )
    return remove_events(tx, pid, tx.conn.execute(query.limit(PIECE)).all())


def hours_of(span: Day) -> tuple[datetime, datetime]:
    """What is sealed with a day: the hours that end within it."""
    return _down(span.from_at), _down(span.to_at)


def remove_events(tx: Tx, pid: int, found: Sequence[Any]) -> int:
    """With what contradicted them and what they are known by. How many. `found`: their ids and transaction ids."""
    numbers = [row.id for row in found]
    if not numbers:
        return 0
    hashes = [hash_of(row.transaction_id) for row in found]
    known = (event_ids.c.pid == pid, event_ids.c.id_hash.in_(hashes), event_ids.c.event_id.in_(numbers))
    tx.conn.execute(sa.delete(event_ids).where(*known))
    against = (event_conflicts.c.pid == pid, event_conflicts.c.event_id.in_(numbers))
    tx.conn.execute(sa.delete(event_conflicts).where(*against))
    tx.conn.execute(sa.delete(events).where(events.c.pid == pid, events.c.id.in_(numbers)))
    return len(numbers)


def _letters(tx: Tx, pid: int, before: datetime) -> int:
    old = sa.select(dead_letters.c.id).where(dead_letters.c.pid == pid, dead_letters.c.id < first_id(before))
    some = old.order_by(dead_letters.c.id).limit(PIECE)
    return tx.conn.execute(
        sa.delete(dead_letters).where(dead_letters.c.pid == pid, dead_letters.c.id.in_(some))
    ).rowcount


def _intake(tx: Tx, pid: int, before: datetime) -> int:
    old = sa.select(intake.c.hour).where(intake.c.pid == pid, intake.c.hour < _down(before))
    some = old.order_by(intake.c.hour).limit(PIECE)
    return tx.conn.execute(sa.delete(intake).where(intake.c.pid == pid, intake.c.hour.in_(some))).rowcount


def _corrections(tx: Tx, pid: int, before: datetime) -> int:
    """What events were that happened then; and where nothing counts in their place, what they are known by."""
    hold_events(tx, pid)
    c = event_corrections.c
    old = sa.select(c.event_id, c.id, c.transaction_id).where(c.pid == pid, c.at < _down(before))
    found = tx.conn.execute(old.order_by(c.at).limit(PIECE)).all()
    numbers = {row.event_id for row in found}
    query = sa.select(events.c.id).where(events.c.pid == pid, events.c.id.in_(numbers))
    younger = sa.select(c.event_id).where(c.pid == pid, c.event_id.in_(numbers), c.at >= _down(before))
    left = numbers - {*tx.conn.execute(query).scalars(), *tx.conn.execute(younger).scalars()}
    hashes = [hash_of(row.transaction_id) for row in found if row.event_id in left]
    known = (event_ids.c.pid == pid, event_ids.c.id_hash.in_(hashes), event_ids.c.event_id.in_(left))
    tx.conn.execute(sa.delete(event_ids).where(*known))
    against = (event_conflicts.c.pid == pid, event_conflicts.c.event_id.in_(left))
    tx.conn.execute(sa.delete(event_conflicts).where(*against))
    for row in found:
        tx.conn.execute(sa.delete(event_corrections).where(c.pid == pid, c.event_id == row.event_id, c.id == row.id))
    return len(found)


def _sent_into_sets(tx: Tx, pid: int, before: datetime) -> int:
    """Of sets that were reverted with what contradicted their events, which are nowhere else."""
    hold_events(tx, pid)
    b = backfill_events.c
    old = sa.select(b.backfill_id, b.id, b.event_id).where(b.pid == pid, b.at < _down(before)).order_by(b.at)
    found = tx.conn.execute(old.limit(PIECE)).all()
    forget_conflicts(tx, pid, {row.event_id for row in found} - {None})
    for row in found:
        tx.conn.execute(
            sa.delete(backfill_events).where(b.pid == pid, b.backfill_id == row.backfill_id, b.id == row.id)
        )
    return len(found)


def _against_nothing(tx: Tx, pid: int, before: datetime, after: int) -> int | None:
    """What came then and contradicts events that are nowhere: those of a customer who was erased are known for ever.

    Up to which one it has looked; None: there are no more.
    """
    hold_events(tx, pid)
    c = event_conflicts.c
    old = sa.select(c.id, c.event_id).where(c.pid == pid, c.id > after, c.id < first_id(before))
    found = tx.conn.execute(old.order_by(c.id).limit(PIECE)).all()
    forget_conflicts(tx, pid, {row.event_id for row in found})
    return found[-1].id if found else None


def forget_conflicts(tx: Tx, pid: int, numbers: Collection[int]) -> None:
    """What contradicted those of these events that are nowhere any more."""
    if not numbers:
        return
    c = event_corrections.c
    left = set(numbers).difference(
        tx.conn.execute(sa.select(events.c.id).where(events.c.pid == pid, events.c.id.in_(numbers))).scalars(),
        tx.conn.execute(sa.select(c.event_id).where(c.pid == pid, c.event_id.in_(numbers))).scalars(),
    )
    against = (event_conflicts.c.pid == pid, event_conflicts.c.event_id.in_(left))
    tx.conn.execute(sa.delete(event_conflicts).where(*against))


async def _all(usage: Database, piece: Callable[[Tx], int]) -> int:
    """Until a piece finds nothing any more."""
    n = 0
    while removed := await usage.write(piece, priority=Priority.BULK):
        n += removed
    return n


def _down(at: datetime) -> datetime:
    return at - (at - EPOCH) % HOUR


# --- for others


def newest_sealed(pid: int) -> sa.Select[Any]:
    """When the newest sealed hour ends: what happened from then on is kept, and can be worked out anew."""
    of_hours = (windows.c.pid == pid, windows.c.tier == TIER_HOUR, windows.c.sealed_at.is_not(None))
    return sa.select(windows.c.end_at).where(*of_hours).order_by(windows.c.start_at.desc()).limit(1)


async def has_sealed(read: AsyncConnection, pid: int, from_at: datetime, to_at: datetime) -> bool:
    """Whether an hour with a part in [from_at, to_at) is sealed."""
    of_hours = (windows.c.pid == pid, windows.c.tier == TIER_HOUR, windows.c.sealed_at.is_not(None))
    within = (windows.c.start_at > from_at - HOUR, windows.c.start_at < to_at)
    return (await read.execute(sa.select(windows.c.start_at).where(*of_hours, *within).limit(1))).first() is not None


async def sealed_hours(read: AsyncConnection, pid: int, from_at: datetime, to_at: datetime) -> frozenset[datetime]:
    """Of those that begin in [from_at, to_at)."""
    of_hours = (windows.c.pid == pid, windows.c.tier == TIER_HOUR, windows.c.sealed_at.is_not(None))
    within = (windows.c.start_at >= from_at, windows.c.start_at < to_at)
    return frozenset((await read.execute(sa.select(windows.c.start_at).where(*of_hours, *within))).scalars())


async def demand_events(read: AsyncConnection, pid: int, from_at: datetime, to_at: datetime) -> None:
    """InvalidValueError: single events of [from_at, to_at) are not kept any more."""
    if await has_sealed(read, pid, from_at, to_at):
        raise InvalidValueError(
            "from",
            "is in a time of which single events are not kept any more, as windows of minutes and those that begin "
            "within an hour of UTC need them: ask for whole hours of UTC there, or for a later time",
        )
