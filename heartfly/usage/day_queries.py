"""Reads about days of usage, each bound to one project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.windows import HOUR
from heartfly.db.models import dirty_hours, meters, proofs, usage_days


async def list_days(
    read: AsyncConnection, pid: int, *, from_day: date | None, to_day: date | None, limit: int
) -> Sequence[Any]:
    """Newest first. `to_day`: before it."""
    query = sa.select(usage_days).where(usage_days.c.pid == pid)
    if from_day is not None:
        query = query.where(usage_days.c.day >= from_day)
    if to_day is not None:
        query = query.where(usage_days.c.day < to_day)
    return (await read.execute(query.order_by(usage_days.c.day.desc()).limit(limit))).all()


async def find_day(read: AsyncConnection, pid: int, day: date) -> Any:
    return (await read.execute(sa.select(usage_days).where(usage_days.c.pid == pid, usage_days.c.day == day))).one()


async def proved_days(read: AsyncConnection, pid: int, zone: ZoneInfo, *, since: date) -> set[date]:
    """Days from that one on that agree with their events."""
    query = sa.select(usage_days.c.day).where(
        usage_days.c.pid == pid, usage_days.c.day >= since, usage_days.c.state.in_(("final", "amended"))
    )
    query = query.where(usage_days.c.zone == zone.key)  # in another zone it is another span
    return set((await read.execute(query)).scalars())


@dataclass(frozen=True, slots=True)
class OfMeter:
    """How a meter's figures of a day stand. `moved`: they are not proved. `uncounted`: events it could not count."""

    slug: str
    moved: bool
    amended: bool
    uncounted: int


async def meters_of(read: AsyncConnection, pid: int, days: Sequence[date]) -> Mapping[date, Sequence[OfMeter]]:
    """By slug. A meter that is newer than a day's proof is not sure where the day is not."""
    of_day = (usage_days.c.pid == pid, usage_days.c.day.in_(days), usage_days.c.state != "open")
    proved = sa.and_(
        proofs.c.pid == usage_days.c.pid, proofs.c.day == usage_days.c.day, proofs.c.meter_id == meters.c.id
    )
    query = (
        sa.select(usage_days.c.day, usage_days.c.state, meters.c.slug, proofs)
        .select_from(usage_days)
        .join(meters, meters.c.pid == usage_days.c.pid)
        .outerjoin(proofs, proved)
        .where(*of_day)
        .order_by(usage_days.c.day, meters.c.slug)
    )
    found: dict[date, list[OfMeter]] = {}
    for row in await read.execute(query):
        moved = row.state == "provisional" if row.moved is None else row.moved
        one = OfMeter(row.slug, moved, bool(row.amended), (row.n_missing or 0) + (row.n_no_amount or 0))
        found.setdefault(row[0], []).append(one)
    return found


async def hours_to_fold(read: AsyncConnection, pid: int, *, from_at: datetime, to_at: datetime) -> int:
    """How many hours with a part in [from_at, to_at) wait to be added up."""
    marked = (dirty_hours.c.pid == pid, dirty_hours.c.hour > from_at - HOUR, dirty_hours.c.hour < to_at)
    return int((await read.execute(sa.select(sa.func.count()).select_from(dirty_hours).where(*marked))).scalar_one())
