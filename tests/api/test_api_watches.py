"""Watches over the API: made, read, edited and deleted, with what is wrong named, and each change in the audit."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.door import House
from tests.one_database import on_sqlite

pytestmark = pytest.mark.anyio

MISSING = "00000000-0000-4000-8000-000000000000"
EVENT = {
    "transaction_id": "t-1",
    "customer_id": "acme",
    "timestamp": "2026-03-02T09:59:00Z",
    "event_type": "http.request",
    "properties": {"method": "GET", "route": "/v1/orders", "status": 200},
}


async def make(house: House, **asked: Any) -> Any:
    return await house.full("POST", "/v1/usage/watches", asked)


async def test_without_watches_the_list_is_empty(house: House) -> None:
    assert {"items": [], "next": None} == (await house.read("GET", "/v1/usage/watches")).json


async def test_a_watch_has_what_is_usual_and_is_read_and_listed_page_by_page(house: House) -> None:
    made = await make(house, kind="source")
    second = await make(house, kind="customer", least=500, gap_s=60, factor=3)

    assert (201, 201) == (made.status, second.status)
    assert ("source", "*", 20, 20, 300, None, "", None, None) == tuple(
        made.json[name]
        for name in ("kind", "what", "factor", "least", "gap_s", "looked_at", "words", "check", "status")
    )
    assert (3, 500, 60) == tuple(second.json[name] for name in ("factor", "least", "gap_s"))
    assert made.json == (await house.read("GET", f"/v1/usage/watches/{made.json['id']}")).json
    first = (await house.read("GET", "/v1/usage/watches?limit=1")).json
    last = (await house.read("GET", f"/v1/usage/watches?limit=1&cursor={first['next']}")).json
    assert [made.json, second.json] == [*first["items"], *last["items"]]
    assert last["next"] is None


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"kind": "planet"}, "kind"),
        ({"kind": "source", "what": ""}, "what"),
        ({"kind": "source", "what": " a"}, "what"),
        ({"kind": "customer", "what": MISSING}, "what"),
        ({"kind": "customer", "what": "acme"}, "what"),
        ({"kind": "endpoint", "what": "GET /never"}, "what"),
        ({"kind": "endpoint", "gap_s": 300}, "gap_s"),
        ({"kind": "source", "gap_s": 59}, "gap_s"),
        ({"kind": "source", "factor": 1}, "factor"),
        ({"kind": "source", "least": 0}, "least"),
        ({"kind": "endpoint", "least": 9}, "least"),
    ],
)
@on_sqlite
async def test_what_cannot_be_watched_is_refused_by_its_field(house: House, asked: Any, field: str) -> None:
    reply = await make(house, **asked)

    assert 422 == reply.status
    assert [field] == [one["field"] for one in reply.json["errors"]]
    assert [] == (await house.read("GET", "/v1/usage/watches")).json["items"]


async def test_a_customer_is_watched_by_his_id(house: House) -> None:
    acme = (await house.full("POST", "/v1/customers", {"name": "Acme", "aliases": ["acme"]})).json["id"]

    assert (201, acme) == ((made := await make(house, kind="customer", what=acme)).status, made.json["what"])


async def test_nothing_is_watched_twice_and_no_more_than_fifty_are(house: House) -> None:
    for n in range(50):
        assert 201 == (await make(house, kind="source", what=f"web-{n}")).status

    assert 409 == (await make(house, kind="source", what="web-0")).status
    assert "50" in (refused := await make(house, kind="source")).json["detail"]
    assert 409 == refused.status


async def test_a_watch_is_edited_and_deleted_and_the_audit_tells_of_it(house: House) -> None:
    name = (await make(house, kind="source", what="web-1")).json["id"]
    path = f"/v1/usage/watches/{name}"

    edited = await house.full("PATCH", path, {"factor": 30})
    same = await house.full("PATCH", path, {"factor": 30})
    wrong = await house.full("PATCH", path, {"factor": 1})
    gone = await house.full("DELETE", path)

    assert (200, 30, 20) == (edited.status, edited.json["factor"], edited.json["least"])
    assert edited.json == same.json
    assert (422, "factor") == (wrong.status, wrong.json["errors"][0]["field"])
    assert (204, 404, 404, 404) == (
        gone.status,
        (await house.full("DELETE", path)).status,
        (await house.full("PATCH", path, {})).status,
        (await house.read("GET", path)).status,
    )
    entries = (await house.full("GET", "/v1/audit?action=watch")).json["items"]
    limits = {"kind": "source", "what": "web-1", "gap_s": 300, "least": 20}
    assert [
        ("watch.delete", limits | {"factor": 30}, None),
        ("watch.edit", limits | {"factor": 20}, limits | {"factor": 30}),
        ("watch.create", None, limits | {"factor": 20}),
    ] == [(one["action"], one["before"], one["after"]) for one in entries]
    assert {f"watch:{name}"} == {one["object"] for one in entries}
