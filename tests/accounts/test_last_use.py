"""When a key was last used: at most a write a minute, however often it is used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.accounts.keys import Caller, caller_of
from heartfly.accounts.last_use import LastUse
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import api_keys
from tests.sim_clock import SimClock
from tests.world import World, make_world

pytestmark = pytest.mark.anyio

START = datetime(2026, 3, 2, 10, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Written:
    """Every statement that changes a key."""

    def __init__(self, db: Database) -> None:
        self.n = 0
        self.any = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._engine = db.engine
        sa.event.listen(db.engine, "after_cursor_execute", self._see)

    def _see(self, _conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE api_keys"):
            self.n += 1
            self._loop.call_soon_threadsafe(self.any.set)

    def end(self) -> None:
        sa.event.remove(self._engine, "after_cursor_execute", self._see)


@pytest.fixture
async def clock() -> SimClock:
    return SimClock(START)


@pytest.fixture
async def world(db: Database, ids: IdSource) -> World:
    return await make_world(db, ids, START)


@pytest.fixture
async def written(db: Database) -> AsyncIterator[Written]:
    seen = Written(db)
    yield seen
    seen.end()


async def caller(world: World, at: datetime) -> Caller:
    async with world.db.read() as read:
        return await caller_of(read, world.project.api_key, now=at)


async def used_at(world: World) -> list[datetime | None]:
    async with world.db.read() as read:
        query = sa.select(api_keys.c.used_at).where(api_keys.c.pid == world.project.pid).order_by(api_keys.c.id)
        return list((await read.execute(query)).scalars())


async def test_a_key_that_is_used_a_hundred_times_is_written_once(
    world: World, db: Database, clock: SimClock, written: Written
) -> None:
    last_use = LastUse(db, clock)
    for n in range(100):
        last_use.note(await caller(world, START), START + n * timedelta(milliseconds=1))

    assert [None, None] == await used_at(world)
    await last_use.write()
    await last_use.write()

    assert [START + timedelta(milliseconds=99), None] == await used_at(world)
    assert 1 == written.n


async def test_the_next_write_is_a_minute_later(world: World, db: Database, clock: SimClock, written: Written) -> None:
    last_use = LastUse(db, clock)
    for after in (0, 59, 60, 119):
        last_use.note(await caller(world, START), START + after * SECOND)
        await last_use.write()

    assert START + 60 * SECOND == (await used_at(world))[0]
    assert 2 == written.n


async def test_two_nodes_change_the_row_once_a_minute_together(world: World, db: Database, clock: SimClock) -> None:
    one, other = LastUse(db, clock), LastUse(db, clock)
    before = await caller(world, START)
    one.note(before, START + 30 * SECOND)
    other.note(before, START + 31 * SECOND)

    await one.write()
    await other.write()

    assert START + 30 * SECOND == (await used_at(world))[0]


async def test_what_is_noted_is_written_a_second_later(
    world: World, db: Database, clock: SimClock, written: Written
) -> None:
    last_use, stop = LastUse(db, clock), asyncio.Event()
    running = asyncio.ensure_future(last_use.run(stop))
    last_use.note(await caller(world, START), START)

    async with asyncio.timeout(60):
        while not clock.n_asleep:
            await asyncio.to_thread(lambda: None)
        assert [None, None] == await used_at(world)
        clock.move_to(START + SECOND)
        await written.any.wait()
        stop.set()
        await running

    assert [START, None] == await used_at(world)


async def test_the_end_writes_what_is_noted_without_waiting(world: World, db: Database, clock: SimClock) -> None:
    last_use, stop = LastUse(db, clock), asyncio.Event()
    running = asyncio.ensure_future(last_use.run(stop))
    last_use.note(await caller(world, START), START)
    stop.set()

    async with asyncio.timeout(60):
        await running

    assert [START, None] == await used_at(world)


async def test_a_database_that_takes_nothing_costs_the_note_and_nothing_else(
    world: World, db: Database, clock: SimClock
) -> None:
    last_use = LastUse(db, clock)
    noted = await caller(world, START)
    await db.stop()
    last_use.note(noted, START)

    # A lane that was stopped is no lane any more: not one of our own errors, and told in the log all the same.
    await last_use.write()

    assert not last_use._noted
