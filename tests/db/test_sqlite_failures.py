"""What a full disk, a damaged file and a second server mean to those who write."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from typing_extensions import override

from heartfly.clock import SystemClock
from heartfly.config import Settings
from heartfly.config.settings import Data
from heartfly.db import sqlite
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import FatalStoreError
from heartfly.db.migrate import upgrade
from heartfly.db.models import pings
from heartfly.db.parts import PARTS, USAGE, Part
from heartfly.errors import OverloadedError, StoreError
from heartfly.ground import open_ground
from tests.db.damaged import damage

pytestmark = pytest.mark.anyio


def fill(tx: Tx) -> None:
    tx.conn.exec_driver_sql("CREATE TABLE IF NOT EXISTS filler (x BLOB)")
    for _ in range(200):
        tx.conn.exec_driver_sql("INSERT INTO filler VALUES (randomblob(4000))")


async def test_a_full_disk_refuses_and_recovers_without_a_restart(tmp_path: Path) -> None:
    database = Database(url="", data_dir=tmp_path, clock=SystemClock())
    upgrade(database.engine)
    database.start()

    def limit(pages: int) -> None:
        with database.engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    def used(tx: Tx) -> int:
        return int(tx.conn.exec_driver_sql("PRAGMA page_count").scalar_one())

    # SQLite itself says "database or disk is full" at this number of pages, as it does when the disk is.
    limit(await database.write(used) + 10)
    with pytest.raises(OverloadedError, match="disk is full"):
        await database.write(fill)
    limit(1_000_000)
    await database.write(fill)
    await database.stop()


async def test_a_damaged_file_is_fatal(tmp_path: Path) -> None:
    database = Database(url="", data_dir=tmp_path, clock=SystemClock())
    upgrade(database.engine)
    database.transaction(fill)
    database.close()
    file = tmp_path / "heartfly.db"
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    file.write_bytes(bytes(content))
    fatal: list[StoreError] = []
    database = Database(url="", data_dir=tmp_path, clock=SystemClock(), on_fatal=fatal.append)
    database.start()

    with pytest.raises(FatalStoreError):
        await database.write(lambda tx: tx.conn.execute(sa.select(pings)).all())
    assert 1 == len(fatal)
    assert database.broken is fatal[0]
    await database.stop()


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_damaged_page_is_found_on_start(tmp_path: Path, part: Part) -> None:
    settings = Settings(data=Data(dir=tmp_path))
    open_ground(settings).close()
    damage(tmp_path / part.file)
    before = {each.file: (tmp_path / each.file).read_bytes() for each in PARTS}

    with pytest.raises(StoreError, match=rf"{part.file}, table filler: .*heartfly restore"):
        open_ground(settings)
    assert before == {each.file: (tmp_path / each.file).read_bytes() for each in PARTS}, "it is left as it was"


async def test_a_second_server_on_the_same_file_is_refused(tmp_path: Path) -> None:
    first = Database(url="", data_dir=tmp_path, clock=SystemClock())

    with pytest.raises(StoreError, match="another Heartfly"):
        Database(url=f"sqlite:///{tmp_path}/heartfly.db", data_dir=tmp_path / "elsewhere", clock=SystemClock())
    first.close()
    Database(url="", data_dir=tmp_path, clock=SystemClock()).close()


async def test_readers_cannot_write(tmp_path: Path) -> None:
    database = Database(url="", data_dir=tmp_path, clock=SystemClock())
    upgrade(database.engine)
    database.start()
    async with database.read() as read:
        with pytest.raises(sa.exc.OperationalError, match="readonly"):
            await read.execute(sa.delete(pings))
    await database.stop()


async def test_the_file_is_written_with_full_durability(tmp_path: Path) -> None:
    database = Database(url="", data_dir=tmp_path, clock=SystemClock())
    with database.engine.connect() as connection:
        full, wal = 2, "wal"
        assert full == connection.exec_driver_sql("PRAGMA synchronous").scalar()
        assert wal == connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    database.close()


def rows(tx: Tx, n: int) -> None:
    tx.conn.exec_driver_sql("CREATE TABLE IF NOT EXISTS filler (x)")
    counted = "WITH RECURSIVE few(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM few WHERE n < ?)"
    tx.conn.exec_driver_sql(f"{counted} INSERT INTO filler SELECT n FROM few WHERE n <= ?", (n, n))


def in_the_file(path: Path) -> int:
    """Rows that are there without the log."""
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
        known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'filler'").fetchone()
        found: int = connection.execute("SELECT count(*) FROM filler").fetchone()[0] if known else 0
        return found


async def test_the_log_is_carried_over_when_much_was_written_and_its_callers_know(tmp_path: Path) -> None:
    database = Database(url="", data_dir=tmp_path, clock=SystemClock())
    upgrade(database.engine)
    database.start()
    path, few = tmp_path / "heartfly.db", 10
    await database.write(partial(rows, n=few))
    await database.write(partial(rows, n=few))  # the writer is done with the first, its tidying included
    before = in_the_file(path)
    await database.write(partial(rows, n=5_000))
    await database.write(partial(rows, n=few))

    assert (few, 5_000 + 2 * few) == (before, in_the_file(path)), "the first is carried over whatever it is"
    await database.stop()


def test_the_log_of_usage_is_carried_over_after_more_rows_or_after_many_commits(tmp_path: Path) -> None:
    path, n = tmp_path / USAGE.file, 5_000
    engine = sqlite.writing_engine(path, USAGE)
    session = sqlite.SqliteSession(engine, USAGE)

    def written(n: int) -> int:
        session.attempt(partial(rows, n=n))
        session.tidy()
        return in_the_file(path)

    written(0)  # the first is carried over whatever it is
    assert (0, 5 * n) == (written(n), written(4 * n))
    assert [5 * n] * 999 == [written(1) for _ in range(999)]
    assert 5 * n + 1_000 == written(1)
    session.close()
    engine.dispose()


def test_a_log_that_a_reader_made_long_begins_anew_at_the_first_moment_without_one(tmp_path: Path) -> None:
    part = replace(USAGE, most_log=100)
    path = tmp_path / part.file
    engine = sqlite.writing_engine(path, part)
    session = sqlite.SqliteSession(engine, part)

    def length_after(work: Callable[[Tx], None]) -> int:
        session.attempt(work)
        session.tidy()
        return path.with_name(path.name + "-wal").stat().st_size

    length_after(partial(rows, n=1))
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as reader:
        reader.execute("BEGIN")
        assert 1 == reader.execute("SELECT count(*) FROM filler").fetchone()[0]
        long = [length_after(fill) for _ in range(10)][-1]
        one_more = length_after(partial(rows, n=1))  # few rows: it is not for their number that it is looked
        assert 1 == reader.execute("SELECT count(*) FROM filler").fetchone()[0]

    assert 100 * 4_096 < long <= one_more
    assert one_more <= length_after(partial(rows, n=1))  # all of it is in the file now
    assert 100 * 4_096 >= length_after(partial(rows, n=1))
    session.close()
    engine.dispose()


def test_the_log_of_one_who_is_killed_again_and_again_is_carried_over_at_each_first_commit(tmp_path: Path) -> None:
    path = tmp_path / USAGE.file

    def life() -> tuple[sa.Engine, int]:
        engine = sqlite.writing_engine(path, USAGE)
        session = sqlite.SqliteSession(engine, USAGE)
        for _ in range(3):
            session.attempt(partial(rows, n=10))
            session.tidy()
        return engine, in_the_file(path)

    lives = [life() for _ in range(3)]

    assert [10, 40, 70] == [n for _, n in lives]
    for engine, _ in lives:
        engine.dispose()


def test_a_log_that_cannot_be_carried_over_now_is_told_and_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "heartfly.db"
    engine = sqlite.writing_engine(path)
    session = sqlite.SqliteSession(engine)
    session.tidy()  # nothing is open yet
    session.attempt(partial(rows, n=5_000))
    with engine.connect() as connection:
        driver = sqlite.driver_of(connection)
        driver.execute("BEGIN IMMEDIATE")
        driver.execute("DELETE FROM filler WHERE x = 1")
        session.tidy()
        driver.execute("ROLLBACK")

    assert "checkpoint" in capsys.readouterr().err
    assert 0 == in_the_file(path)
    session.attempt(partial(rows, n=5_000))
    session.tidy()
    assert 10_000 == in_the_file(path)
    session.close()
    engine.dispose()


async def test_reading_before_the_start_is_an_error(tmp_path: Path) -> None:
    database = Database(url="", data_dir=tmp_path, clock=SystemClock())

    with pytest.raises(StoreError):
        async with database.read():
            pass
    database.close()


async def test_the_writer_of_a_running_server_writes_with_full_durability(tmp_path: Path) -> None:
    database = Database(url="", data_dir=tmp_path, clock=SystemClock())
    upgrade(database.engine)
    database.start()

    full = 2
    assert full == await database.write(lambda tx: tx.conn.exec_driver_sql("PRAGMA synchronous").scalar())
    await database.stop()


async def test_a_question_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    class Hasty(SystemClock):
        @override
        def monotonic(self) -> float:
            return super().monotonic() * 100  # five seconds are over after fifty milliseconds

    database = Database(url="", data_dir=tmp_path, clock=Hasty())
    upgrade(database.engine)
    database.start()
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"

    with pytest.raises(OverloadedError, match="too long"):
        async with database.read() as read:
            await read.exec_driver_sql(endless)
    async with database.read() as read:
        assert 1 == (await read.exec_driver_sql("SELECT 1")).scalar()
    await database.stop()


async def test_another_program_that_holds_the_file_is_waited_for_and_then_told(tmp_path: Path) -> None:
    database = Database(url="", data_dir=tmp_path, clock=SystemClock())
    upgrade(database.engine)
    database.start()
    other = sqlite3.connect(tmp_path / "heartfly.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(OverloadedError, match="another program"):
        await database.write(lambda tx: tx.conn.execute(sa.delete(pings)))
    other.execute("ROLLBACK")
    other.close()
    await database.write(lambda tx: tx.conn.execute(sa.delete(pings)))
    await database.stop()


@pytest.mark.parametrize(
    "where", ["the work", "a savepoint", "the commit", "what has ended", "a savepoint of what has ended"]
)
def test_whatever_fails_nothing_of_it_stays_and_the_next_one_works(tmp_path: Path, where: str) -> None:
    engine = sqlite.writing_engine(tmp_path / "heartfly.db")
    session = sqlite.SqliteSession(engine)

    def table(tx: Tx) -> None:
        tx.conn.exec_driver_sql("CREATE TABLE one (id INTEGER PRIMARY KEY)")
        tx.conn.exec_driver_sql("CREATE TABLE two (one_id REFERENCES one (id) DEFERRABLE INITIALLY DEFERRED)")

    def fails(tx: Tx) -> None:
        tx.conn.exec_driver_sql("INSERT INTO one VALUES (1)")
        if where == "the commit":
            tx.conn.exec_driver_sql("INSERT INTO two VALUES (99)")
            return
        if where == "what has ended":  # as a full disk leaves it
            tx.conn.exec_driver_sql("ROLLBACK")
            raise StoreError(where)
        with tx.conn.begin_nested() if "savepoint" in where else nullcontext():
            if where == "a savepoint of what has ended":
                tx.conn.exec_driver_sql("ROLLBACK")
                raise StoreError(where)
            tx.conn.exec_driver_sql("INSERT INTO one VALUES (1)")

    def works(tx: Tx) -> list[int]:
        with tx.conn.begin_nested():
            tx.conn.exec_driver_sql("INSERT INTO one VALUES (2)")
        return list(tx.conn.exec_driver_sql("SELECT id FROM one").scalars())

    session.attempt(table)
    with pytest.raises((sa.exc.DBAPIError, sqlite3.IntegrityError, StoreError)):
        session.attempt(fails)

    assert [2] == session.attempt(works)
    session.close()
    with sqlite3.connect(tmp_path / "heartfly.db") as other:
        assert [(2,)] == other.execute("SELECT id FROM one").fetchall()
    other.close()
    engine.dispose()
