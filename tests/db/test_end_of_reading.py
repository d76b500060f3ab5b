"""A database that stops leaves no connection: what is being read is read to its end, what is cancelled goes with it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.clock import SystemClock
from heartfly.db.afar import Afar
from heartfly.db.database import Database
from heartfly.db.migrate import upgrade
from heartfly.errors import StoreError

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(database_url: str, tmp_path: Path) -> Database:
    found = Database(url=database_url, data_dir=tmp_path, clock=SystemClock())
    upgrade(found.engine)
    found.start()
    return found


async def a_read(database: Database | Afar, then: Callable[[AsyncConnection], Awaitable[int]]) -> asyncio.Task[int]:
    """That has begun, and ends with what `then` makes of it."""
    begun = asyncio.Event()

    async def read() -> int:
        async with database.read() as connection:
            await connection.execute(sa.text("SELECT 1"))
            begun.set()
            return await then(connection)

    task = asyncio.create_task(read())
    await begun.wait()
    return task


async def test_what_is_being_read_is_read_to_its_end(database: Database) -> None:
    may_end = asyncio.Event()

    async def once_more(connection: AsyncConnection) -> int:
        await may_end.wait()
        return int((await connection.execute(sa.text("SELECT 41 + 1"))).scalar_one())

    reading = await a_read(database, once_more)
    stopping = asyncio.create_task(database.stop())
    await asyncio.wait([stopping], timeout=0.1)
    still = stopping.done()
    may_end.set()
    answer = await reading
    await stopping

    assert not still
    assert answer == 42
    gc.collect()  # a connection that nobody closed says so, and a warning is an error here


async def test_a_read_that_is_cancelled_leaves_nothing_behind(database: Database) -> None:
    async def for_ever(_: AsyncConnection) -> int:
        await asyncio.Event().wait()
        return 0

    afar = Afar(database, asyncio.get_running_loop())
    readers = [await a_read(database, for_ever), await a_read(afar, for_ever)]
    for reading in readers:
        reading.cancel()
    await afar.close()
    await database.stop()
    ends = await asyncio.gather(*readers, return_exceptions=True)

    assert [type(end) for end in ends] == [asyncio.CancelledError] * 2
    gc.collect()


async def test_nothing_is_read_of_a_database_that_has_stopped(database: Database) -> None:
    await database.stop()

    with pytest.raises(StoreError, match="not open"):
        async with database.read():
            pass
