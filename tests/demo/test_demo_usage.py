"""The demo's usage: the same events each time, and days that the real job has closed and proved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from heartfly.accounts.commands import NewProject
from heartfly.core.days import ONE, day_of
from heartfly.db import models as tables
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.demo import red_day
from heartfly.demo import usage as demo_usage
from heartfly.demo.fill import SLUG, ZONE
from heartfly.demo.red_day import RedDay
from heartfly.demo.usage import UsageGoesOn, fill_usage
from heartfly.jobs.catalogue import daily_usage
from heartfly.jobs.daily_usage import NAME as DAILY_USAGE
from heartfly.usage.close_day import Closer
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from tests.demo.test_fill import NOW, all_of
from tests.jobs.workshop import Workshop
from tests.sim_clock import SimClock
from tests.world import make_world

pytestmark = pytest.mark.anyio


def filling(project: NewProject) -> Callable[[Tx], None]:
    return lambda tx: fill_usage(tx, project, seed=1, now=NOW, ids=IdSource(0))


async def told(usage: Database) -> list[Any]:
    """What came, without numbers."""
    e, n = tables.events, tables.usage_names
    query = sa.select(e.c.transaction_id, e.c.at, e.c.properties, n.c.text).join(
        n, sa.and_(n.c.pid == e.c.pid, n.c.id == e.c.subject_id)
    )
    return [tuple(row) for row in await all_of(usage, query.order_by(e.c.transaction_id))]


async def test_customers_meters_and_events_are_the_same_each_time(
    db: Database, usage_db: Database, ids: IdSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 30 == demo_usage.DAYS
    monkeypatch.setattr(demo_usage, "DAYS", 6)
    first = (await make_world(db, ids, NOW, slug=SLUG)).project
    await usage_db.write(filling(first))
    events = await told(usage_db)
    slugs = [row.slug for row in await all_of(usage_db, sa.select(tables.meters).order_by(tables.meters.c.id))]
    names = [row.name for row in await all_of(usage_db, sa.select(tables.customers).order_by(tables.customers.c.id))]
    second = (await make_world(db, ids, NOW, slug="again")).project
    await usage_db.write(lambda tx: tx.conn.execute(sa.delete(tables.events)).rowcount)  # they have the same numbers
    await usage_db.write(filling(second))

    assert ["api-calls", "traffic", "latency-p95"] == slugs
    assert ["Acme", "Globex", "Initech"] == names
    assert 400 < len(events) < 1_000
    assert {"acme", "acct-17", "globex", "initech", "umbrella-trial"} == {row[-1] for row in events}
    assert NOW - timedelta(days=7) < min(row[1] for row in events) < max(row[1] for row in events) < NOW
    assert sorted(events) == sorted(await told(usage_db))


async def test_the_real_job_closes_the_days_once_somebody_serves(
    db: Database, usage_db: Database, ids: IdSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_usage, "DAYS", 2)
    monkeypatch.setattr(demo_usage, "_LOOK_S", 0.01)
    clock, stop = SimClock(NOW), asyncio.Event()
    world = await make_world(db, ids, NOW, slug=SLUG)
    await db.write(lambda tx: tx.conn.execute(sa.update(tables.projects).values(zone=ZONE)).rowcount)
    await usage_db.write(filling(world.project))
    closer = Closer(usage_db, Folder(usage_db, clock, ids, hands=Hands(beside=False)), clock, ids)
    going = asyncio.ensure_future(UsageGoesOn(world.project, db, clock, ids).run(stop))
    workshop = Workshop(world, clock, daily_usage(usage_db, closer))
    await workshop.look()
    while not await workshop.runs():
        await asyncio.wait([going], timeout=0.01)
    await workshop.look()
    (run,) = await workshop.runs()
    days = await all_of(usage_db, sa.select(tables.usage_days).order_by(tables.usage_days.c.day))
    was_going = not going.done()
    stop.set()
    await going

    assert (True, "ok", 1) == (run.by_hand, run.outcome, run.figures["reconciled"])
    assert [("2026-11-18", "final"), ("2026-11-19", "final")] == [(str(day.day), day.state) for day in days]
    assert all(day.figures["events_raw"] > 50 for day in days)
    assert [True, False] == [bool(day.figures["late"]) for day in days]  # a backfill came after the day was over
    b, c = tables.backfills.c, tables.event_corrections.c
    assert ["closed", "open"] == [row.state for row in await all_of(usage_db, sa.select(b.state).order_by(b.id))]
    assert {"void", "amend"} <= {row.kind for row in await all_of(usage_db, sa.select(c.kind))}
    assert was_going  # a service that ends before it is told to takes the process along
    assert DAILY_USAGE == (await workshop.job(DAILY_USAGE)).kind


async def test_one_day_is_not_what_it_was_proved_to_be_until_it_is_closed_anew(
    db: Database, usage_db: Database, ids: IdSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_usage, "DAYS", 2)
    monkeypatch.setattr(red_day, "DAYS_AGO", 1)
    clock, zone = SimClock(NOW), ZoneInfo(ZONE)
    world = await make_world(db, ids, NOW, slug=SLUG)
    await usage_db.write(filling(world.project))
    closer = Closer(usage_db, Folder(usage_db, clock, ids, hands=Hands(beside=False)), clock, ids)
    red = RedDay(world.project, usage_db, closer.hands, clock)
    day = day_of(zone, NOW) - ONE

    was_closed = await red.made()
    assert "final" == (await closer.close(world.project.pid, day, zone)).state
    is_made = await red.made()
    (told,) = await all_of(usage_db, sa.select(tables.usage_days))
    closed = await closer.close(world.project.pid, day, zone)

    assert (False, True) == (was_closed, is_made)
    assert ("provisional", True) == (told.state, "expected" in told.mismatch), told.mismatch
    assert ("final", "") == (closed.state, closed.mismatch)
