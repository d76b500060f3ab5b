"""What was archived of a project, and which of its days stay in the database for now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.models import archives
from heartfly.errors import NotFoundError


def folder_of(folder: Path, pid: int) -> Path:
    """Where a project's files are."""
    return folder / str(pid)


async def list_archives(
    read: AsyncConnection, pid: int, *, from_day: date | None, to_day: date | None, before: tuple[date, int] | None,
    limit: int,
) -> Sequence[Any]:  # fmt: skip
    """Files, of the newest day first. `to_day`: before it."""
    query = sa.select(archives).where(archives.c.pid == pid, archives.c.part > 0)
    if from_day is not None:
        query = query.where(archives.c.day >= from_day)
    if to_day is not None:
        query = query.where(archives.c.day < to_day)
    if before is not None:
        day, part = before
        earlier = sa.or_(archives.c.day < day, sa.and_(archives.c.day == day, archives.c.part < part))
        query = query.where(earlier)
    return (await read.execute(query.order_by(archives.c.day.desc(), archives.c.part.desc()).limit(limit))).all()


async def parts_of(read: AsyncConnection, pid: int, day: date) -> Sequence[Any]:
    """The files of a day, in order. NotFoundError: it was not archived."""
    query = sa.select(archives).where(archives.c.pid == pid, archives.c.day == day, archives.c.part > 0)
    found = (await read.execute(query.order_by(archives.c.part))).all()
    if not found:
        raise NotFoundError(f"nothing of {day} is archived")
    return found


async def stays(read: AsyncConnection, pid: int, day: date, *, now: datetime, is_on: bool) -> bool:
    """Whether what is removed as too old is to leave this day alone: it was put back, or is not in a file yet.

    `is_on`: days are archived at all.
    """
    of_day = (archives.c.pid == pid, archives.c.day == day)
    rows = (await read.execute(sa.select(archives.c.let_go_at, archives.c.restored_until).where(*of_day))).all()
    if any(row.restored_until is not None and row.restored_until > now for row in rows):
        return True
    return is_on and (not rows or any(row.let_go_at is None for row in rows))
