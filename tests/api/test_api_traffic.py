"""Requests asked for by the API: figures, pages, CSV and lines of JSON, and what is refused."""

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

TABLES = ("series", "endpoints", "customers", "methods", "keys", "statuses", "heatmap", "slow", "requests")


def hit(number: int, **more: Any) -> dict[str, Any]:
    customer = more.pop("customer", "acme")
    at = START - timedelta(minutes=1 + number)
    properties = {"method": "GET", "route": "/a", "path": "/a?x", "status": 200, "latency_ms": 12.5}
    return {
        "transaction_id": f"h-{number}",
        "customer_id": customer,
        "timestamp": at.isoformat(),
        "event_type": "http.request",
        "properties": {**properties, "response_bytes": 1_000, "request_id": f"r-{number}", **more},
    }


@pytest.fixture
async def served(house: House) -> House:
    hits = [hit(number) for number in range(6)]
    hits += [hit(6, status=503, latency_ms=30_000.25), hit(7, status=429, route="/b"), hit(8, customer="=1+1", key="k")]
    await house.full("POST", "/v1/events", hits)
    return house


async def ask(house: House, of: str = "", **query: Any) -> Reply:
    path = "/v1/usage/traffic" + (f"/{of}" if of else "")
    return await house.read("GET", f"{path}?{urlencode(query, doseq=True)}")


async def test_totals_say_how_many_how_well_and_how_sure(served: House) -> None:
    told = (await ask(served)).json

    figures = told["figures"]
    assert (9, 1, 1, 1, 2) == (
        *(figures[name] for name in ("requests", "client_errors", "server_errors", "rate_limited")),
        told["customers"],
    )
    assert {"200": 7, "429": 1, "503": 1} == figures["statuses"]
    assert (30_000.25, "30000.25", "30100.25") == (
        figures["max_ms"],
        figures["max_ms_exact"],
        figures["total_ms_exact"],
    )
    assert ("3344.472", 9_000) == (figures["mean_ms_exact"], figures["bytes_out"])
    assert abs(figures["p50_ms"] - 12.5) <= 0.15
    assert ("2026-03-01T10:00:00Z", "2026-03-02T10:00:00Z", "UTC") == (told["from_at"], told["to_at"], told["zone"])
    assert ("open", told["to_at"], False, False) == (
        *(told[name] for name in ("state", "complete_up_to", "of_events", "partial")),
    )


async def test_filters_are_taken_as_often_as_they_are_given(served: House) -> None:
    two = (await ask(served, status=["5xx", "429"], endpoint=["GET /a", "GET /b"])).json
    none = (await ask(served, method="post")).json
    one = (await ask(served, key="k", method="get")).json

    assert [2, 0, 1] == [told["figures"]["requests"] for told in (two, none, one)]
    assert [False, False, True] == [told["of_events"] for told in (two, none, one)]
    assert none["figures"]["p95_ms"] is None


async def test_a_ranking_goes_on_page_by_page(served: House) -> None:
    first = (await ask(served, "endpoints", limit=1)).json
    second = (await ask(served, "endpoints", limit=1, cursor=first["next"])).json

    assert [("GET /a", 8, 888), ("GET /b", 1, 111)] == [
        (one["key"], one["requests"], one["share"]) for page in (first, second) for one in page["items"]
    ]
    assert (None, 2, 9) == (second["next"], second["n"], second["figures"]["requests"])
    assert (1, 8) == (first["others"]["requests"], second["others"]["requests"])
    wrong = await ask(served, "customers", cursor=first["next"])
    assert (422, ["cursor"]) == (wrong.status, wrong.fields)


async def test_single_requests_go_on_page_by_page(served: House) -> None:
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await ask(served, "requests", limit=4, **cursor)).json
        found += page["items"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}

    assert [f"h-{number}" for number in range(9)] == [one["transaction_id"] for one in found]
    assert ("/a?x", "12.5", "r-0") == (*(found[0][name] for name in ("path", "latency_ms_exact", "request_id")),)


async def test_windows_of_a_series_follow_one_another(served: House) -> None:
    told = (await ask(served, "series", window="minute", **{"from": "2026-03-02T09:50:00Z"})).json

    assert [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0] == [one["requests"] for one in told["items"]]
    assert told["items"][10]["open"]


async def test_a_series_by_the_second_has_each_of_them(served: House) -> None:
    span = {"from": "2026-03-02T09:50:50Z", "to": "2026-03-02T09:51:10Z"}
    told = (await ask(served, "series", window="second", **span)).json
    rows = list(
        csv.DictReader(io.StringIO((await ask(served, "series", window="second", format="csv", **span)).body.decode()))
    )

    assert (20, True, False) == (len(told["items"]), told["of_events"], told["partial"])
    assert [1] == [one["requests"] for one in told["items"] if one["requests"]]
    assert [str(one["requests"]) for one in told["items"]] == [row["requests"] for row in rows]


