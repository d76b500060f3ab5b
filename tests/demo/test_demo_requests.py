"""The demo's requests: the same each time, of every endpoint and customer, with what there is to be found in them."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.access.as_event import TYPE
from heartfly.db import models as tables
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.demo import requests as demo_requests
from heartfly.demo.fill import SLUG
from heartfly.demo.requests import ENDPOINTS, SENT_AS, fill_requests, request, requests_go_on
from heartfly.usage.apply import EventApplier
from heartfly.usage.ingest import EventIngest
from tests.demo.test_demo_usage import told
from tests.demo.test_fill import NOW, all_of
from tests.sim_clock import SimClock
from tests.world import make_world

pytestmark = pytest.mark.anyio


async def test_requests_are_the_same_each_time_and_full_of_what_one_looks_for(
    db: Database, usage_db: Database, ids: IdSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (30, 8, 40) == (demo_requests.DAYS, len(ENDPOINTS), len(SENT_AS))
    monkeypatch.setattr(demo_requests, "DAYS", 4)
    world = await make_world(db, ids, NOW, slug=SLUG)
    await usage_db.write(lambda tx: fill_requests(tx, world.project, seed=1, now=NOW, ids=IdSource(0)))
    first = await told(usage_db)
    await usage_db.write(lambda tx: tx.conn.execute(sa.delete(tables.events)).rowcount)
    again = (await make_world(db, ids, NOW, slug="again")).project
    await usage_db.write(lambda tx: fill_requests(tx, again, seed=1, now=NOW, ids=IdSource(1)))
    properties = [json.loads(row.properties) for row in await all_of(usage_db, sa.select(tables.events))]
    statuses = Counter(one["status"] for one in properties)
    bad = [one for one in properties if one["route"] == "/v1/search" and one["status"] >= 500]

    assert sorted(first) == sorted(await told(usage_db))
    assert 2_000 < len(first) < 6_000
    assert NOW - timedelta(days=5) < min(row[1] for row in first) < max(row[1] for row in first) <= NOW
    assert set(SENT_AS) == {row[-1] for row in first}
    assert {one.route for one in ENDPOINTS[:-1]} == {
        one["route"] for one in properties
    }  # the old one is called no more
    assert {200, 201, 304, 400, 404, 429, 500} <= statuses.keys()
    assert len(bad) >= 3


async def test_they_go_on_while_the_demo_serves(db: Database, usage_db: Database, ids: IdSource) -> None:
    world = await make_world(db, ids, NOW, slug=SLUG)
    clock = SimClock(NOW)
    ingest = EventIngest(usage_db, EventApplier(ids), clock, keep=timedelta(days=35))
    going_on = requests_go_on(world.project, ingest, clock, seed=1)
    for _ in range(5):
        await going_on.some()
    rows: list[Any] = await all_of(usage_db, sa.select(tables.events.c.at))

    assert 0 < len(rows) <= 10
    assert all(NOW - timedelta(seconds=10) < row.at <= NOW for row in rows)


def test_a_request_names_all_that_a_log_does() -> None:
    _, found = request("x", NOW, Random(1))

    assert TYPE == found["event_type"]
    assert {"method", "route", "path", "status", "latency_ms", "key", "source", "request_id"} <= found[
        "properties"
    ].keys()
