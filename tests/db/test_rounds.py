"""Writes that wait for the next round, and several questions in one: on both databases the same comes of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.models import blind_intervals, node_batches
from heartfly.db.prepared import Prepared, Together, asked
from heartfly.errors import InvalidValueError
from tests.one_database import on_postgres

pytestmark = pytest.mark.anyio

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
INSERT = Prepared(lambda _: sa.insert(blind_intervals))
NUMBER = Prepared(lambda _: sa.insert(node_batches))
BOTH = Together(INSERT, NUMBER)
ALL = Prepared(lambda _: sa.select(blind_intervals.c.id).order_by("id"))
OF = Prepared(lambda _: sa.select(blind_intervals).where(blind_intervals.c.id == sa.bindparam("of")))
NUMBERS = Prepared(
    lambda _: (
        sa.select(node_batches.c.lane, node_batches.c.last_batch).where(node_batches.c.node_id == 99).order_by("lane")
    )
)


def interval(id_: int) -> dict[str, Any]:
    return {"id": id_, "node_id": 7, "from_at": AT, "to_at": AT, "cause": "stall"}


def number(lane: int) -> dict[str, Any]:
    return {"node_id": 99, "lane": lane, "last_batch": 10 * lane}


def ids(tx: Tx) -> list[int]:
    return [row.id for row in ALL.rows(tx)]


@asynccontextmanager
async def said_to(db: Database) -> AsyncIterator[list[str]]:
    """The statements that writers send, in the order in which they do."""
    said: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        said.append(statement)

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)


async def test_what_follows_is_there_for_whoever_asks_next(db: Database) -> None:
    def work(tx: Tx) -> list[list[int]]:
        found = []
        INSERT.follow(tx, [])
        INSERT.follow(tx, [interval(1)])
        found.append(ids(tx))
        INSERT.follow(tx, [interval(2), interval(3)])
        found.append([row[0] for row in asked(tx, (ALL, {}))[0].rows])
        INSERT.follow(tx, [interval(4)])
        found.append(list(tx.conn.execute(sa.select(blind_intervals.c.id).order_by("id")).scalars()))
        INSERT.follow(tx, [interval(5)])
        return found

    assert [[1], [1, 2, 3], [1, 2, 3, 4]] == await db.write(work)
    assert [1, 2, 3, 4, 5] == await db.write(ids)


async def test_what_follows_goes_out_in_order_with_the_end_of_the_transaction(db: Database) -> None:
    before_the_end: list[str] = []

    def handler(tx: Tx, items: Sequence[int]) -> list[int]:
        INSERT.follow(tx, [interval(one) for one in items])
        MOVE.follow(tx, [{"of": 2, "cause": "first"}, {"of": 2, "cause": "last"}])
        before_the_end.extend(said)
        return list(items)

    assert [] == await db.write(ids)  # it is connected
    async with said_to(db) as said:
        assert 2 == await db.submit(handler, 2, priority=Priority.EDITS)

    assert "last" == (await db.write(lambda tx: OF.rows(tx, of=2)))[0].cause
    if db.on_postgres:
        assert ([], ["INSERT", "UPDATE", "UPDATE"]) == (before_the_end, [one.split()[0] for one in said])


MOVE = Prepared(
    lambda _: (
        sa.update(blind_intervals).where(blind_intervals.c.id == sa.bindparam("of")).values(cause=sa.bindparam("cause"))
    )
)


async def test_how_many_rows_are_written_is_told_whatever_waits_before_them(db: Database) -> None:
    def work(tx: Tx) -> list[int]:
        INSERT.follow(tx, [interval(1), interval(2)])
        moved = MOVE.run(tx, [{"of": 1, "cause": "a"}, {"of": 2, "cause": "b"}, {"of": 3, "cause": "c"}])
        INSERT.follow(tx, [interval(3)])
        written = NUMBER.add(tx, {"node_id": [99, 99], "lane": [1, 2], "last_batch": [0, 0]})
        INSERT.follow_by_columns(tx, {name: [value, value] for name, value in interval(4).items()} | {"id": [4, 5]})
        INSERT.follow_by_columns(tx, {name: [value] for name, value in interval(6).items()})
        INSERT.follow_by_columns(tx, {name: [] for name in interval(7)})
        return [moved, written]

    assert [2, 2] == await db.write(work)
    assert [1, 2, 3, 4, 5, 6] == await db.write(ids)


async def test_several_that_follow_together_are_all_there(db: Database) -> None:
    def work(tx: Tx) -> None:
        BOTH.follow(tx, [interval(1), interval(2)], [number(7)])
        BOTH.follow(tx, [], [number(8)])
        BOTH.follow(tx, [], [])

    await db.write(work)

    assert [1, 2] == await db.write(ids)
    assert [7, 8] == [row.lane for row in await db.write(NUMBERS.rows)]


async def test_each_question_has_its_own_answer(db: Database) -> None:
    def work(tx: Tx) -> list[list[Any]]:
        INSERT.run(tx, [interval(1), interval(2)])
        NUMBER.run(tx, [number(1)])
        return [one.told(one.rows) for one in asked(tx, (OF, {"of": 2}), (OF, {"of": 3}), (NUMBERS, {}))]

    second, third, numbers = await db.write(work)

    assert [(2, AT)] == [(row.id, row.from_at) for row in second]
    assert [] == third
    assert [(1, 10)] == [tuple(row) for row in numbers]


async def test_what_follows_and_cannot_be_written_fails_its_caller_and_leaves_nothing(db: Database) -> None:
    def work(tx: Tx) -> None:
        INSERT.follow(tx, [interval(1)])
        NUMBER.follow(tx, [number(1), number(1)])
        INSERT.follow(tx, [interval(2)])

    with pytest.raises(sa.exc.IntegrityError):
        await db.write(work)

    assert [] == await db.write(ids)
    await db.write(lambda tx: INSERT.follow(tx, [interval(3)]))
    assert [3] == await db.write(ids)


async def test_a_question_that_fails_fails_as_sqlalchemy_does(db: Database) -> None:
    wrong = Prepared(lambda _: sa.select(sa.cast(sa.text("no_such_column"), sa.Integer).label("n")))

    with pytest.raises(sa.exc.DBAPIError, match="no_such_column"):
        await db.write(lambda tx: asked(tx, (ALL, {}), (wrong, {}), (ALL, {})) and None)

    assert [] == await db.write(ids)


async def test_who_is_refused_has_written_nothing_that_followed(db: Database) -> None:
    def refused(tx: Tx) -> None:
        INSERT.follow(tx, [interval(1)])
        raise InvalidValueError("field", "is wrong")

    with pytest.raises(InvalidValueError):
        await db.write(refused)

    assert [] == await db.write(ids)


@on_postgres
async def test_who_waited_for_a_lock_sees_what_was_written_under_it(db: Database) -> None:
    hold = Prepared(
        lambda _: sa.select(sa.func.pg_advisory_xact_lock(sa.bindparam("n", type_=sa.BigInteger)).label("x"))
    )
    is_held, goes_on = threading.Event(), threading.Event()

    def other() -> None:
        with db.engine.begin() as connection:
            hold.found(Tx(connection), n=5)
            is_held.set()
            goes_on.wait(30)
            INSERT.run(Tx(connection), [interval(9)])

    def work(tx: Tx) -> list[int]:
        return [row[0] for row in asked(tx, (hold, {"n": 5}), (ALL, {}))[1].rows]

    def somebody_waits() -> bool:
        with db.engine.connect() as connection:
            waiting = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            return bool(connection.execute(waiting).scalar_one())

    holding = asyncio.create_task(asyncio.to_thread(other))
    await asyncio.to_thread(is_held.wait, 30)
    asking = asyncio.create_task(db.write(work))
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(somebody_waits):
            pass
    goes_on.set()
    await holding

    assert [9] == await asking
