"""Reads about jobs and their runs, each bound to one project. Lists are read by key."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row, Select
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks import queries as checks_queries
from heartfly.db.models import checks, job_runs, jobs
from heartfly.errors import NotFoundError


def uuid_of(text: str) -> str:
    """A public id as it is stored. NotFoundError for what cannot be one: a NUL would offend the database."""
    try:
        return checks_queries.uuid_of(text)
    except NotFoundError:
        raise NotFoundError("there is no such job") from None


def _select(pid: int) -> Select[Any]:
    """With the public id of its check."""
    of_check = sa.and_(checks.c.pid == jobs.c.pid, checks.c.id == jobs.c.check_id)
    query = sa.select(jobs, checks.c.uuid.label("check")).outerjoin(checks, of_check)
    return query.where(jobs.c.pid == pid)


async def find(read: AsyncConnection, pid: int, uuid: str) -> Row[Any]:
    """NotFoundError, for one of another project too."""
    row: Row[Any] | None = (await read.execute(_select(pid).where(jobs.c.uuid == uuid_of(uuid)))).first()
    if row is None:
        raise NotFoundError("there is no such job")
    return row


async def find_kind(read: AsyncConnection, pid: int, kind: str) -> Row[Any] | None:
    """None: the project has no such job yet."""
    row: Row[Any] | None = (await read.execute(_select(pid).where(jobs.c.kind == kind))).first()
    return row


async def find_many(read: AsyncConnection, pid: int, *, after: int | None, limit: int) -> Sequence[Row[Any]]:
    """In the order in which they were made."""
    query = _select(pid).order_by(jobs.c.id).limit(limit)
    if after is not None:
        query = query.where(jobs.c.id > after)
    found: Sequence[Row[Any]] = (await read.execute(query)).all()
    return found


async def newest_runs(read: AsyncConnection, pid: int, job_ids: Collection[int]) -> dict[int, Row[Any]]:
    """Of each job the run of its newest slot; none of one that has not run."""
    newest = (
        sa.select(job_runs.c.job_id, sa.func.max(job_runs.c.slot_at).label("slot_at"))
        .where(job_runs.c.pid == pid, job_runs.c.job_id.in_(job_ids))
        .group_by(job_runs.c.job_id)
        .subquery()
    )
    same = sa.and_(job_runs.c.job_id == newest.c.job_id, job_runs.c.slot_at == newest.c.slot_at)
    query = sa.select(job_runs).join(newest, same).where(job_runs.c.pid == pid)
    return {row.job_id: row for row in await read.execute(query)}


async def runs_of(
    read: AsyncConnection, pid: int, job_id: int, *, before: datetime | None, limit: int
) -> Sequence[Row[Any]]:
    """Newest first."""
    query = sa.select(job_runs).where(job_runs.c.pid == pid, job_runs.c.job_id == job_id)
    if before is not None:
        query = query.where(job_runs.c.slot_at < before)
    return (await read.execute(query.order_by(job_runs.c.slot_at.desc()).limit(limit))).all()


async def run_of(read: AsyncConnection, pid: int, job_id: int, slot_at: datetime) -> Row[Any]:
    query = sa.select(job_runs).where(job_runs.c.pid == pid, job_runs.c.job_id == job_id, job_runs.c.slot_at == slot_at)
    return (await read.execute(query)).one()
