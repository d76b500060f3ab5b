"""PostgreSQL plans by statistics, and of an outbox they mostly say: nothing is pending. Then 4,000 alerts come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from heartfly.clock import SystemClock
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.errors import DeliveryError
from heartfly.notify.channels.base import ChannelContext
from heartfly.notify.message import Delivery
from heartfly.notify.waiting import waiting
from tests.notify.examples import at
from tests.notify.post_office import PostOffice, ScriptedChannel
from tests.postgres_spares import APPLICATION

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

NOW = at("03:10")
N_ALERTS = 4_000
N_TRIED_TWICE = 100
TABLES = ("alerts", "notifications", "deliveries", "attempts")
Prepare = Callable[[PostOffice, list[int]], Awaitable[None]]


@pytest.fixture
async def post_on(
    postgres_url: str, tmp_path: Path, ids: IdSource, context: ChannelContext
) -> AsyncIterator[PostOffice]:
    database = Database(url=postgres_url, data_dir=tmp_path, clock=SystemClock())
    database.start()
    office = PostOffice(database, ids, context, at("03:00"))
    await office.open()
    yield office
    await database.stop()


async def told_before(post: PostOffice, channel_ids: list[int]) -> None:
    """Statistics of a table in which there was much, and all of it was sent."""
    await post.alerts(channel_ids, [f"check:old-{n}" for n in range(1_000)], at=NOW - timedelta(hours=1))
    await carry_all(post)
    maintain(post.db, "VACUUM ANALYZE")


async def emptied(post: PostOffice, channel_ids: list[int]) -> None:
    """Statistics of tables in which there is nothing at all, though they have their pages still."""
    await told_before(post, channel_ids)
    for table in TABLES:
        await post.db.write(lambda tx, table=table: tx.conn.execute(sa.text(f"DELETE FROM {table}")) and None)  # type: ignore[misc]
    maintain(post.db, "VACUUM (TRUNCATE off, ANALYZE)")


async def carry_all(post: PostOffice) -> None:
    dispatcher = post.dispatcher(ScriptedChannel(folds_storms=True, fold_limit=100))
    due = await dispatcher.round(NOW)
    while due is not None:
        due = await dispatcher.round(due)


def maintain(database: Database, words: str) -> None:
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(words)


def rows_read(database: Database) -> int:
    """As the database counts them, whatever else runs. It must be stopped: a connection tells at its end."""
    others = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        f" AND backend_type = 'client backend' AND application_name <> '{APPLICATION}'"
    )
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while connection.execute(others).scalar_one():  # they end a moment after we let go of them
            connection.exec_driver_sql("SELECT pg_sleep(0.01)")
        counted = sa.text("SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables")
        n_rows = int(connection.execute(counted).scalar_one())
    database.close()
    return n_rows


async def rows_read_by_now(database: Database) -> int:
    await database.stop()
    n_rows = rows_read(database)
    database.start()
    return n_rows


@pytest.mark.parametrize("prepare", [told_before, emptied])
async def test_many_alerts_for_people_are_read_a_few_times_each_whatever_statistics_say(
    post_on: PostOffice, prepare: Prepare
) -> None:
    channel = await post_on.scripted()
    await prepare(post_on, [channel.channel_id])
    await post_on.alerts([channel.channel_id], [f"check:{n}" for n in range(N_ALERTS)], at=NOW)
    before = await rows_read_by_now(post_on.db)

    await carry_all(post_on)

    assert {"sent"} == set(await post_on.states())
    await post_on.db.stop()
    assert rows_read(post_on.db) - before < 40 * N_ALERTS


@pytest.mark.parametrize("prepare", [told_before, emptied])
async def test_many_second_tries_for_a_machine_are_too(post_on: PostOffice, prepare: Prepare) -> None:
    channel = await post_on.scripted()
    await prepare(post_on, [channel.channel_id])
    await post_on.alerts([channel.channel_id], [f"check:{n}" for n in range(N_TRIED_TWICE)], at=NOW)
    machine = ScriptedChannel(away_at_first, concurrency=N_TRIED_TWICE)
    dispatcher = post_on.dispatcher(machine)
    before = await rows_read_by_now(post_on.db)

    for now in (NOW, NOW + timedelta(hours=1)):
        await dispatcher.round(now)

    assert 2 * N_TRIED_TWICE == len(machine.tried)
    assert {"sent"} == set(await post_on.states())
    await post_on.db.stop()
    # Some 20 to 60; 125 on a busy machine, where each answer is written by itself; each looking at each of each: 400.
    assert rows_read(post_on.db) - before < 200 * N_TRIED_TWICE**2


async def test_a_channel_that_fails_costs_no_more_however_much_comes_for_it(post_on: PostOffice) -> None:
    """What waits behind a delivery that is tried again is not read with each look at the outbox."""

    async def away(_: Delivery) -> None:
        raise DeliveryError("not now", code=503)

    channel = await post_on.scripted()
    sources = [f"check:{n}" for n in range(5)]
    await post_on.alerts([channel.channel_id], sources, at=NOW)
    await post_on.dispatcher(ScriptedChannel(away)).round(NOW)
    await post_on.alerts([channel.channel_id], sources * 400, at=NOW)
    maintain(post_on.db, "VACUUM ANALYZE")
    before = await rows_read_by_now(post_on.db)

    for _ in range(40):
        async with post_on.db.read() as read:
            assert [False] == [one.fresh for one in await waiting(read)]

    await post_on.db.stop()
    assert rows_read(post_on.db) - before < 20_000  # each look at each row would be 80,000


async def away_at_first(delivery: Delivery) -> None:
    if delivery.attempt == 1:
        raise DeliveryError("not now")
