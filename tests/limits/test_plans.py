"""What a check costs does not grow with what was called: so many statements, each a walk down an index."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.limits.scope import Call
from heartfly.db.changes import Tx
from heartfly.limits import queries
from heartfly.limits.batch import Ask, Checked
from tests.limits.desk import PID, Desk, amounts
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio


async def statements(desk: Desk, n: int) -> list[str]:
    """Of a batch of `n` checks of as many customers, at what time it is."""
    said: list[str] = []

    def asked(number: int) -> Ask:
        return Ask(
            pid=PID, at=desk.clock.now(), call=Call(provider="openai", customer=f"c-{number}"),
            units=amounts({"input_tokens": 5}), reserve=True, ttl=timedelta(days=1), key_hash=None, asked=b"",
        )  # fmt: skip

    def command(tx: Tx) -> None:
        if desk.usage.on_postgres:
            note: Any = lambda _c, _u, statement, *_: said.append(statement)  # noqa: E731 - taken off again
            sa.event.listen(tx.conn, "before_cursor_execute", note)
        else:
            driver: Any = tx.conn.connection.driver_connection
            driver.set_trace_callback(said.append)
        try:
            told = desk.applier.apply(tx, [asked(number) for number in range(n)])
            assert all(isinstance(one, Checked) and one.denied_by is None for one in told)
        finally:
            if desk.usage.on_postgres:
                sa.event.remove(tx.conn, "before_cursor_execute", note)
            else:
                driver.set_trace_callback(None)

    await desk.usage.write(command)
    return [one for one in said if not one.startswith(("SAVEPOINT", "RELEASE", "BEGIN"))]


async def limits(desk: Desk) -> None:
    await desk.limit(amount="1000000", scope={"customer": "each"})
    await desk.limit(amount="1000000", scope={"provider": "openai"}, unit="tokens", period_s=86_400)
    await desk.limit(kind="rate", amount="1000000", period_s=60)


async def test_a_batch_of_sixty_checks_asks_the_database_as_often_as_one(desk: Desk) -> None:
    await limits(desk)
    await statements(desk, 64)

    one, many = await statements(desk, 1), await statements(desk, 64)

    assert len(one) <= 8
    assert len(many) <= len(one) + 12  # SQLite writes rows by powers of two


async def test_a_check_after_a_day_of_calls_reads_no_more_than_the_first(desk: Desk, clock: SimClock) -> None:
    await limits(desk)
    await statements(desk, 1)
    first = await statements(desk, 1)
    start = clock.now()
    for hour in range(24):
        clock.move_to(start + timedelta(hours=hour))
        await asyncio.gather(*(desk.track(*({"provider": "openai"} for _ in range(50))) for _ in range(2)))
        held = await desk.reserved(provider="openai")
        await desk.commit(held, requests=1)

    after = await statements(desk, 1)
    assert len(first) == len(after)
    async with desk.usage.read() as read:
        table = sa.text("SELECT max(length(state)) FROM limit_counters" if not desk.usage.on_postgres
                        else "SELECT max(length(state)) FROM usage.limit_counters")  # fmt: skip
        assert (await read.execute(table)).scalar_one() < 6_000


async def test_every_statement_of_a_check_is_a_walk_down_an_index(desk: Desk) -> None:
    if desk.usage.on_postgres:
        return
    await limits(desk)
    said = [one for one in await statements(desk, 3) if one.startswith("SELECT")]

    async with desk.usage.read() as read:
        for one in said:
            found: Any = await read.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}")
            told = "\n".join(row[3] for row in found)
            assert "SCAN limit" not in told, one
    assert len(said) >= 3


@pytest.mark.parametrize("name", ["limits", "counters", "denials", "told"])
async def test_what_is_listed_is_a_walk_down_an_index_too(desk: Desk, name: str) -> None:
    if desk.usage.on_postgres:
        return
    limit = await desk.limit(amount="5", scope={"customer": "each"})
    row = (await desk.shown(limit)).row
    now, said = desk.clock.now(), list[tuple[str, Any]]()

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        said.append((statement, parameters))

    async with desk.usage.read() as read:
        sa.event.listen(read.sync_connection, "before_cursor_execute", note)
        if name == "limits":
            await queries.list_limits(read, PID, now=now, limit=5)
        elif name == "counters":
            await queries.counters_of(read, PID, row, now=now, after=(5, "x"), limit=5)
        elif name == "denials":
            await queries.list_denials(read, PID, after=(now, 5, "x"), limit=5)
        else:
            await queries.told_by_providers(read, PID, after=("a", "b"), limit=5)
        sa.event.remove(read.sync_connection, "before_cursor_execute", note)
        for statement, parameters in list(said):
            rows: Any = await read.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            told = "\n".join(line[3] for line in rows)
            assert "SCAN limit" not in told, (statement, told)
