"""Days of usage over the API: listed with their state, and closed anew, with what would change first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.amounts import ONE
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import meter_versions, meters, rollups
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from tests.api.conftest import START
from tests.api.door import House
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

YESTERDAY = START - timedelta(days=1)
DAY = YESTERDAY.date().isoformat()
SUM = {"event_types": ["call"], "aggregation": "sum", "value": "size"}


@pytest.fixture
async def used(house: House, usage_db: Database, ids: IdSource) -> House:
    """A project that used something yesterday, with a meter that knows of it."""
    pid = house.world.project.pid
    values: dict[str, Any] = {"pid": pid, "id": 5, "slug": "size", "name": "Size", "unit": "B", "rev": 1}

    def work(tx: Tx) -> None:
        tx.conn.execute(sa.insert(meters).values(**values, uuid="u", created_at=START))
        version = {"pid": pid, "id": 6, "meter_id": 5, "definition": SUM}
        tx.conn.execute(sa.insert(meter_versions).values(**version, created_at=START))

    await usage_db.write(work)
    sent = [
        {
            "transaction_id": f"t-{number}",
            "customer_id": f"c-{number % 2}",
            "timestamp": (YESTERDAY + timedelta(minutes=number)).isoformat(),
            "event_type": "call",
            "properties": {"size": "0.1"},
        }
        for number in range(10)
    ]
    assert 200 == (await house.full("POST", "/v1/events", sent)).status
    return house


@pytest.fixture
async def folder(usage_db: Database, clock: SimClock, ids: IdSource) -> Folder:
    return Folder(usage_db, clock, ids, hands=Hands(beside=False))


async def run(house: House, *, dry_run: bool) -> Any:
    reply = await house.full("POST", "/v1/usage/runs", {"day": DAY, "dry_run": dry_run})
    assert 200 == reply.status, reply.body
    return reply.json


async def test_a_dry_run_tells_what_would_change_and_changes_nothing(used: House) -> None:
    told = await run(used, dry_run=True)

    assert (True, None, 10) == (told["dry_run"], told["closed"], told["n_events"])
    assert {"size"} == {one["meter"] for one in told["differences"] if one["meter"]}
    assert {"0.5 of 5 events"} == {one["would_be"] for one in told["differences"] if one["meter"]}
    assert [] == (await used.read("GET", "/v1/usage/days")).json["items"]


async def test_a_run_closes_the_day_and_leaves_an_entry_in_the_audit(used: House) -> None:
    told = await run(used, dry_run=False)

    (day,) = (await used.read("GET", "/v1/usage/days")).json["items"]
    assert told["closed"] == day
    assert (DAY, "final", "", 10) == (day["day"], day["state"], day["mismatch"], day["figures"]["events_raw"])
    entries = (await used.full("GET", "/v1/audit?action=usage.rerun")).json["items"]
    assert [f"usage_day:{DAY}"] == [entry["object"] for entry in entries]

    again = await run(used, dry_run=True)
    assert (0, 0, []) == (again["n_differences"], again["n_waiting"], again["differences"])


async def test_a_run_puts_right_what_was_changed(used: House, usage_db: Database) -> None:
    first = await run(used, dry_run=False)
    await usage_db.write(lambda tx: tx.conn.execute(sa.update(rollups).values(sum=7 * ONE)))
    told = await run(used, dry_run=True)
    assert {("7 of 5 events", "0.5 of 5 events")} <= {(one["kept"], one["would_be"]) for one in told["differences"]}

    told = await run(used, dry_run=False)
    assert (first["closed"]["fingerprint"], False) == (told["closed"]["fingerprint"], told["changed"])
    assert 0 == (await run(used, dry_run=True))["n_differences"]


async def test_a_day_that_is_not_over_is_refused(used: House) -> None:
    reply = await used.full("POST", "/v1/usage/runs", {"day": START.date().isoformat()})

    assert (422, ["day"]) == (reply.status, reply.fields)


async def test_days_are_told_page_by_page_and_within_bounds(used: House) -> None:
    for back in range(1, 5):
        day = (START - timedelta(days=back)).date().isoformat()
        assert 200 == (await used.full("POST", "/v1/usage/runs", {"day": day, "dry_run": False})).status

    first = (await used.read("GET", "/v1/usage/days?limit=3")).json
    rest = (await used.read("GET", f"/v1/usage/days?limit=3&cursor={first['next']}")).json
    days = [one["day"] for one in first["items"] + rest["items"]]
    assert (4, None, sorted(days, reverse=True)) == (len(days), rest["next"], days)
    within = (await used.read("GET", f"/v1/usage/days?from={days[2]}&to={days[0]}")).json["items"]
    assert [days[1], days[2]] == [one["day"] for one in within]


async def test_what_is_folded_since_is_told_beside_what_was_proved(used: House, folder: Folder) -> None:
    await run(used, dry_run=False)
    assert ([], True) == ((told := await run(used, dry_run=True))["changed_since_proved"], told["was_proved"])
    late = {
        "transaction_id": "late",
        "customer_id": "c-1",
        "timestamp": YESTERDAY.isoformat(),
        "event_type": "call",
        "properties": {"size": "0.000000000000000001"},
    }
    bad = late | {"transaction_id": "bad", "properties": {"size": "abc"}}
    assert 200 == (await used.full("POST", "/v1/events", [late, bad])).status
    while await folder.round():
        pass

    told = await run(used, dry_run=True)
    assert 0 == told["n_differences"]
    assert {
        "meter": "size", "customer": "c-1",
        "proved": "0.5", "proved_n": 5, "would_be": "0.500000000000000001", "would_be_n": 6,
    } == told["changed_since_proved"][0]  # fmt: skip
    assert (1, []) == (told["n_changed"], told["unknown_meters"])
    (day,) = (await used.read("GET", "/v1/usage/days")).json["items"]
    assert ("provisional", ["size"], []) == (day["state"], day["provisional_meters"], day["amended_meters"])

    closed = (await run(used, dry_run=False))["closed"]
    assert ("amended", [], ["size"]) == (closed["state"], closed["provisional_meters"], closed["amended_meters"])
    assert {"size": 1} == closed["uncounted"]
    assert 0 == (await run(used, dry_run=True))["n_changed"]


async def test_rows_that_were_changed_are_not_told_as_what_was_proved(used: House, usage_db: Database) -> None:
    await run(used, dry_run=False)
    await usage_db.write(lambda tx: tx.conn.execute(sa.update(rollups).values(sum=7 * ONE)))

    told = await run(used, dry_run=True)
    assert (0, ["size"]) == (told["n_changed"], told["unknown_meters"])
