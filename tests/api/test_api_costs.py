"""What calls cost, by the API: by what tells them apart, over time, ahead, one by one, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.api.conftest import START
from tests.api.door import House, Reply
from tests.one_database import on_sqlite

pytestmark = pytest.mark.anyio


def call(number: int, **more: Any) -> dict[str, Any]:
    customer = more.pop("customer", "acme")
    told = {"provider": "openai", "model": "gpt", "status": "200", "latency_ms": "12.5", "units.input_tokens": "100"}
    return {
        "transaction_id": f"c-{number}",
        "customer_id": customer,
        "timestamp": (START - timedelta(minutes=1 + number)).isoformat(),
        "event_type": "api.call",
        "properties": told | {"cost": "0.1", "currency": "USD"} | more,
    }


@pytest.fixture
async def called(house: House) -> House:
    calls = [call(number) for number in range(4)]
    calls += [
        call(4, status="429", model="=1+1", tags="a,b", user="ada"),
        call(5, provider="deepl", cost="", currency="", customer="=cmd"),
        call(6, provider="deepl", cost="0.000000000000000000000000000001", currency="EUR"),
    ]
    await house.full("POST", "/v1/events", calls)
    return house


async def ask(house: House, of: str = "costs", **query: Any) -> Reply:
    return await house.read("GET", f"/v1/usage/{of}?{urlencode(query, doseq=True)}")


async def test_costs_are_exact_texts_by_currency_and_null_where_none_is_known(called: House) -> None:
    told = (await ask(called, by="provider,model")).json

    assert [
        ({"provider": "openai", "model": "gpt"}, {"USD": "0.4"}, 4, 0),
        ({"provider": "openai", "model": "=1+1"}, {"USD": "0.1"}, 1, 0),
        ({"provider": "deepl", "model": "gpt"}, {"EUR": "0.000000000000000000000000000001"}, 2, 1),
    ] == [(one["key"], one["cost"], one["calls"], one["unpriced"]) for one in told["items"]]
    whole = told["all"]
    assert ({"EUR": "0.000000000000000000000000000001", "USD": "0.5"}, 7, 1, 1, 1) == (
        *(whole[name] for name in ("cost", "calls", "errors", "unpriced", "odd")),
    )
    assert {"input_tokens": "700", "requests": "7"} == whole["units"]
    assert ("USD", 800, False) == (told["currency"], told["items"][0]["share"], told["of_events"])
    alone = (await ask(called, by="customer", customer="=cmd")).json["items"]
    assert [None] == [one["cost"] for one in alone]


async def test_pages_go_on_and_the_rest_is_a_row(called: House) -> None:
    first = (await ask(called, by="provider,model", order="calls", limit=2)).json
    second = (await ask(called, by="provider,model", order="calls", limit=2, cursor=first["next"])).json

    assert ([4, 2], [1], 3, None) == (
        [one["calls"] for one in first["items"]],
        [one["calls"] for one in second["items"]],
        second["n"],
        second["next"],
    )
    assert (1, 6) == (first["others"]["calls"], second["others"]["calls"])
    wrong = await ask(called, by="model", cursor=first["next"])
    assert (422, ["cursor"]) == (wrong.status, wrong.fields)


async def test_a_table_has_a_column_for_each_currency_and_no_cell_runs(called: House) -> None:
    reply = await ask(called, by="model,customer", format="csv")
    rows = list(csv.DictReader(io.StringIO(reply.body.decode())))

    assert {"'=1+1", "gpt"} == {row["key.model"] for row in rows}
    assert {"acme", "'=cmd"} == {row["name.customer"] for row in rows}
    assert ["0.4", "0.1", ""] == [row["cost.USD"] for row in rows]
    assert "open" == reply.headers["heartfly-state"]
    lines = (await ask(called, by="model", format="ndjson")).body.splitlines()
    assert ["gpt", "=1+1"] == [json.loads(line)["key"]["model"] for line in lines]
    assert b"key" in (await ask(called, "calls", format="csv")).body


async def test_over_time_each_window_is_there_and_by_key_those_with_calls(called: House) -> None:
    days = (await ask(called, "costs/series", window="day", **{"from": "2026-02-27", "to": "2026-03-03"})).json
    by = (await ask(called, "costs/series", window="week", by="provider")).json

    assert [0, 0, 0, 7] == [one["calls"] for one in days["items"]]
    assert [True] == [one["open"] for one in days["items"][-1:]]
    assert [{"provider": "deepl"}, {"provider": "openai"}] == [one["key"] for one in by["items"]]


async def test_too_little_is_known_to_foresee_the_month(called: House) -> None:
    told = (await ask(called, "costs/forecast", period="month")).json

    assert [("EUR", None), ("USD", None)] == [(one["currency"], one["expected"]) for one in told["items"]]
    assert ("0.5", 0, 14, 1) == (told["items"][1]["so_far"], told["days"], told["least_days"], told["unpriced"])
    assert ("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z") == (told["from_at"], told["to_at"])


async def test_what_has_no_price_is_listed(called: House) -> None:
    (one,) = (await ask(called, "costs/unpriced")).json["items"]

    assert ("deepl", "gpt", {"input_tokens": 1, "requests": 1}, 1, 2) == (
        *(one[name] for name in ("provider", "model", "kinds", "unpriced", "calls")),
    )
    assert one["first_at"] == one["last_at"] is not None


async def test_statistics_tell_all_of_a_time_and_of_filters(called: House) -> None:
    whole = (await ask(called, "calls/statistics")).json["figures"]
    some = (await ask(called, "calls/statistics", status="4xx", user="ada", tag="b")).json

    assert (7, 1, 12.5) == (whole["calls"], whole["errors"], whole["max_ms"])
    assert abs(whole["p95_ms"] - 12.5) <= 0.15
    assert (1, True) == (some["figures"]["calls"], some["of_events"])


async def test_single_calls_come_page_by_page(called: House) -> None:
    first = (await ask(called, "calls", limit=5)).json
    second = (await ask(called, "calls", limit=5, cursor=first["next"])).json

    assert [f"c-{n}" for n in range(7)] == [one["transaction_id"] for one in [*first["items"], *second["items"]]]
    assert ([], None) == (second["items"][2:], second["next"])
    assert ({"USD": "0.1"}, True, ["a", "b"]) == (
        first["items"][4]["cost"],
        first["items"][4]["cost_given"],
        first["items"][4]["tags"],
    )
    assert (None, ["input_tokens", "requests"]) == (second["items"][0]["cost"], second["items"][0]["unpriced"])


async def test_a_project_without_calls_is_told_so(house: House) -> None:
    told = (await ask(house)).json
    assert ([], 0, None, None) == (told["items"], told["all"]["calls"], told["all"]["cost"], told["others"])
    assert [] == (await ask(house, "costs/unpriced")).json["items"]
    assert [] == (await ask(house, "calls")).json["items"]
    assert [] == (await ask(house, "costs/forecast")).json["items"]


@pytest.mark.parametrize(
    ("of", "query", "field"),
    [
        ("costs", {"by": "colour"}, "by"),
        ("costs", {"by": "provider,model,user,key"}, "by"),
        ("costs", {"currency": "XYZ"}, "currency"),
        ("costs", {"from": "2026-03-02", "to": "2026-03-01"}, "to"),
        ("costs", {"from": "yesterday"}, "from"),
        ("costs", {"status": "9xx"}, "status"),
        ("costs", {"format": "xml"}, "format"),
        ("costs", {"customer": "00000000-0000-4000-8000-000000000000"}, "customer"),
        ("costs/series", {"window": "hour", "from": "2025-01-01"}, "to"),
        ("costs/forecast", {"format": "csv"}, "format"),
        ("calls", {"cursor": "x"}, "cursor"),
    ],
)
@on_sqlite
async def test_what_is_wrong_is_named(house: House, of: str, query: dict[str, str], field: str) -> None:
    reply = await ask(house, of, **query)
    assert (422, [field]) == (reply.status, reply.fields)
