"""Events that go past the framework are answered as the framework's own route answers them, head and body."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tests.api.door import Door, House
from tests.api.test_events_door import event

pytestmark = pytest.mark.anyio

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
