"""Events that go past the framework are answered as the framework's own route answers them, head and body."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from typing import Any

import pytest

from tests.api.door import Door, House, Reply
from tests.api.test_events_door import event

pytestmark = pytest.mark.anyio


def columns(events: list[dict[str, Any]]) -> bytes:
    names = sorted({name for one in events for name in one.get("properties", ())})
    told = {
        name: [one[name] for one in events] for name in ("transaction_id", "customer_id", "timestamp", "event_type")
    }
    properties = {name: [one.get("properties", {}).get(name) for one in events] for name in names}
    return json.dumps(told | {"properties": properties}).encode()


def outcomes(reply: Reply) -> list[str]:
    return [one["outcome"] for one in reply.json["results"]]


GOOD = json.dumps([event(1), event(1), event(1, customer_id="x"), event(2), event(3, timestamp="never")]).encode()
LINES = b"\n".join(json.dumps(event(number)).encode() for number in range(3)) + b"\n{"
SENT: dict[str, dict[str, Any]] = {
    "events": {"body": GOOD},
    "lines": {"body": LINES, "headers": [("Content-Type", "application/x-ndjson; charset=utf-8")]},
    "packed": {"body": gzip.compress(GOOD), "headers": [("Content-Encoding", "gzip")]},
    "briefly": {"body": GOOD, "headers": [("Prefer", "return=minimal")]},
    "none": {"body": b"[]"},
    "nothing": {"body": b""},
    "no JSON": {"body": b'[{"a": }]'},
    "not packed": {"body": GOOD, "headers": [("Content-Encoding", "gzip")]},
    "packed otherwise": {"body": GOOD, "headers": [("Content-Encoding", "br")]},
    "too many": {"body": json.dumps([{}] * 2_001).encode()},
    "too large, as it says": {"body": GOOD, "headers": [("Content-Length", str(4 * 1024 * 1024 + 1))]},
    "too large": {"body": b" " * (4 * 1024 * 1024 + 1)},
}
COLUMNS: dict[str, dict[str, Any]] = {
    "events": {"body": columns([event(1), event(1), event(1, customer_id="x"), event(2), event(3, timestamp="never")])},
    "plain": {"body": columns([event(1), event(2)])},
    "packed": {"body": gzip.compress(columns([event(1), event(2)])), "headers": [("Content-Encoding", "gzip")]},
    "briefly": {"body": columns([event(1), event(2), event(2)]), "headers": [("Prefer", "return=minimal")]},
    "none": {"body": columns([])},
    "large": {"body": columns([event(number, properties={"a": "x" * 300}) for number in range(1_000)])},
    "an array": {"body": GOOD},
    **{name: SENT[name] for name in ("nothing", "no JSON", "packed otherwise", "too large")},
}


@pytest.mark.parametrize("name", COLUMNS)
async def test_by_column_it_says_what_the_route_says(house: House, neighbour: House, name: str) -> None:
    past = await house.full("POST", "/v1/events/columns", **COLUMNS[name])
    routed = await neighbour.full("POST", "/v1/events/columns?dry_run=false", **COLUMNS[name])

    assert (routed.status, routed.headers, routed.json) == (past.status, past.headers, past.json)
    assert (name in {"events", "plain", "packed", "briefly"}) <= (past.json.get("accepted") == 2)


async def test_by_column_each_hears_what_it_hears_alone(house: House, neighbour: House) -> None:
    some = [event(1), event(2, timestamp="never"), event(3, properties={"n": [1]}), event(1, customer_id="x"), event(1)]

    alone = await house.full("POST", "/v1/events", some)
    by_column = await house.full("POST", "/v1/events/columns", body=columns([*some, event(4)]))
    first = await neighbour.full("POST", "/v1/events/columns", body=columns([event(8), event(9, timestamp="never")]))
    again = await neighbour.full(
        "POST", "/v1/events", [event(8), event(9, timestamp="never"), event(8, customer_id="x")]
    )

    assert ["accepted", "rejected", "accepted", "conflict", "duplicate"] == outcomes(alone)
    assert ["duplicate", "rejected", "duplicate", "conflict", "duplicate", "accepted"] == outcomes(by_column)
    assert alone.json["results"][1] == by_column.json["results"][1]
    assert ["accepted", "rejected"] == outcomes(first)
    assert ["duplicate", "rejected", "conflict"] == outcomes(again)
    letters = (await house.read("GET", "/v1/dead-letters")).json["items"]
    assert 2 == len({one["id"] for one in letters})
    assert 1 == len({one["raw"] for one in letters})


async def test_by_column_nothing_is_stored_if_nobody_wants_that(house: House) -> None:
    body = columns([event(1), event(1), event(2)])

    told = await house.full("POST", "/v1/events/columns?dry_run=true", body=body)

    assert ["accepted", "duplicate", "accepted"] == outcomes(told)
    assert [] == (await house.read("GET", "/v1/events")).json["items"]


@pytest.mark.parametrize("name", SENT)
async def test_it_says_what_the_route_says(house: House, neighbour: House, name: str) -> None:
    past = await house.full("POST", "/v1/events", **SENT[name])
    routed = await neighbour.full("POST", "/v1/events?dry_run=false", **SENT[name])

    assert (routed.status, routed.headers, routed.json) == (past.status, past.headers, past.json)
    assert (name in {"events", "briefly"}) <= (past.json.get("accepted") == 2)


async def test_who_may_not_hears_what_the_route_says(house: House) -> None:
    for door in (house.nobody, house.read, Door(house.full.api, "hf_nobody"), Door(house.full.api, "x" * 300)):
        past = await door("POST", "/v1/events", body=GOOD)
        routed = await door("POST", "/v1/events?dry_run=false", body=GOOD)

        assert past.status in {401, 403}
        assert (routed.status, routed.headers, routed.json) == (past.status, past.headers, past.json)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/events", b'[{"transaction_id":"a","customer_id":"b","timestamp":"","event_type":"c","properties":{"x":['),
        ("/v1/events/columns", b'{"x":{"y":['),
    ],
)
async def test_more_values_than_events_can_have_are_counted_before_anything_decodes_them(
    house: House, path: str, body: bytes
) -> None:
    """Each of them a list, of which Python's is of 56 bytes."""
    body += b"[]," * 1_000_000 + (b"0]}}]" if body.startswith(b"[") else b"0]}}")
    tracemalloc.start()
    try:
        reply = await house.full("POST", path, body=body, headers=[("Content-Type", "application/json")])
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 422 == reply.status
    assert "more than 300000 values" in reply.json["detail"]
    assert 6 * len(body) > most
