"""Rows of requests and calls that are older than their tier is kept go: minutes first, then hours, the slow ones too.

Days stay for ever. An hour says that it was thinned before its rows go, so that whoever makes its day anew goes to the
events. Cut off at any point, it goes on when asked again: what is left is found by its rows. A day that is not proved
keeps its hours, as its proof adds them up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from heartfly.core.calls import Cube as CallCube
from heartfly.core.traffic import SHEETED, Cube
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.models import call_rollups, request_rollups, request_sheets, slow_requests, usage_days, windows
from heartfly.db.types import EPOCH
from heartfly.usage.request_rows import TIER_MINUTE, remove_some

_TIER_HOUR = "hour"
_HOUR = timedelta(hours=1)
_PROVED = ("final", "amended")


@dataclass(frozen=True, slots=True)
class Kept:
    """How long rows of these tiers are kept."""

    minutes: timedelta
    hours: timedelta


@dataclass(slots=True)
class Removed:
    """Rows. `held`: hours that are old enough, and whose day is not proved."""

    minutes: int = 0
    hours: int = 0
    slow: int = 0
    held: int = 0


async def remove_old_tiers(
    usage: Database, pid: int, *, kept: Kept, now: datetime, fence: Callable[[], Awaitable[None]]
) -> Removed:
    """`fence`: raises if it is not ours any more to go on; asked before each hour."""
    removed = Removed()
    before = _down(now - kept.minutes)
    for table in _CUBES:
        hour = EPOCH
        while (minute := await _first(usage, pid, (table, 0), TIER_MINUTE, from_at=hour, before=before)) is not None:
            await fence()
            hour = _down(minute)
            removed.minutes += await _all(usage, lambda tx, t=table, at=hour: _minutes(tx, pid, t, at))  # type: ignore[misc]
            hour += _HOUR
    before = _down(now - kept.hours)
    held: set[datetime] = set()
    for table, cubes in _CUBES.items():
        for cube in cubes:
            hour = EPOCH
            while (at := await _first(usage, pid, (table, cube), _TIER_HOUR, from_at=hour, before=before)) is not None:
                await fence()
                hour = at + _HOUR
                if await usage.write(lambda tx, at=at: _thin(tx, pid, at), priority=Priority.BULK):  # type: ignore[misc]
                    await _hour(usage, pid, at, removed)
                else:
                    held.add(at)
    removed.held = len(held)
    return removed


_CUBES: Mapping[sa.Table, Sequence[int]] = {
    request_rollups: [int(cube) for cube in Cube],
    call_rollups: [int(cube) for cube in CallCube],
}


async def _hour(usage: Database, pid: int, at: datetime, removed: Removed) -> None:
    """All that is kept of an hour that was thinned: its sheets first, as it is found by its rows."""
    await usage.write(lambda tx: _sheets(tx, pid, at), priority=Priority.BULK)
    for table, cubes in _CUBES.items():
        for cube in cubes:
            removed.hours += await _all(usage, lambda tx, t=table, one=cube: _rows(tx, pid, at, t, one))  # type: ignore[misc]
    removed.slow += await _all(usage, lambda tx: _slow(tx, pid, at))


async def _first(
    usage: Database, pid: int, of: tuple[sa.Table, int], tier: str, *, from_at: datetime, before: datetime
) -> datetime | None:
    """When the first window that has rows begins: a step down the key."""
    table, cube = of
    r = table.c
    of_cube = (r.pid == pid, r.cube == cube, r.tier == tier)
    query = sa.select(r.start_at).where(*of_cube, r.start_at >= from_at, r.start_at < before)
    async with usage.read() as read:
        found: datetime | None = (await read.execute(query.order_by(r.start_at).limit(1))).scalar()
    return found


def _minutes(tx: Tx, pid: int, table: sa.Table, hour: datetime) -> int:
    """All of an hour at once, as its proof adds them up."""
    r = table.c
    of_hour = (r.tier == TIER_MINUTE, r.start_at >= hour, r.start_at < hour + _HOUR)
    gone = sa.delete(table).where(r.pid == pid, r.cube == 0, *of_hour)  # of all together
    return tx.conn.execute(gone).rowcount


def _thin(tx: Tx, pid: int, hour: datetime) -> bool:
    """Say that the hour's rows go. False: its day is not proved, or somebody writes it."""
    of_day = (usage_days.c.pid == pid, usage_days.c.from_at < hour + _HOUR, usage_days.c.to_at > hour)
    states = list(tx.conn.execute(sa.select(usage_days.c.state).where(*of_day)).scalars())
    if not states or any(state not in _PROVED for state in states):
        return False
    w = windows.c
    is_it = (w.pid == pid, w.tier == _TIER_HOUR, w.start_at == hour, w.next_gen.is_(None))
    return tx.conn.execute(sa.update(windows).where(*is_it).values(thinned=True)).rowcount == 1


def _rows(tx: Tx, pid: int, hour: datetime, table: sa.Table, cube: int) -> int:
    if not _is_thinned(tx, pid, hour):
        return 0  # it was folded once more meanwhile
    r = table.c
    of_hour = (r.pid == pid, r.cube == cube, r.tier == _TIER_HOUR, r.start_at == hour)
    return remove_some(tx, table, of_hour, ("gen", "key1", "key2", "status"))


def _sheets(tx: Tx, pid: int, hour: datetime) -> None:
    if _is_thinned(tx, pid, hour):
        h = request_sheets.c
        of_hour = (h.cube.in_(list(map(int, SHEETED))), h.tier == _TIER_HOUR, h.start_at == hour)
        tx.conn.execute(sa.delete(request_sheets).where(h.pid == pid, *of_hour))


def _slow(tx: Tx, pid: int, hour: datetime) -> int:
    if not _is_thinned(tx, pid, hour):
        return 0
    s = slow_requests.c
    return remove_some(tx, slow_requests, (s.pid == pid, s.start_at == hour), ("gen", "event_id"))


def _is_thinned(tx: Tx, pid: int, hour: datetime) -> bool:
    w = windows.c
    query = sa.select(w.thinned).where(w.pid == pid, w.tier == _TIER_HOUR, w.start_at == hour, w.next_gen.is_(None))
    if tx.on_postgres:
        query = query.with_for_update(read=True)  # nobody begins to fold it until this ends
    return bool(tx.conn.execute(query).scalar())


async def _all(usage: Database, piece: Callable[[Tx], int]) -> int:
    """Until a piece finds nothing any more."""
    n = 0
    while removed := await usage.write(piece, priority=Priority.BULK):
        n += removed
    return n


def _down(at: datetime) -> datetime:
    return at - (at - EPOCH) % _HOUR
