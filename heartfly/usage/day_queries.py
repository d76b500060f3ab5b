"""Reads about days of usage, each bound to one project."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.windows import HOUR
from heartfly.db.models import dirty_hours, usage_days


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


async def hours_to_fold(read: AsyncConnection, pid: int, *, from_at: datetime, to_at: datetime) -> int:
    """How many hours with a part in [from_at, to_at) wait to be added up."""
    marked = (dirty_hours.c.pid == pid, dirty_hours.c.hour > from_at - HOUR, dirty_hours.c.hour < to_at)
    return int((await read.execute(sa.select(sa.func.count()).select_from(dirty_hours).where(*marked))).scalar_one())
