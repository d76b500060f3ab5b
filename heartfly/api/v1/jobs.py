"""Heartfly's own jobs: list them and their runs, and ask for a run now. Which there are is not for a request to say."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from litestar import get, post
from litestar.params import FromPath
from sqlalchemy import Row

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, number, place_in_time
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire import Instant, schedule_text_of
from heartfly.checks.config import ScheduleIn
from heartfly.db.types import micros
from heartfly.jobs import commands, queries


class JobRunOut(msgspec.Struct, kw_only=True):
    """One slot of a job. `outcome` null: it waits, or is under way. `id`: tells it from the job's other runs."""

    id: str
    slot_at: Instant
    by: Literal["schedule", "hand"]
    outcome: Literal["ok", "failed"] | None
    started_at: Instant | None
    ended_at: Instant | None
    duration: float | None
    attempt: int
    """Above 1: a process died, or lost the database, while it ran. 0: it waits."""
    figures: dict[str, str]
    words: str
    """Why it failed; empty when it did not."""


class JobOut(msgspec.Struct, kw_only=True):
    """One of Heartfly's own periodic jobs. `check` null: it has not run yet."""

    id: str
    kind: str
    schedule: ScheduleIn | None
    schedule_text: str
    next_at: Instant | None
    off: str | None
    """Why it does not run here; null when it does."""
    check: str | None
    running: bool
    last_run: JobRunOut | None
    """That of its newest slot, also while it is under way."""


class JobPage(msgspec.Struct):
    items: list[JobOut]
    next: str | None


class JobRunPage(msgspec.Struct):
    items: list[JobRunOut]
    next: str | None


SHAPES = (JobPage, JobRunPage)


@get("/jobs", summary="List Heartfly's own jobs", responses=told_as(422), tags=["jobs"])
async def list_jobs(request: ApiRequest, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> JobPage:
    """Jobs of the whole installation belong to its first project, where their checks are."""
    after, pid = number(cursor, "jobs"), request.caller.pid
    async with request.api.database.read() as read:
        rows = await queries.find_many(read, pid, after=after, limit=limit + 1)
        page, following = cut(rows, limit, lambda row: cursor_of("jobs", row.id))
        newest = await queries.newest_runs(read, pid, [row.id for row in page])
    return JobPage([_job_out(row, newest.get(row.id)) for row in page], following)


@get("/jobs/{job_id:str}/runs", summary="List a job's runs, newest first", responses=told_as(404, 422), tags=["jobs"])
async def list_job_runs(
    request: ApiRequest, job_id: FromPath[str], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> JobRunPage:
    named, pid = place_in_time(cursor, "job-runs"), request.caller.pid
    async with request.api.database.read() as read:
        job = await queries.find(read, pid, job_id)
        rows = await queries.runs_of(read, pid, job.id, before=named[0] if named else None, limit=limit + 1)
    page, following = cut(rows, limit, lambda row: cursor_of("job-runs", micros(row.slot_at), 0))
    return JobRunPage([_run_out(row) for row in page], following)


@post("/jobs/{job_id:str}/run", summary="Run a job now", responses=told_as(404, 409), tags=["jobs"], status_code=202)
async def run_job(request: ApiRequest, job_id: FromPath[str]) -> JobRunOut:
    """The run waits for a node to take it; its end is told by the list of runs. 409 while another is under way."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    await api.database.write(lambda tx: commands.ask_for_run(tx, pid, job_id, at=at, ids=api.ids, actor=request.actor))
    async with api.database.read() as read:
        job = await queries.find(read, pid, job_id)
        return _run_out(await queries.run_of(read, pid, job.id, at))


def _job_out(row: Row[Any], newest: Row[Any] | None) -> JobOut:
    timing = ("cron", 0, row.expression, row.zone, "cron")
    return JobOut(
        id=row.uuid,
        kind=row.kind,
        schedule=ScheduleIn(kind="cron", expression=row.expression, zone=row.zone) if row.expression else None,
        schedule_text=schedule_text_of(timing) if row.expression else "",
        next_at=row.next_at,
        off=row.off,
        check=row.check,
        running=newest is not None and newest.ended_at is None,
        last_run=None if newest is None else _run_out(newest),
    )


def _run_out(row: Row[Any]) -> JobRunOut:
    ended = row.ended_at is not None
    return JobRunOut(
        id=str(micros(row.slot_at)),
        slot_at=row.slot_at,
        by="hand" if row.by_hand else "schedule",
        outcome=row.outcome,
        started_at=row.started_at,
        ended_at=row.ended_at,
        duration=(row.ended_at - row.started_at).total_seconds() if ended else None,
        attempt=row.epoch,
        figures={name: str(value) for name, value in row.figures.items()},
        words=row.words,
    )
