"""What PostgreSQL's own failures mean to those who write: a lost connection, a lost answer, a forgetful server."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import pytest
import sqlalchemy as sa
from sqlalchemy import make_url

from heartfly.clock import SystemClock
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.models import instance, node_batches
from heartfly.errors import OverloadedError, StoreError

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


def store(number: int) -> object:
    def command(tx: Tx) -> int:
        tx.conn.execute(sa.insert(instance).values(id=number, uuid="x", epoch=0))
        return number

    return command


class Wire:
    """A relay to the server's socket that can lose the answer to a commit, or be cut."""

    def __init__(self, url: str, folder: Path) -> None:
        address = make_url(url)
        host = str(address.query["host"])
        self._server = next(Path(host).glob(".s.PGSQL.*[0-9]"))
        self._path = folder / self._server.name
        self.url = address.update_query_dict({"host": str(folder)}).render_as_string(hide_password=False)
        self.lose_answer = False
        self.lose_request = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_unix_server(self._accept, self._path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        await self.cut()

    async def cut(self) -> None:
        for writer in self._writers:
            writer.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._writers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(str(self._server))
        self._writers |= {writer, up_writer}
        silent = asyncio.Event()
        for task in (
            asyncio.ensure_future(self._requests(reader, up_writer, writer, silent)),
            asyncio.ensure_future(self._answers(up_reader, writer, silent)),
        ):
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _requests(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
        silent: asyncio.Event,
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                if b"COMMIT" in data and self.lose_request:
                    self.lose_request = False
                    back.close()
                    return
                if b"COMMIT" in data and self.lose_answer:
                    self.lose_answer = False
                    silent.set()
                target.write(data)
                await target.drain()
            target.close()

    async def _answers(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, silent: asyncio.Event) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                if silent.is_set():
                    target.close()
                    return
                target.write(data)
                await target.drain()
            target.close()


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
    wire._listener.close()
    with pytest.raises(OverloadedError, match="away"):
        await db.write(store(1))  # type: ignore[arg-type]
    wire._path.unlink(missing_ok=True)
    await wire.__aenter__()

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