async def test_heatmaps_name_their_rows_and_columns(served: House) -> None:
    told = (await ask(served, "heatmap", **{"from": "2026-03-02T08:00:00Z"})).json
    week = (await ask(served, "heatmap", by="weekday")).json

    assert (["GET /a", "GET /b"], 2) == (told["rows"], len(told["columns"]) - 1)
    assert [(0, 1, 8), (1, 1, 1)] == [(one["row"], one["column"], one["requests"]) for one in told["items"]]
    assert [(0, 9, 9)] == [(one["row"], one["column"], one["requests"]) for one in week["items"]]


async def test_now_is_told_by_the_second(served: House, house: House) -> None:
    told = (await served.read("GET", "/v1/usage/traffic/live")).json

    assert ("0.0", 60, 1) == (told["rps_exact"], len(told["seconds"]), sum(told["seconds"]))


@pytest.mark.parametrize("of", TABLES)
async def test_each_table_comes_as_csv_and_as_lines(served: House, of: str) -> None:
    lines = await ask(served, of, format="ndjson")
    table = await ask(served, of, format="csv")
    accepted = await served.read("GET", f"/v1/usage/traffic/{of}", headers=[("Accept", "text/csv")])
    plain = (await ask(served, of)).json["items"]

    assert plain == [json.loads(line) for line in lines.body.splitlines()]
    assert ("application/x-ndjson", table.body) == (lines.headers["content-type"], accepted.body)
    heading, *rows = csv.reader(io.StringIO(table.body.decode()))
    assert len(plain) == len(rows)
    assert all(len(heading) == len(row) for row in rows)
    if plain:
        assert sorted(name for name in plain[0] if name != "statuses") == sorted(heading)


async def test_no_text_from_outside_is_run_by_a_spreadsheet(served: House) -> None:
    """D16."""
    table = await ask(served, "customers", format="csv")

    rows = list(csv.DictReader(io.StringIO(table.body.decode())))
    assert {"acme", "'=1+1"} == {row["key"] for row in rows}
    assert ("open", "false") == (table.headers["heartfly-state"], table.headers["heartfly-partial"])
    first = await ask(served, "customers", format="csv", limit=1)
    rest = await ask(served, "customers", format="csv", limit=1, cursor=first.headers["heartfly-next"])
    assert "heartfly-next" not in rest.headers


@pytest.mark.parametrize(
    ("of", "query", "field"),
    [
        ("", {"from": "yesterday"}, "from"),
        ("", {"from": "2026-03-02T10:00:00Z", "to": "2026-03-02T09:00:00Z"}, "to"),
        ("", {"to": "0001-01-01"}, "to"),
        ("", {"zone": "Mars/Olympus"}, "zone"),
        ("", {"status": "7xx"}, "status"),
        ("", {"customer": "3f0f8f9e-6a1c-4a55-8d4c-111111111111"}, "customer"),
        ("", {"endpoint": "GET /\x00"}, "endpoint[0]"),
        ("", {"format": "csv"}, "format"),
        ("endpoints", {"order": "luck"}, "order"),
        ("endpoints", {"limit": 0}, "limit"),
        ("series", {"window": "week"}, "window"),
        ("series", {"window": "second"}, "to"),
        ("series", {"window": "minute", "from": "2026-01-01"}, "to"),
        ("heatmap", {"from": "2020-01-01"}, "to"),
        ("slow", {"key": "k"}, "key"),
        ("slow", {"cursor": "x"}, "cursor"),
        ("requests", {"cursor": "x"}, "cursor"),
        ("requests", {"format": "xml"}, "format"),
    ],
)
@on_sqlite
async def test_what_is_wrong_is_named(house: House, of: str, query: dict[str, Any], field: str) -> None:
    refused = await ask(house, of, **query)

    assert (422, [field]) == (refused.status, refused.fields)


async def test_a_filter_that_is_misspelled_is_refused(house: House) -> None:
    refused = await ask(house, "endpoints", endpoints="GET /a")

    assert (400, ["endpoints"]) == (refused.status, refused.fields)


async def test_a_neighbour_sees_none_of_it(served: House, neighbour: House) -> None:
    assert (await ask(neighbour)).json["figures"]["requests"] == 0
    for of in TABLES:
        if of != "series":
            assert [] == (await ask(neighbour, of)).json["items"]
    assert sum((await neighbour.read("GET", "/v1/usage/traffic/live")).json["seconds"]) == 0
    refused = await ask(neighbour, customer=(await _customer(served)))
    assert (422, ["customer"]) == (refused.status, refused.fields)


async def _customer(house: House) -> str:
    made = await house.full("POST", "/v1/customers", {"name": "Acme", "aliases": ["acme"]})
    return str(made.json["id"])
