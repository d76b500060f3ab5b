"""Looks at one state: on PostgreSQL a connection waits for the next look while a database is open, and no longer."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from heartfly.clock import SystemClock
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import projects
from heartfly.db.snapshots import snapshot
from tests.world import make_world

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
WHO = sa.text("SELECT pg_backend_pid()")
NAMED = sa.text("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(:pids)")


def looks(database: Database, n: int) -> list[int]:
    """By which of the server's processes each was answered."""
    found = []
    for _ in range(n):
        with snapshot(database.place) as connection:
            found.append(int(connection.execute(WHO).scalar_one()))
    return found


@pytest.mark.postgres
async def test_while_a_database_is_open_one_connection_serves_look_after_look(
    postgres_url: str, tmp_path: Path
) -> None:
    database = Database(url=postgres_url, data_dir=tmp_path, clock=SystemClock())
    database.start()
    pids = looks(database, 3)
    with snapshot(database.place) as first, snapshot(database.place) as second:
        both = {first.execute(WHO).scalar_one(), second.execute(WHO).scalar_one()}
    await database.stop()

    assert 1 == len(set(pids))
    assert 2 == len(both)
    with snapshot(database.place) as connection:
        while connection.execute(NAMED, {"pids": [*pids, *both]}).scalar_one():  # they end a moment after that
            connection.exec_driver_sql("SELECT pg_sleep(0.01), pg_stat_clear_snapshot()")


@pytest.mark.postgres
async def test_where_nobody_holds_a_database_open_no_connection_waits(postgres_url: str, tmp_path: Path) -> None:
    database = Database(url=postgres_url, data_dir=tmp_path, clock=SystemClock())
    pids = looks(database, 3)
    database.close()

    assert 3 == len(set(pids))


@pytest.mark.postgres
async def test_a_connection_that_was_ended_meanwhile_is_made_anew(postgres_url: str, tmp_path: Path) -> None:
    database = Database(url=postgres_url, data_dir=tmp_path, clock=SystemClock())
    database.start()
    (before,) = looks(database, 1)
    await database.write(lambda tx: tx.conn.execute(sa.select(sa.func.pg_terminate_backend(before))).scalar())
    (after,) = looks(database, 1)
    await database.stop()

    assert before != after


async def test_a_look_is_of_one_state_and_the_next_one_of_the_next(db: Database, ids: IdSource) -> None:
    slugs = sa.select(sa.func.count()).select_from(projects)

    async def add(slug: str) -> None:
        await make_world(db, ids, NOW, slug=slug)

    await add("first")
    with snapshot(db.place) as connection:
        seen = [connection.execute(slugs).scalar_one()]
        await add("second")
        seen.append(connection.execute(slugs).scalar_one())
    with snapshot(db.place) as connection:
        seen.append(connection.execute(slugs).scalar_one())

    assert [1, 1, 2] == seen
