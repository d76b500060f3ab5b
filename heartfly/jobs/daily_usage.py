"""The daily aggregation of a project: closes yesterday and each day that was missed, and says what it found.

How a day is closed is decided in usage/close_day.py. A day that does not agree with its events fails the run: the
job ran, and its check says that the data is wrong.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from heartfly.core.days import Day, day_in
from heartfly.core.zones import is_zone
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.models import jobs, projects, usage_days
from heartfly.errors import StoreError
from heartfly.jobs.kind import Done, Work
from heartfly.usage.close_day import ONE_DAY, Closed, Closer, came_in, days_to_close, intake_of

NAME = "daily-usage"
_MOST = 100
"""Days that one run closes: a meter that changed reopens all of history."""


def aggregating(usage: Database, closer: Closer) -> Callable[[Work], Awaitable[Done]]:
    async def aggregate(work: Work) -> Done:
        began = work.now
        zone, since = await _home(work)
        today = work.now.astimezone(zone).date()
        days = await days_to_close(usage, work.pid, zone, since=since.astimezone(zone).date(), today=today)
        closed: list[Closed] = []
        for day in days[:_MOST]:
            await work.write(_nothing)  # the lease is ours still
            closed.append(await closer.close(work.pid, day, zone))
        yesterday = today - ONE_DAY
        wrong = [one for one in closed if one.mismatch]
        figures: dict[str, int | float | str] = dict(await _of_yesterday(usage, work.pid, yesterday, closed))
        figures |= await _came_in(usage, work.pid, day_in(zone, yesterday))
        figures |= {
            "day": yesterday.isoformat(),
            "days_closed": len(closed) - len(wrong),
            "days_caught_up": len([one for one in closed if one.day != yesterday]),
            "days_changed": len([one for one in closed if one.changed]),
            "days_left": max(0, len(days) - _MOST),
            "reconciled": int(not wrong),
            "duration_ms": round((work.now - began).total_seconds() * 1000),
        }
        return Done(figures=figures, failure="; ".join(f"{one.day} does not add up: {one.mismatch}" for one in wrong))

    return aggregate


async def _came_in(usage: Database, pid: int, yesterday: Day) -> Mapping[str, int | float]:
    """Told also while yesterday waits to be closed: what was rejected shall not stay unheard until then.

    The share is a figure of its own: of a day on which nothing came in the ratio of the two cannot be told, and its
    gate would break. Nothing was rejected then.
    """
    async with usage.read() as read:
        came = came_in((await read.execute(intake_of(pid, yesterday))).one())
    # Cut off, not rounded: just below 1% stays below it. Four places come through JSON as they are.
    return came | {"rejected_share": came["rejected"] * 10_000 // max(1, came["events_received"]) / 10_000}


async def _home(work: Work) -> tuple[ZoneInfo, datetime]:
    query = (
        sa.select(projects.c.zone, jobs.c.created_at)
        .join(jobs, sa.and_(jobs.c.pid == projects.c.id, jobs.c.kind == NAME))
        .where(projects.c.id == work.pid)
    )
    async with work.read() as read:
        row = (await read.execute(query)).first()
    if row is None:
        raise StoreError("the project is gone")
    return ZoneInfo(row.zone if is_zone(row.zone) else "UTC"), row.created_at


def _nothing(_: Tx) -> None:
    """A transaction that is fenced like any other."""


async def _of_yesterday(usage: Database, pid: int, yesterday: date, closed: list[Closed]) -> Mapping[str, int | str]:
    """Also when it was closed before, by somebody's hand."""
    for one in closed:
        if one.day == yesterday:
            return {**one.figures, "fingerprint": one.fingerprint}
    query = sa.select(usage_days.c.figures, usage_days.c.fingerprint)
    async with usage.read() as read:
        row = (await read.execute(query.where(usage_days.c.pid == pid, usage_days.c.day == yesterday))).first()
    if row is None:
        return {}
    figures = {name: value for name, value in row.figures.items() if name != "amended"}
    return {**figures, "fingerprint": bytes(row.fingerprint or b"").hex()}
