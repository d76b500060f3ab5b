"""Sources over the API: who sends, how far each has come, and to retire one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.api.conftest import START
from tests.api.door import House

pytestmark = pytest.mark.anyio

OPEN = ("first_at", "seen_at", "live_at", "watermark")


async def send(house: House, number: int, source: str, *, path: str = "/v1/events", ago_s: int = 60) -> int:
    event = {
        "transaction_id": f"t-{number}",
        "customer_id": "c",
        "timestamp": (START - timedelta(seconds=ago_s)).isoformat(),
        "event_type": "call",
        "properties": {"source": "is not asked"},
    }
    reply = await house.full("POST", path, [event], headers=[("Heartfly-Source", source)])
    return reply.status


async def listed(house: House, query: str = "") -> Any:
    return (await house.read("GET", f"/v1/usage/sources{query}")).json


async def test_without_sources_the_list_is_empty(house: House) -> None:
    assert {"items": [], "next": None} == await listed(house)


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events?dry_run=false", "/metronome/v1/ingest"])
async def test_whoever_brings_events_may_say_who_he_is(house: House, path: str) -> None:
    assert 200 == await send(house, 1, "app-1", path=path)

    (one,) = (await listed(house))["items"]
    assert ("app-1", 60, None, None) == tuple(one[name] for name in ("name", "lag_s", "retired_at", "retired_by"))
    assert ["2026" == one[name][:4] for name in OPEN] == [True] * len(OPEN)


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events?dry_run=false", "/metronome/v1/ingest"])
async def test_a_name_that_is_none_is_refused_and_nothing_stored(house: House, path: str) -> None:
    assert 4 == await send(house, 1, "x" * 129, path=path) // 100

    assert [] == (await listed(house))["items"]
    assert [] == (await house.read("GET", "/v1/events")).json["items"]


async def test_a_dry_run_makes_no_source(house: House) -> None:
    assert 200 == await send(house, 1, "app-1", path="/v1/events?dry_run=true")
    assert [] == (await listed(house))["items"]


async def test_sources_are_listed_by_name_page_by_page(house: House) -> None:
    for number, name in enumerate(["b", "a", "c, d"]):
        await send(house, number, name)
    first = await listed(house, "?limit=2")
    rest = await listed(house, f"?limit=2&cursor={first['next']}")

    assert (["a", "b"], ["c, d"], None) == (
        [one["name"] for one in first["items"]],
        [one["name"] for one in rest["items"]],
        rest["next"],
    )
    for cursor in ("none", "Zm9vLDE", "%FF"):
        refused = await house.read("GET", f"/v1/usage/sources?cursor={cursor}")
        assert (422, "cursor") == (refused.status, refused.json["errors"][0]["field"])


async def test_one_is_retired_and_the_audit_says_by_whom(house: House) -> None:
    await send(house, 1, "app-1")
    told = await house.full("POST", "/v1/usage/sources/retire", {"name": "app-1"})

    assert 200 == told.status, told.body
    assert told.json == (await listed(house))["items"][0]
    assert told.json["retired_at"] is not None
    (entry,) = (await house.full("GET", "/v1/audit?action=source.retire")).json["items"]
    assert ("source:app-1", told.json["retired_by"]) == (entry["object"], entry["actor"])
    assert 403 == (await house.read("POST", "/v1/usage/sources/retire", {"name": "app-1"})).status


async def test_one_that_is_not_there_cannot_be_retired(house: House) -> None:
    assert 404 == (await house.full("POST", "/v1/usage/sources/retire", {"name": "app-1"})).status
    assert 422 == (await house.full("POST", "/v1/usage/sources/retire", {"name": ""})).status


async def test_a_day_says_for_whom_it_waits(house: House) -> None:
    await send(house, 1, "app-1", ago_s=int(timedelta(days=1).total_seconds()))
    day = (START - timedelta(days=1)).date().isoformat()
    told = (await house.full("POST", "/v1/usage/runs", {"day": day, "dry_run": False})).json

    # It brought history, so nobody waits for it.
    closed = told["closed"]
    assert ("final", [], [], None) == tuple(closed[name] for name in ("state", "waits_for", "without", "watermark"))
    assert closed == (await house.read("GET", "/v1/usage/days")).json["items"][0]
