"""Small questions: the same rows on both databases, and a connection that broke is replaced."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.lookup import Lookup
from heartfly.db.models import blind_intervals
from heartfly.db.prepared import Prepared
from heartfly.errors import StoreError
from tests.one_database import on_postgres

pytestmark = pytest.mark.anyio

AT = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)
OF = Prepared(
    lambda _: (
        sa.select(blind_intervals.c.id, blind_intervals.c.from_at, blind_intervals.c.cause)
        .where(blind_intervals.c.from_at >= sa.bindparam("since", type_=blind_intervals.c.from_at.type))
        .order_by("id")
    )
)


def two(tx: Tx) -> None:
    rows = [{"id": one, "node_id": 7, "from_at": AT, "to_at": AT, "cause": f"{one} %"} for one in (1, 2)]
    tx.conn.execute(sa.insert(blind_intervals), rows)


def cut(tx: Tx) -> None:
    """All connections of this database but our own."""
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    tx.conn.exec_driver_sql(f"{others} AND pid <> pg_backend_pid()")


async def test_it_finds_what_was_committed_before(db: Database) -> None:
    assert [] == list(await db.look_up(OF, since=AT))

    await db.write(two)

    found = await db.look_up(OF, since=AT)
    assert [(1, AT, "1 %"), (2, AT, "2 %")] == [tuple(row) for row in found]
    assert ["1 %", "2 %"] == [row.cause for row in found]


async def test_many_may_ask_at_once(db: Database) -> None:
    await db.write(two)

    found = await asyncio.gather(*(db.look_up(OF, since=AT) for _ in range(20)))

    assert {2} == {len(rows) for rows in found}


@on_postgres
async def test_a_connection_that_broke_meanwhile_is_replaced(db: Database) -> None:
    await db.write(two)
    assert 2 == len(await db.look_up(OF, since=AT))

    await db.write(cut)

    assert 2 == len(await db.look_up(OF, since=AT))


@on_postgres
async def test_a_question_that_cannot_be_asked_fails_as_sqlalchemy_does(db: Database) -> None:
    wrong = Prepared(lambda _: sa.select(sa.cast(sa.text("no_such_column"), sa.Integer).label("n")))

    with pytest.raises(sa.exc.ProgrammingError, match="no_such_column"):
        await db.look_up(wrong)

    assert [] == list(await db.look_up(OF, since=AT))


@pytest.mark.postgres
async def test_without_a_server_it_is_away() -> None:
    lookup = Lookup("postgresql+psycopg://heartfly@127.0.0.1:1/heartfly", connect_timeout=3)

    with pytest.raises(sa.exc.OperationalError):
        await lookup.rows(OF, since=AT)

    await lookup.close()


@pytest.mark.postgres
async def test_of_those_who_wait_for_a_server_that_is_away_one_alone_tries() -> None:
    tried = 0

    def come(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tried
        tried += 1
        writer.close()

    async with await asyncio.start_server(come, "127.0.0.1", 0) as away:
        port = away.sockets[0].getsockname()[1]
        lookup = Lookup(f"postgresql+psycopg://heartfly@127.0.0.1:{port}/heartfly?sslmode=disable", connect_timeout=30)
        told = await asyncio.gather(*(lookup.rows(OF, since=AT) for _ in range(5)), return_exceptions=True)
        assert [sa.exc.OperationalError] * 5 == [type(one) for one in told]
        assert 1 == tried
        with pytest.raises(sa.exc.OperationalError):
            await lookup.rows(OF, since=AT)  # who comes later finds out for himself
        assert 2 == tried
        await lookup.close()


async def test_after_the_end_nobody_asks(db: Database) -> None:
    await db.look_up(OF, since=AT)
    await db.stop()

    with pytest.raises(StoreError, match="not open"):
        await db.look_up(OF, since=AT)
