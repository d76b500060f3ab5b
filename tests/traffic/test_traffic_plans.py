"""Each window of rollups is a seek by its generation, so that a day costs the same however many others there are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.windows import Size
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import request_rollups, windows
from heartfly.traffic import heat, ranked, search
from heartfly.traffic.asked import Asked, Order
from heartfly.traffic.live import live
from heartfly.traffic.series import series
from heartfly.traffic.slow import slow
from heartfly.traffic.totals import n_customers, totals
from tests.one_database import on_sqlite
from tests.traffic.city import FROM, TO, City, make_city
from tests.traffic.oracle import hits_of
from tests.usage.factory import NOW, PID

pytestmark = [pytest.mark.anyio, on_sqlite]

Ask = Callable[[AsyncConnection], Awaitable[Any]]
DAY = datetime(2026, 11, 27, tzinfo=UTC)


def asked(**more: Any) -> Asked:
    return Asked(from_at=FROM, to_at=TO, zone=ZoneInfo("UTC"), **more)


def top(question: Any, by: Order = Order.REQUESTS, **more: Any) -> Ask:
    return lambda read: question(read, PID, asked(**more), by=by, limit=5, now=NOW)


ASKED: dict[str, Ask] = {
    "totals": lambda read: totals(read, PID, asked(), now=NOW),
    "totals of a class": lambda read: totals(read, PID, asked(statuses=["5xx"]), now=NOW),
    "totals of a method": lambda read: totals(read, PID, asked(methods=["GET"]), now=NOW),
    "customers there were": lambda read: n_customers(read, PID, asked(), now=NOW),
    "days": lambda read: series(read, PID, asked(), size=Size.DAY, now=NOW),
    "minutes": lambda read: series(read, PID, asked(), size=Size.MINUTE, now=NOW),
    "hours of a customer": lambda read: series(read, PID, asked(customers=["acme"]), size=Size.HOUR, now=NOW),
    "endpoints": top(ranked.endpoints),
    "endpoints by p95": top(ranked.endpoints, Order.P95),
    "endpoints of a customer": top(ranked.endpoints, customers=["acme"]),
    "endpoints of customers": top(ranked.endpoints, customers=["acme", "globex"]),
    "customers": top(ranked.customers),
    "customers of an endpoint": top(ranked.customers, endpoints=["GET /a"]),
    "customers of a method": top(ranked.customers, methods=["GET"]),
    "what is beyond the limit": top(ranked.customers, endpoints=["GET /nowhere"]),
    "a heatmap": lambda read: heat.over_time(read, PID, asked(), now=NOW),
    "the week": lambda read: heat.over_week(read, PID, asked(), now=NOW),
    "slow ones": lambda read: slow(read, PID, asked(), limit=5, now=NOW),
    "slow ones of a customer": lambda read: slow(read, PID, asked(customers=["acme"]), limit=5, now=NOW),
    "single ones": lambda read: search.requests(read, PID, asked(), limit=5, now=NOW),
    "single ones of a customer": lambda read: search.requests(read, PID, asked(customers=["acme"]), limit=5, now=NOW),
    "single ones of some": lambda read: search.requests(
        read, PID, asked(customers=["acme", "globex"]), limit=5, after=(TO, 9), now=NOW
    ),
    "keys": top(ranked.keys),
    "now": lambda read: live(read, PID, now=NOW),
}


@pytest.fixture
async def city(usage_db: Database, ids: IdSource) -> City:
    found = make_city(usage_db, ids)
    await found.sent(hits_of(60, seed=2, from_at=DAY, to_at=DAY + timedelta(hours=2)))
    await found.fold()
    await found.folder.fold_day(PID, DAY, DAY + timedelta(days=1))
    return found


async def steps_of(city: City, ask: Ask) -> list[tuple[str, bool]]:
    """And whether the step is of minutes, at both ends of a time: those are a walk of an hour each."""
    said: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        said.append((statement, parameters))

    async with city.usage.read() as read:
        sa.event.listen(read.sync_connection, "before_cursor_execute", note)
        await ask(read)
        sa.event.remove(read.sync_connection, "before_cursor_execute", note)
        found: list[tuple[str, bool]] = []
        for statement, parameters in said:
            steps: list[Any] = list(await read.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters))
            found += [(step[3], "minute" in parameters) for step in steps]
    return found


async def test_nothing_is_scanned_and_each_window_is_a_seek(city: City) -> None:
    for name, ask in ASKED.items():
        steps = await steps_of(city, ask)

        assert [] == [step for step, _ in steps if step.startswith("SCAN") and not step.startswith(_SMALL)], name
        for step, of_minutes in steps:
            if "SEARCH request_rollups" in step and not of_minutes:
                assert "start_at=? AND gen=?" in step, (name, step)
            if "SEARCH slow_requests" in step:
                assert "start_at=? AND gen=?" in step, (name, step)


_SMALL = ("SCAN counting", "SCAN json_each", "SCAN (subquery", "SCAN anon", "SCAN CONSTANT ROW")
"""Windows that were found already, and what is handed in."""


async def test_customers_of_an_endpoint_are_found_by_their_index(city: City) -> None:
    steps = await steps_of(city, ASKED["customers of an endpoint"])

    assert any("ix_request_rollups_pairs" in step and "key2=?" in step for step, _ in steps)


async def test_a_day_costs_the_same_however_many_others_there_are(city: City) -> None:
    """D1."""
    question = top(ranked.endpoints)
    await _work(city, question)
    before = await _work(city, question)

    await _more_days(city, 400)

    assert before // 100 == pytest.approx(await _work(city, question) // 100, rel=0.01)


async def _work(city: City, ask: Ask) -> int:
    """Steps of SQLite's machine, each of them counted."""
    n = 0

    def step() -> int:
        nonlocal n
        n += 1
        return 0

    async with city.usage.read() as read:
        driver: Any = (await read.get_raw_connection()).driver_connection
        await driver.set_progress_handler(step, 1)
        await ask(read)
    return n


async def _more_days(city: City, n: int) -> None:
    """Before the one that is asked for, each with its rows."""

    def work(tx: Any) -> None:
        rollup = dict(
            zip(request_rollups.c.keys(), [PID, 1, "day", None, 1, 1, 0, 200, 1, 1, 9, 9, 9, 9, None], strict=True)
        )
        for place in range(n):
            start = FROM - timedelta(days=place + 3)
            of_day = {"pid": PID, "tier": "day", "start_at": start, "end_at": start + timedelta(days=1), "gen": 1}
            tx.conn.execute(sa.insert(windows).values(**of_day, n_events=50, ids_sum=bytes(16)))
            rows = [rollup | {"start_at": start, "key1": key} for key in range(20)]
            tx.conn.execute(sa.insert(request_rollups), rows)

    await city.usage.write(work)
