"""The demo's calls to other people's APIs: the same each time, of each product, and one product without a price."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.db import models as tables
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.demo import calls as demo_calls
from heartfly.demo.calls import PRODUCTS, calls_go_on, fill_calls
from heartfly.demo.fill import SLUG
from heartfly.usage.apply import EventApplier
from heartfly.usage.ingest import EventIngest
from heartfly.usage.price_reading import read_book
from tests.demo.test_demo_usage import told
from tests.demo.test_fill import NOW, all_of
from tests.sim_clock import SimClock
from tests.world import make_world

pytestmark = pytest.mark.anyio


async def test_calls_are_the_same_each_time_and_one_product_has_no_price(
    db: Database, usage_db: Database, ids: IdSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_calls, "DAYS", 20)
    world = await make_world(db, ids, NOW, slug=SLUG)
    await usage_db.write(lambda tx: fill_calls(tx, world.project, seed=1, now=NOW, ids=IdSource(0)))
    first = await told(usage_db)
    properties = [json.loads(row.properties) for row in await all_of(usage_db, sa.select(tables.events))]
    async with usage_db.read() as read:
        book = await read_book(read, world.project.pid)
    await usage_db.write(lambda tx: tx.conn.execute(sa.delete(tables.events)).rowcount)
    again = (await make_world(db, ids, NOW, slug="again")).project
    await usage_db.write(lambda tx: fill_calls(tx, again, seed=1, now=NOW, ids=IdSource(1)))

    units = {one.model: dict.fromkeys((*one.units, "requests"), 10**18) for one in PRODUCTS}
    costs = {one.model: book.cost(one.provider, one.model, "", units[one.model], NOW) for one in PRODUCTS}
    before = book.cost("mapbox", "geocoding", "", units["geocoding"], NOW - timedelta(days=19))

    assert sorted(first) == sorted(await told(usage_db))
    assert {one.model for one in PRODUCTS} == {one["model"] for one in properties}
    assert {"200", "429"} <= {one["status"] for one in properties}
    assert ["translate"] == [model for model, cost in costs.items() if not cost.known]
    assert before.amounts["EUR"] < costs["geocoding"].amounts["EUR"]


async def test_calls_go_on_while_the_demo_serves(db: Database, usage_db: Database, ids: IdSource) -> None:
    world = await make_world(db, ids, NOW, slug=SLUG)
    ingest = EventIngest(usage_db, EventApplier(ids), SimClock(NOW), keep=timedelta(days=35))
    going_on = calls_go_on(world.project, ingest, SimClock(NOW), seed=1)
    for _ in range(5):
        await going_on.some()
    rows: list[Any] = await all_of(usage_db, sa.select(tables.events.c.at))

    assert 0 < len(rows) <= 10
    assert all(NOW - timedelta(seconds=20) < row.at <= NOW for row in rows)
