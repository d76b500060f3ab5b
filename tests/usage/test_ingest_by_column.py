"""Events that come by column are kept, known and told as those that come one by one are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.api.column_bodies import columns_in
from heartfly.core.by_column import EventColumns
from heartfly.core.events import Event
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import dirty_hours, event_conflicts, event_ids, events, intake, source_hours, usage_sources
from heartfly.usage.apply import EventApplier
from heartfly.usage.ingest import EventIngest
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 28, 13, 30, tzinfo=UTC)
KEEP = timedelta(days=400)
ONE, OTHER = 7, 8


class Told:
    """Who hears of calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __call__(self, tx: Tx, pid: int, calls: Sequence[Event], /, *, now: datetime) -> None:  # noqa: ARG002
        self.calls += [one.transaction_id for one in calls]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def ingest(usage_db: Database, ids: IdSource, told: Told) -> EventIngest:
    return EventIngest(usage_db, EventApplier(ids, calls=told), SimClock(NOW), keep=KEEP)


def event(n: int, **changes: Any) -> dict[str, Any]:
    made = {
        "transaction_id": f"t-{n}",
        "customer_id": f"c-{n % 3}",
        "timestamp": (NOW - timedelta(minutes=n % 200)).isoformat(),
        "event_type": "http.request" if n % 2 else "api.call",
        "properties": {"size": str(n), "region": "eu"},
    }
    return made | changes


def columns(some: Sequence[dict[str, Any]]) -> EventColumns:
    names = ("transaction_id", "customer_id", "timestamp", "event_type")
    properties = {name: [one["properties"].get(name) for one in some] for name in ("size", "region", "source")}
    body = {name: [one[name] for one in some] for name in names} | {"properties": properties}
    made = columns_in(json.dumps(body).encode(), encoding="", now=NOW, oldest=NOW - KEEP)
    assert isinstance(made, EventColumns)
    return made


async def outcomes(ingest: EventIngest, found: Any, *, pid: int = ONE, **given: Any) -> list[str]:
    return [one.outcome.value for one in await ingest.take(pid, found, wire="native", **given)]


async def rows(db: Database, table: sa.Table, *, without: Sequence[str]) -> dict[int, list[Any]]:
    """By project, and without the numbers that are of this time only."""
    wanted = [column for column in table.columns if column.name not in {"pid", *without}]
    async with db.read() as read:
        found = (await read.execute(sa.select(table.c.pid, *wanted).order_by(*wanted))).all()
    return {pid: [tuple(row[1:]) for row in found if row.pid == pid] for pid in (ONE, OTHER)}


@pytest.mark.parametrize("n", [1, 300])
async def test_what_is_kept_of_them_is_the_same(ingest: EventIngest, usage_db: Database, told: Told, n: int) -> None:
    some = [event(number) for number in range(n)]

    assert ["accepted"] * n == await outcomes(ingest, some)
    assert ["accepted"] * n == await outcomes(ingest, columns(some), pid=OTHER)

    for table, without in (
        (events, ("id", "type_id", "subject_id")), (event_ids, ("event_id",)), (dirty_hours, ("seq",)), (intake, ()),
    ):  # fmt: skip
        kept = await rows(usage_db, table, without=without)
        assert kept[ONE]
        assert kept[ONE] == kept[OTHER], table.name
    assert [f"t-{number}" for number in range(0, n, 2)] * 2 == told.calls


async def test_once_one_by_one_and_once_by_column_they_count_once(ingest: EventIngest, usage_db: Database) -> None:
    some = [event(number) for number in range(1_200)]

    assert ["accepted"] * 600 == await outcomes(ingest, some[:600])
    assert ["duplicate"] * 600 + ["accepted"] * 600 == await outcomes(ingest, columns(some))
    assert ["duplicate"] * 1_200 == await outcomes(ingest, some)
    assert ["duplicate"] * 1_200 == await outcomes(ingest, columns(some))
    assert ["duplicate"] * 3 == await outcomes(ingest, columns(some[:3]), dry_run=True)

    async with usage_db.read() as read:
        assert 1_200 == (await read.execute(sa.select(sa.func.count()).select_from(events))).scalar_one()


async def test_another_content_under_a_known_id_is_a_conflict_and_within_a_request_the_first_counts(
    ingest: EventIngest, usage_db: Database
) -> None:
    first = [event(1), event(2), event(1), event(2, customer_id="x")]

    assert ["accepted", "accepted", "duplicate", "conflict"] == await outcomes(ingest, columns(first))
    assert ["conflict", "accepted"] == await outcomes(ingest, columns([event(1, event_type="e"), event(3)]))

    aside = await rows(usage_db, event_conflicts, without=("id", "event_id", "received_at", "at", "properties"))
    assert {("e", "c-1", "t-1"), ("api.call", "x", "t-2")} == set(aside[ONE])


async def test_requests_that_are_committed_together_are_told_apart(ingest: EventIngest, usage_db: Database) -> None:
    some = [event(number) for number in range(30)]

    found = await asyncio.gather(
        *(outcomes(ingest, columns(some[start : start + 10])) for start in (0, 10, 5, 20)),
        outcomes(ingest, [event(3), event(40)]),
    )

    assert 31 == sum(one.count("accepted") for one in found)
    assert 11 == sum(one.count("duplicate") for one in found)
    assert 31 == len((await rows(usage_db, events, without=()))[ONE])


async def test_a_source_is_heard_whoever_says_it(ingest: EventIngest, usage_db: Database) -> None:
    mine = [event(number, properties={"size": "1", "source": f"web-{number % 4}"}) for number in range(8)]

    await outcomes(ingest, mine)
    await outcomes(ingest, columns(mine), pid=OTHER)
    for pid, more in ((ONE, [event(50), event(51)]), (OTHER, columns([event(50), event(51)]))):
        await outcomes(ingest, more, pid=pid, source="app-1")
        await outcomes(ingest, [event(60)] if pid == ONE else columns([event(60)]), pid=pid)

    heard = await rows(usage_db, usage_sources, without=())
    assert ["app-1", "web-1", "web-3"] == [row[0] for row in heard[ONE]]  # the others are of calls
    assert heard[ONE] == heard[OTHER]
    hours = await rows(usage_db, source_hours, without=())
    assert hours[ONE] == hours[OTHER]
