"""The weekly look at the database: silent about a sound one, in words about what is wrong, and never in the way."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from heartfly.clock import SystemClock
from heartfly.core.words import PingKind
from heartfly.db.damage import MARK, damaged_tables
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.migrate import upgrade
from heartfly.db.models import addresses, checks, flips, incidents, runs
from heartfly.errors import StoreError
from heartfly.jobs.database_check import checking
from tests.jobs.workshop import HOUR, T0, Workshop, kind_of
from tests.sim_clock import SimClock
from tests.world import World, make_world

pytestmark = pytest.mark.anyio


def file_of(db: Database) -> Path | None:
    return None if db.on_postgres else db._path


@pytest.fixture
async def shop(world: World, clock: SimClock) -> Workshop:
    shop = Workshop(world, clock, kind_of(checking(file_of(world.db), clock), expression="0 * * * *"))
    await shop.look()
    check, down = await world.check(T0), await world.check(T0)
    await world.ping(check, T0, PingKind.START)
    await world.ping(down, T0, PingKind.FAIL)
    return shop


async def found(shop: Workshop) -> tuple[str, str]:
    await shop.go(shop.clock.now() + 2 * HOUR)
    newest = (await shop.runs())[-1]
    return newest.outcome, newest.words


async def test_a_sound_database_passes(shop: Workshop) -> None:
    assert ("ok", "") == await found(shop)
    figures = (await shop.runs())[-1].figures
    assert 0 == figures["faults"]
    assert (figures["looked_at"] > 20) is not shop.db.on_postgres  # without amcheck its indexes are not looked at


WRONG = {
    "counts other runs under way": sa.delete(runs),
    "counts other changes of status": sa.delete(flips).where(flips.c.flip_no == 1),
    "its last change did not make": sa.update(flips).values(to_status="up"),
    "is down without an open incident": sa.delete(incidents),
    "has an open incident and is not down": sa.update(checks).values(status="paused"),
    "cannot be reached at its ping address": sa.delete(addresses),
}


@pytest.mark.parametrize("words", WRONG)
async def test_rows_that_contradict_one_another_fail_it_in_words(shop: Workshop, words: str) -> None:
    await shop.db.write(lambda tx: tx.conn.execute(WRONG[words]).rowcount)

    outcome, told = await found(shop)

    assert "failed" == outcome
    assert words in told
    assert "heartfly restore" in told


async def test_many_faults_are_told_in_a_few_words(shop: Workshop) -> None:
    for _ in range(9):
        await shop.world.check(T0)
    await shop.db.write(lambda tx: tx.conn.execute(sa.delete(addresses)).rowcount)

    _, told = await found(shop)

    assert 5 == told.count("cannot be reached")
    assert "and 1 more" in told  # six are asked for of each kind


async def test_a_damaged_index_is_found_and_named(tmp_path: Path) -> None:
    path = tmp_path / "damaged.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE sound (x TEXT)")
        connection.execute("CREATE TABLE torn (x TEXT)")
        connection.execute("CREATE INDEX torn_x ON torn (x)")
        connection.executemany("INSERT INTO torn VALUES (?)", [(f"row {n}",) for n in range(1000)])
        # The index forgets one row, as after a write that never reached the disk.
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_master SET sql = sql || ' WHERE x <> ''row 7''' WHERE name = 'torn_x'")
        connection.commit()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("REINDEX")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_master SET sql = 'CREATE INDEX torn_x ON torn (x)' WHERE name = 'torn_x'")
        connection.commit()

    n, faults = damaged_tables(path, stop=lambda: False)

    assert 2 == n
    assert faults
    assert all(fault.startswith("damaged.db, table torn: ") for fault in faults)


async def test_a_file_that_is_no_database_fails_it(tmp_path: Path) -> None:
    path = tmp_path / "noise.db"
    path.write_bytes(b"noise" * 1000)

    assert (0, ["noise.db: file is not a database"]) == damaged_tables(path, stop=lambda: False)


async def test_a_file_that_cannot_be_had_fails_it(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"gone\.db cannot be read"):
        damaged_tables(tmp_path / "gone.db", stop=lambda: False)


async def test_the_part_that_is_usage_is_looked_at_too(shop: Workshop, usage_db: Database) -> None:
    if usage_db.on_postgres:
        return  # its indexes are among those that amcheck is asked about
    before = (await found(shop), (await shop.runs())[-1].figures["looked_at"])
    assert usage_db.path is not None
    await usage_db.stop()
    for file in usage_db.path.parent.glob("usage.db*"):
        file.unlink()
    usage_db.path.write_bytes(b"noise" * 1000)

    outcome, told = await found(shop)

    assert (("ok", ""), True) == (before[0], before[1] > 45)
    assert ("failed", True) == (outcome, "usage.db" in told)
    assert "usage.db: file is not a database" in str(shop.db.broken)
    assert "usage.db" in usage_db.path.with_name(MARK).read_text()


async def test_rows_that_contradict_one_another_end_nothing(shop: Workshop) -> None:
    await shop.db.write(lambda tx: tx.conn.execute(sa.delete(incidents)).rowcount)

    outcome, _ = await found(shop)

    assert ("failed", None) == (outcome, shop.db.broken)


async def test_looking_ends_when_the_process_does(tmp_path: Path) -> None:
    path = tmp_path / "large.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE large (x TEXT)")
        connection.executemany("INSERT INTO large VALUES (?)", [(f"row {n}",) for n in range(20_000)])
        connection.commit()
    asked = threading.Event()

    def stop() -> bool:
        asked.set()
        return True

    with pytest.raises(StoreError, match="interrupted"):
        damaged_tables(path, stop=stop, step=lambda: asserted(asked.wait(60)))


def asserted(is_so: bool) -> None:  # noqa: FBT001 - what a wait says
    assert is_so


async def test_pings_are_stored_while_it_looks(tmp_path: Path) -> None:
    """The reader stands still within a table; a ping does not wait for it."""
    database = Database(url="", data_dir=tmp_path, clock=SystemClock())
    upgrade(database.engine)
    database.start()
    world = await make_world(database, IdSource(1), T0)
    inside, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    check = await world.check(T0)
    for n in range(20):
        await world.pings([world.request(check, T0, rid=f"{n}-{i}") for i in range(100)])

    def step() -> None:
        loop.call_soon_threadsafe(inside.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(60)

    path = tmp_path / "heartfly.db"
    looking = asyncio.ensure_future(asyncio.to_thread(damaged_tables, path, stop=lambda: False, step=step))
    await asyncio.wait_for(inside.wait(), 60)
    await asyncio.wait_for(world.ping(check, T0 + HOUR), 60)
    assert not looking.done()
    go_on.set()

    _, faults = await looking
    assert [] == faults
    await database.stop()


@pytest.mark.postgres
async def test_with_amcheck_the_indexes_of_postgresql_are_looked_at(postgres_url: str, tmp_path: Path) -> None:
    database = Database(url=postgres_url, data_dir=tmp_path, clock=SystemClock())
    database.start()
    await database.write(lambda tx: tx.conn.exec_driver_sql("CREATE EXTENSION amcheck").rowcount)
    world = await make_world(database, IdSource(1), T0)
    shop = Workshop(world, SimClock(T0), kind_of(checking(None, SimClock(T0)), expression="0 * * * *"))
    await shop.look()

    assert ("ok", "") == await found(shop)
    assert (await shop.runs())[-1].figures["looked_at"] > 50
    await database.stop()
