"""What one check's time was, read to be drawn: its statuses, its runs, when it was expected, and by which rule.

Each time is judged by the schedule that held then. Of runs the newest are read, so the picture of a check that runs
very often may begin later than asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks.config import CheckConfig
from heartfly.checks.lanes import Lane, lanes
from heartfly.checks.rows import rules_of_config
from heartfly.core.schedule import Kind
from heartfly.db.models import check_versions, runs
from heartfly.notify.silences import Planned, planned_since

MOST_RUNS = 2_000
MOST_WINDOWS = 600
_MOST_VERSIONS = 100
_ENDED = frozenset({"ok", "degraded", "failed"})


@dataclass(frozen=True, slots=True)
class Version:
    """[from_at, to_at) the check was so."""

    config: CheckConfig
    from_at: datetime
    to_at: datetime


@dataclass(frozen=True, slots=True)
class CheckPast:
    """`from_at`: where it begins. `runs`: newest first. `changes`: when its schedule or a limit of it changed."""

    lane: Lane
    blind: Sequence[tuple[datetime, datetime]]
    planned: Sequence[Planned]
    """Maintenance windows that covered it, by its tags as they are."""
    runs: Sequence[Row[Any]]
    versions: Sequence[Version]
    changes: Sequence[datetime]
    from_at: datetime
    to_at: datetime


async def past_of(read: AsyncConnection, row: Row[Any], *, from_at: datetime, to_at: datetime) -> CheckPast:
    """`row`: of the check."""
    query = sa.select(runs).where(runs.c.pid == row.pid, runs.c.check_id == row.id, runs.c.at >= from_at)
    found = (await read.execute(query.order_by(runs.c.at.desc(), runs.c.id.desc()).limit(MOST_RUNS))).all()
    begins = found[-1].at if len(found) == MOST_RUNS else from_at
    seen = await lanes(read, row.pid, [row], from_at=begins, to_at=to_at)
    of_check = sa.select(check_versions).where(check_versions.c.pid == row.pid, check_versions.c.check_id == row.id)
    newest = (await read.execute(of_check.order_by(check_versions.c.from_at.desc()).limit(_MOST_VERSIONS))).all()
    versions = list(_versions(newest, seen.from_at, to_at))
    changes = [
        later.from_at for earlier, later in itertools.pairwise(versions) if earlier.config.timing != later.config.timing
    ]
    return CheckPast(
        lane=seen.by_check[row.id],
        blind=seen.blind,
        planned=await planned_since(read, row, since=seen.from_at, through=to_at),
        runs=found,
        versions=versions,
        changes=changes,
        from_at=seen.from_at,
        to_at=to_at,
    )


def _versions(newest: Sequence[Row[Any]], from_at: datetime, to_at: datetime) -> Iterator[Version]:
    """The oldest first, cut to what is asked for."""
    ends = [to_at, *(one.from_at for one in newest)]
    for one, ended in reversed(list(zip(newest, ends, strict=False))):
        if ended > from_at:
            config = CheckConfig(**(one.config | {"tags": tuple(one.config["tags"])}))
            yield Version(config, max(one.from_at, from_at), min(ended, to_at))


def windows(past: CheckPast) -> list[tuple[datetime, datetime]] | None:
    """From when to when a run was expected; of a period, counted from each end. None: too many to draw.

    Slow where a cron expression has hundreds of times.
    """
    found: list[tuple[datetime, datetime]] = []
    for version in past.versions:
        rules = rules_of_config(version.config)
        for at in _expected(past, version):
            if len(found) == MOST_WINDOWS:
                return None
            found.append((at, at + rules.grace))
    return found


def _expected(past: CheckPast, version: Version) -> Iterator[datetime]:
    rules = rules_of_config(version.config)
    try:
        if version.config.kind == Kind.PERIOD.value:
            for run in reversed(past.runs):
                if run.outcome in _ENDED and run.ended_at is not None and run.ended_at < version.to_at:
                    at = rules.next_after(run.ended_at, run.ended_at)
                    if at is not None and version.from_at <= at < version.to_at:
                        yield at
            return
        at = rules.next_after(version.from_at, version.from_at)
        while at is not None and at < version.to_at:
            yield at
            at = rules.next_after(at, at)
    except ValueError:
        return  # its zone is not known any more: the check shows a schedule error
