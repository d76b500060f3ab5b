"""Prices over the API: added, foreseen, changed from an instant on, ended, read in from files; and what meters cost."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from tests.api.conftest import START
from tests.api.door import House
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

PRICE = {"provider": "OpenAI", "product": "gpt", "unit": "input_tokens", "amount": "0.000002", "currency": "usd"}
SAMPLE = Path(__file__).resolve().parents[1] / "data" / "litellm-prices-sample.json"
HOUR = timedelta(hours=1)


async def call(house: House, number: int, **units: str) -> None:
    told = {f"units.{kind}": value for kind, value in units.items()}
    event = {
        "transaction_id": f"c-{number}",
        "customer_id": "acme",
        "timestamp": (START - number * HOUR).isoformat(),
        "event_type": "api.call",
        "properties": {"provider": "openai", "model": "gpt"} | told,
    }
    assert 200 == (await house.full("POST", "/v1/events", [event])).status


async def test_a_price_lives(house: House) -> None:
    assert {"items": [], "next": None} == (await house.full("GET", "/v1/prices")).json
    made = await house.full("POST", "/v1/prices", PRICE)
    number = made.json["id"]
    assert (201, f"/v1/prices/{number}") == (made.status, made.headers["location"][-len(f"/v1/prices/{number}") :])
    told = {"provider": "openai", "amount": "0.000002", "currency": "USD", "from_at": None, "to_at": None}
    assert told.items() <= made.json.items()
    assert ("hand", "", "") == tuple(made.json[name] for name in ("source", "tier", "condition"))

    again = await house.full("POST", "/v1/prices", PRICE | {"amount": "1"})
    assert (422, ["from_at"]) == (again.status, again.fields)

    changed = await house.full("PATCH", f"/v1/prices/{number}", {"amount": "3", "from_at": START.isoformat()})
    assert ("3", False) == (changed.json["amount"], changed.json["id"] == number)
    first = (await house.full("GET", f"/v1/prices/{number}")).json
    assert changed.json["from_at"] == first["to_at"]
    ended = await house.full("PATCH", f"/v1/prices/{changed.json['id']}", {"to_at": (START + HOUR).isoformat()})
    assert ended.json["to_at"] is not None
    assert 204 == (await house.full("DELETE", f"/v1/prices/{number}")).status
    assert 404 == (await house.full("GET", f"/v1/prices/{number}")).status
    for nowhere in ("4711", "x", "9" * 40, "١"):
        assert 404 == (await house.full("DELETE", f"/v1/prices/{nowhere}")).status

    entries = (await house.full("GET", "/v1/audit")).json["items"]
    actions = [one["action"] for one in entries if one["action"].startswith("price.")]
    assert ["price.delete", "price.end", "price.edit", "price.create"] == actions


async def test_a_list_is_filtered_and_paged(house: House) -> None:
    for unit in ("input_tokens", "output_tokens", "pages"):
        await house.full("POST", "/v1/prices", PRICE | {"unit": unit})
    await house.full("POST", "/v1/prices", PRICE | {"tier": "batch", "to_at": START.isoformat()})

    seen: list[str] = []
    path = "/v1/prices?limit=3"
    while True:
        page = (await house.full("GET", path)).json
        seen += [f"{one['unit']} {one['tier']}" for one in page["items"]]
        if page["next"] is None:
            break
        path = f"/v1/prices?limit=3&cursor={page['next']}"
    assert ["input_tokens ", "input_tokens batch", "output_tokens ", "pages "] == seen

    async def n(query: str) -> int:
        return len((await house.full("GET", f"/v1/prices?{query}")).json["items"])

    at = START.isoformat().replace("+00:00", "Z")
    assert [2, 1, 3, 3, 0, 4] == [
        await n(query)
        for query in ("unit=input_tokens", "tier=batch", "tier=", f"at={at}", "provider=apify", "source=hand")
    ]
    for query, field in (("at=soon", "at"), ("source=x", "source"), ("cursor=x", "cursor"), ("tier=a%20b", "tier")):
        refused = await house.full("GET", f"/v1/prices?{query}")
        assert (422, [field]) == (refused.status, refused.fields)


async def test_a_change_is_foreseen_on_calls(house: House) -> None:
    await call(house, 1, input_tokens="1000")
    await call(house, 2, input_tokens="500", images="1")

    told = (await house.full("POST", "/v1/prices/preview", {"create": PRICE})).json
    assert (1, 2, 1, 1, 1) == tuple(
        told[name] for name in ("prices", "calls", "calls_changed", "calls_priced", "calls_unknown")
    )
    assert ({}, {"USD": "0.002"}, None) == (told["before"], told["after"], told["looked_from"])
    number = (await house.full("POST", "/v1/prices", PRICE)).json["id"]
    edit = {"price_id": number, "edit": {"amount": "0.000003", "from_at": (START - 90 * HOUR / 60).isoformat()}}
    told = (await house.full("POST", "/v1/prices/preview", edit)).json
    assert ({"USD": "0.002"}, {"USD": "0.003"}, 1) == (told["before"], told["after"], told["calls"])
    told = (await house.full("POST", "/v1/prices/preview", {"price_id": number})).json
    assert (1, 2) == (told["calls_unpriced"], told["calls"])
    assert "0.000002" == (await house.full("GET", f"/v1/prices/{number}")).json["amount"]
    assert 404 == (await house.full("POST", "/v1/prices/preview", {"price_id": "4711"})).status


async def test_a_file_comes_in_once_and_its_odd_entries_are_told(house: House) -> None:
    async def send(query: str, raw: bytes) -> Any:
        reply = await house.full("POST", f"/v1/prices/imports?{query}", body=raw)
        assert 200 == reply.status, reply.body
        return reply.json

    raw = SAMPLE.read_bytes()
    dry = await send("format=litellm&from=always&dry_run=true", raw)
    assert (True, None, 0) == (dry["dry_run"], dry["from_at"], dry["preview"]["calls"])
    assert dry["n_unmapped"] == len(dry["unmapped"]) > 5
    assert [] == (await house.full("GET", "/v1/prices")).json["items"]
    done = await send("format=litellm&from=always", raw)
    assert (dry["new"], None, len(json.loads(raw))) == (done["new"], done["preview"], done["entries"])
    again = await send("format=litellm", raw)
    assert (0, 0, done["prices"]) == (again["new"], again["changed"], again["same"])
    of_hand = await send("format=csv", b"provider,unit,amount,currency\nmaps,requests,0.005,EUR\n")
    assert (1, "csv") == (of_hand["new"], of_hand["source"])

    for query, body, field in (
        ("format=csv", b"", "file"),
        ("format=litellm", b"[]", "file"),
        ("format=csv&from=soon", b"", "from"),
        ("", b"", "format"),
        ("format=xml", b"", "format"),
    ):
        refused = await house.full("POST", f"/v1/prices/imports?{query}", body=body)
        assert (422, [field]) == (refused.status, refused.fields)
    assert 403 == (await house.read("POST", "/v1/prices/imports?format=csv", body=b"x")).status


async def test_what_the_use_of_a_meter_costs(house: House, usage_db: Database, clock: SimClock, ids: IdSource) -> None:
    meter = {"slug": "calls", "event_types": ["served"], "aggregation": "count", "group_keys": ["region"]}
    await house.full("POST", "/v1/meters", meter)
    events = [
        {
            "transaction_id": f"t-{n}",
            "customer_id": "acme",
            "timestamp": (START - n * HOUR).isoformat(),
            "event_type": "served",
            "properties": {"region": region},
        }
        for n, region in enumerate(["eu", "eu", "us", "eu"], 1)
    ]
    await house.full("POST", "/v1/events", events)
    folder = Folder(usage_db, clock, ids, hands=Hands(beside=False))
    while await folder.round():
        pass
    customer = (await house.full("POST", "/v1/customers", {"name": "Acme", "aliases": ["acme"]})).json["id"]
    price = {"amount": "0.1", "currency": "EUR", "only": {"region": "eu"}}
    made = await house.full("POST", "/v1/meters/calls/prices", price)
    assert (201, {"region": "eu"}) == (made.status, made.json["only"])

    span = f"from={(START - 24 * HOUR).isoformat()[:19]}Z"
    told = (await house.full("GET", f"/v1/usage/meter-costs?{span}&customer={customer}")).json
    assert ({"EUR": "0.3"}, 1, 2) == (told["totals"], told["lines_without_cost"], len(told["lines"]))
    assert {("1", None), ("3", "0.3")} == {(one["quantity"], one["cost"]) for one in told["lines"]}
    assert {} == (await house.full("GET", f"/v1/usage/meter-costs?{span}&to={span[5:]}")).json.get("totals", {})

    path = f"/v1/meters/calls/prices/{made.json['id']}"
    assert 422 == (await house.full("PATCH", path, {"to_at": (START + timedelta(minutes=1)).isoformat()})).status
    assert 200 == (await house.full("PATCH", path, {"to_at": (START - 2 * HOUR).isoformat()})).status
    told = (await house.full("GET", f"/v1/usage/meter-costs?{span}&meter=calls")).json
    assert {"EUR": "0.1"} == told["totals"]
    assert 1 == len((await house.full("GET", "/v1/meters/calls/prices")).json["items"])
    assert 204 == (await house.full("DELETE", path)).status
    assert 404 == (await house.full("DELETE", path)).status
    for query, status in (("meter=nobody", 404), ("customer=nobody", 422), ("to=0001-01-02", 422), ("from=x", 422)):
        assert status == (await house.full("GET", f"/v1/usage/meter-costs?{query}")).status
