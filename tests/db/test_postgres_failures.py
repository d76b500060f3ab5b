"""What PostgreSQL's own failures mean to those who write: a lost connection, a lost answer, a forgetful server."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import make_url

from heartfly.clock import SystemClock
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.models import instance, node_batches
from heartfly.db.postgres import last_batch, writing_engine
from heartfly.errors import AwayError, OverloadedError, StoreError
from tests.wire import Wire

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


def store(number: int) -> object:
    def command(tx: Tx) -> int:
        tx.conn.execute(sa.insert(instance).values(id=number, uuid="x", epoch=0))
        return number

    return command


async def test_who_has_not_got_the_driver_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(StoreError, match=r"heartfly\[postgres\]"):
        writing_engine("postgresql+psycopg://heartfly@db.example.org/heartfly")


@pytest.fixture
async def wire(postgres_url: str, tmp_path: Path) -> AsyncIterator[Wire]:
    async with Wire(postgres_url, tmp_path) as relay:
        yield relay


@pytest.fixture
async def db(wire: Wire, tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(
        url=wire.url, data_dir=tmp_path / "data", clock=SystemClock(), node_id=secrets.randbelow(1 << 40)
    )
    database.start()
    yield database
    await database.stop()


async def stored(url: str) -> list[int]:
    def query() -> list[int]:
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            found = list(connection.execute(sa.select(instance.c.id).order_by(instance.c.id)).scalars())
        engine.dispose()
        return found

    return await asyncio.to_thread(query)


async def test_a_commit_whose_answer_was_lost_is_settled_as_done(db: Database, wire: Wire, postgres_url: str) -> None:
    assert 1 == await db.write(store(1))  # type: ignore[arg-type]
    wire.lose_answer = True

    assert 2 == await db.write(store(2))  # type: ignore[arg-type]
    assert [1, 2] == await stored(postgres_url)


async def test_a_commit_that_never_arrived_is_made_again_once(db: Database, wire: Wire, postgres_url: str) -> None:
    assert 1 == await db.write(store(1))  # type: ignore[arg-type]
    wire.lose_request = True

    assert 2 == await db.write(store(2))  # type: ignore[arg-type]
    assert [1, 2] == await stored(postgres_url)


async def test_a_connection_that_was_cut_is_opened_again(db: Database, wire: Wire, postgres_url: str) -> None:
    assert 1 == await db.write(store(1))  # type: ignore[arg-type]
    await wire.cut()

    assert 2 == await db.write(store(2))  # type: ignore[arg-type]
    assert [1, 2] == await stored(postgres_url)


async def test_a_database_that_is_away_refuses_and_is_used_again_when_it_is_back(
    db: Database, wire: Wire, postgres_url: str
) -> None:
    wire.close()
    with pytest.raises(AwayError, match="away") as refused:
        await db.write(store(1))  # type: ignore[arg-type]
    assert refused.value.maybe is None
    await wire.reopen()

    assert 2 == await db.write(store(2))  # type: ignore[arg-type]
    assert [2] == await stored(postgres_url)


async def test_a_row_locked_by_another_is_waited_for_a_short_time_only(db: Database, postgres_url: str) -> None:
    await db.write(store(1))  # type: ignore[arg-type]
    engine = sa.create_engine(postgres_url)
    with engine.connect() as other:
        other.execute(sa.update(instance).values(epoch=7))
        with pytest.raises(OverloadedError):
            await db.write(lambda tx: tx.conn.execute(sa.update(instance).values(epoch=8)))
        other.rollback()
    engine.dispose()


async def test_a_server_that_forgets_is_refused(postgres_url: str, tmp_path: Path) -> None:
    def set_to(value: str) -> None:
        engine = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            name = make_url(postgres_url).database
            connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET synchronous_commit = {value}')
        engine.dispose()

    await asyncio.to_thread(set_to, "off")
    database = Database(url=postgres_url, data_dir=tmp_path, clock=SystemClock())
    database.start()
    with pytest.raises(StoreError, match="synchronous_commit=off"):
        await database.write(store(1))  # type: ignore[arg-type]
    await database.stop()


async def test_each_connection_keeps_its_own_batch_numbers(db: Database, postgres_url: str) -> None:
    for number in range(3):
        await db.write(store(number))  # type: ignore[arg-type]
    async with db.read() as read:
        rows = (await read.execute(sa.select(node_batches.c.lane, node_batches.c.last_batch))).all()

    assert [(1, 3)] == [tuple(row) for row in rows]


@pytest.mark.parametrize(("lost", "committed"), [("lose_answer", True), ("lose_request", False)])
async def test_a_commit_that_nobody_can_be_asked_about_is_settled_later_by_its_number(
    db: Database, wire: Wire, lost: str, *, committed: bool
) -> None:
    assert 1 == await db.write(store(1))  # type: ignore[arg-type]
    setattr(wire, lost, True)
    wire.close()

    with pytest.raises(AwayError) as refused:
        await db.write(store(2))  # type: ignore[arg-type]

    await wire.reopen()
    assert refused.value.maybe is not None
    lane, batch = refused.value.maybe
    assert 3 == await db.write(store(3))  # type: ignore[arg-type]
    last = await db.write(lambda tx: last_batch(tx, db.node_id, lane))
    assert committed == (last >= batch)
    assert committed == (2 in await stored_ids(db))


async def test_who_loses_the_connection_in_a_change_without_a_server_is_told_so(db: Database, wire: Wire) -> None:
    wire.lose_answer = True

    with pytest.raises(StoreError, match="the database went away in the middle of a change, which may be there"):
        await asyncio.to_thread(db.transaction, store(1))  # type: ignore[arg-type]
    assert [1] == await stored_ids(db)

    wire.close()
    with pytest.raises(StoreError, match="the database cannot be reached; nothing was changed"):
        await asyncio.to_thread(db.transaction, store(2))  # type: ignore[arg-type]
    await wire.reopen()
    assert [1] == await stored_ids(db)


async def stored_ids(db: Database) -> list[int]:
    async with db.read() as read:
        return list((await read.execute(sa.select(instance.c.id))).scalars())


async def test_a_value_that_cannot_be_sent_is_no_database_that_is_away(db: Database) -> None:
    def command(tx: Tx) -> None:
        tx.conn.execute(sa.insert(instance).values(id=1, uuid="a\0b", epoch=0))

    with pytest.raises(sa.exc.DataError):
        await db.write(command)


async def test_a_statement_that_takes_too_long_is_no_database_that_is_away(db: Database) -> None:
    def command(tx: Tx) -> None:
        tx.conn.exec_driver_sql("SET LOCAL statement_timeout = 50")
        tx.conn.exec_driver_sql("SELECT pg_sleep(5)")

    with pytest.raises(OverloadedError, match="busy") as refused:
        await db.write(command)
    assert not isinstance(refused.value, AwayError)
