"""How Heartfly itself does, for who looks after it: what runs, what waits, when nobody heard, what the doctor finds.

It shows what others know: readiness, instruments, the database, the jobs, the doctor. What does not answer in time is
left out, and the page says so: it is opened above all when something is wrong.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from litestar import Response, get
from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

from heartfly.accounts.queries import home_project
from heartfly.api.v1.wire import schedule_text_of
from heartfly.core.spans import span
from heartfly.db.group_commit import Priority
from heartfly.doctor.finding import Finding, Level
from heartfly.errors import HeartflyError
from heartfly.instruments import Histogram
from heartfly.jobs import queries as jobs
from heartfly.logs import logger
from heartfly.vitals.canary import Told, told
from heartfly.vitals.overview import MOST_WAITING, Overview, overview, settings_of
from heartfly.vitals.readiness import reasons
from heartfly.web.request import FOR_OPERATORS, PageRequest

LIMIT_S = 5.0
"""So long the page waits for each of those whom it asks."""
_MOST_JOBS = 100

log = logger("heartfly.web")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`last`: the run of its newest slot, also while it is under way; None: it has not run."""

    row: Row[Any]
    schedule: str
    last: Row[Any] | None


@get("/system", opt=FOR_OPERATORS)
async def show(request: PageRequest) -> Response[bytes]:
    web, api = request.web, request.api
    facts = web.facts()
    inside, its, found = await asyncio.gather(
        _in_time(_inside(request)),
        _in_time(api.database.write(settings_of, priority=Priority.BULK)),
        _in_time(web.doctor()),
    )
    seen, home, its_jobs, canary = inside or (None, None, (), ())
    path = api.database.path
    return await request.page(
        "system.html",
        facts=facts,
        more_demanded=request.more_demanded,
        reasons=reasons(facts),
        system=seen,
        home=home,
        jobs=its_jobs,
        canary=canary,
        canary_s=api.settings.monitor.canary_s,
        latencies=_latencies(canary),
        settings=_rows(its),
        findings=_worst_first(found),
        started_at=web.started_at,
        python=platform.python_version(),
        on_postgres=api.database.on_postgres,
        path_of_it=path,
        sizes=[] if path is None else [_length(path), _length(path.with_name(path.name + "-wal"))],
        n_queued=api.database.n_queued,
        n_batches=api.database.n_batches,
        items=_mean(api.instruments.commit_items),
        commit_s=_mean(api.instruments.commit_seconds),
        most_waiting=MOST_WAITING,
        span=span,
        seconds=_seconds,
        limit_s=LIMIT_S,
    )


async def _in_time(asked: Awaitable[Answer]) -> Answer | None:
    """None: there was no answer in time; the log says why."""
    try:
        async with asyncio.timeout(LIMIT_S):
            return await asked
    except (TimeoutError, HeartflyError, SQLAlchemyError) as error:
        log.warning("system", error=repr(error))
        return None


async def _inside(request: PageRequest) -> tuple[Overview, Row[Any], Sequence[Job], Sequence[Told]]:
    api = request.api
    async with api.database.read() as read:
        seen = await overview(read, now=api.clock.now())
        home = await home_project(read)
        rows = await jobs.find_many(read, home.id, after=None, limit=_MOST_JOBS)
        newest = await jobs.newest_runs(read, home.id, [row.id for row in rows])
        canary = await told(read)
    its_jobs = [Job(row=row, schedule=_schedule(row), last=newest.get(row.id)) for row in rows]
    return seen, home, its_jobs, canary


def _latencies(canary: Sequence[Told]) -> tuple[str, str] | None:
    """The median and the longest, in words."""
    if not canary:
        return None
    found = sorted(one.latency for one in canary)
    return _seconds(found[len(found) // 2]), _seconds(found[-1])


def _seconds(latency: timedelta) -> str:
    return f"{latency.total_seconds():.2f} s"


def _schedule(row: Row[Any]) -> str:
    return schedule_text_of(("cron", 0, row.expression, row.zone, "cron")) if row.expression else ""


def _rows(its: Mapping[str, str] | None) -> list[tuple[str, str]]:
    return list((its or {}).items())


def _worst_first(found: Sequence[Finding] | None) -> Sequence[Finding] | None:
    if found is None:
        return None
    order = list(Level)
    return sorted(found, key=lambda one: -order.index(one.level))


def _mean(histogram: Histogram) -> float | None:
    told = {one.suffix: one.value for one in histogram.family().samples if one.suffix != "_bucket"}
    return told["_sum"] / told["_count"] if told["_count"] else None


def _length(path: Any) -> int:
    return path.stat().st_size if path.exists() else 0
