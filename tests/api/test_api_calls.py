"""What clients and CSV files tell of calls, as the server keeps it: taken once, whichever told of it first."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from heartfly_client.calls.record import Made, Unchecked, dropped_event, event_of, unchecked_event

from heartfly.core.call_csv import Columns, Row
from tests.api.conftest import START
from tests.api.door import House

pytestmark = pytest.mark.anyio

AT_NS = int((START - timedelta(hours=1)).timestamp()) * 10**9


def made(**more: Any) -> Made:
    return Made("openai", AT_NS, model="gpt-x", customer="acme", **({"endpoint": "/v1/chat/completions"} | more))


async def outcomes(house: House, *events: bytes) -> list[str]:
    told = await house.full("POST", "/v1/events", body=b"[" + b",".join(events) + b"]")
    assert 200 == told.status, told.body
    return [one["outcome"] for one in told.json["results"]]


async def test_each_event_that_a_client_makes_is_taken_and_kept_to_the_letter(house: House) -> None:
    call = made(
        user="ann", key="prod-1", tags=("a,b", "c"), status=200, latency_ns=1_234_567, request_id="req_1",
        cost="12345678901234567890.123456789012345678", currency="USD", units={"input_tokens": "0.000000000000000001"},
        more={"ratelimit.tokens.remaining": "7", "reservation": "r-1"}, tier="batch", error="\x00odd\ud800",
    )  # fmt: skip
    others = [
        dropped_event(7, "d-1", AT_NS, "app"),
        unchecked_event(Unchecked("openai", AT_NS, "gpt-x", None, "answered 500"), "u-1"),
        event_of(Made("", AT_NS), "bare"),
        event_of(made(request_id="x" * 500, endpoint="e" * 9_999), "long"),
    ]

    assert ["accepted"] * 5 == await outcomes(house, event_of(call, "x"), *others)
    assert ["duplicate"] * 5 == await outcomes(house, event_of(call, "another"), *others)

    (kept,) = (await house.read("GET", "/v1/events?transaction_id=openai:req_1")).json["items"]
    assert json.loads(event_of(call, "x"))["properties"] == kept["properties"]
    assert ("acme", "api.call") == (kept["customer_id"], kept["event_type"])
    cost, tokens = (Decimal(kept["properties"][name]) for name in ("cost", "units.input_tokens"))
    assert (Decimal("12345678901234567890.123456789012345678"), Decimal("1e-18")) == (cost, tokens)


async def test_a_call_that_a_client_told_of_and_that_is_in_a_csv_counts_once(house: House) -> None:
    at = (START - timedelta(hours=1)).isoformat()
    call = made(request_id="req_1", units={"input_tokens": "86"})
    columns = Columns(
        ["time", "provider", "model", "endpoint", "customer", "request_id", "units.input_tokens"], {}, {}, None
    )
    row = columns.row([at, "openai", "gpt-x", "/v1/chat/completions", "acme", "req_1", "86"], lambda: "")
    other = columns.row([at, "openai", "gpt-x", "/v1/chat/completions", "acme", "req_1", "87"], lambda: "")
    assert isinstance(row, Row)
    assert isinstance(other, Row)

    assert ["accepted"] == await outcomes(house, event_of(call, "x"))
    assert ["duplicate"] == await outcomes(house, row.text.encode())
    assert ["conflict"] == await outcomes(house, other.text.encode())  # the first one counts
