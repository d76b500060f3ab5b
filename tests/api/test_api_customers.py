"""Customers at the API: whose usage is whose, also when that changes, and how one is erased."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.audit.record import Action, Actor
from heartfly.db.database import Database
from heartfly.db.models import (
    aliases,
    customers,
    dead_letters,
    dirty_hours,
    event_conflicts,
    event_corrections,
    event_ids,
    events,
    usage_audit,
)
from heartfly.errors import StoreError
from heartfly.usage import erasure, traces
from heartfly.usage.audit import carry, note
from tests.api.conftest import START
from tests.api.door import House, Reply
from tests.api.test_events_door import count, event

pytestmark = pytest.mark.anyio


async def made(house: House, name: str, *names: str) -> dict[str, Any]:
    reply = await house.full("POST", "/v1/customers", {"name": name, "aliases": list(names)})
    assert 201 == reply.status, reply.body
    found: dict[str, Any] = reply.json
    assert reply.headers["location"].endswith(found["id"])
    return found


async def usage_of(house: House, customer: dict[str, Any]) -> list[str]:
    reply = await house.full("GET", f"/v1/events?customer={customer['id']}")
    return sorted(one["transaction_id"] for one in reply.json["items"])


async def send(house: House, *found: dict[str, Any]) -> None:
    reply: Reply = await house.full("POST", "/v1/events", list(found))
    assert len(found) == reply.json["accepted"]


async def audited(house: House) -> list[tuple[str, Any, Any]]:
    reply = await house.full("GET", "/v1/audit?object=customer")
    return [(one["action"], one["before"], one["after"]) for one in reply.json["items"]][::-1]


async def test_events_are_his_by_any_alias_and_by_his_id_also_those_from_before(house: House) -> None:
    await send(house, event(1, customer_id="a"), event(2, customer_id="b"), event(3, customer_id="c"))
    acme = await made(house, "Acme", "a", "b")
    await send(house, event(4, customer_id=acme["id"]))

    assert ["t-1", "t-2", "t-4"] == await usage_of(house, acme)
    listed = (await house.full("GET", "/v1/customers")).json
    assert ([["a", "b"]], None) == ([one["aliases"] for one in listed["items"]], listed["next"])


async def test_an_alias_that_moves_takes_its_usage_along_and_the_answer_says_from_whom(house: House) -> None:
    await send(house, event(1, customer_id="a"), event(2, customer_id="b"))
    acme = await made(house, "Acme", "a", "b")

    other = await made(house, "Other", "b")

    assert [{"alias": "b", "from_id": acme["id"], "from_name": "Acme"}] == other["moved"]
    assert (["t-1"], ["t-2"]) == (await usage_of(house, acme), await usage_of(house, other))
    back = await house.full("PATCH", f"/v1/customers/{acme['id']}", {"add_aliases": ["b"]})
    assert (["a", "b"], "Other") == (back.json["aliases"], back.json["moved"][0]["from_name"])
    assert (["t-1", "t-2"], []) == (await usage_of(house, acme), await usage_of(house, other))


async def test_aliases_are_replaced_or_some_added_and_removed(house: House) -> None:
    acme = await made(house, "Acme", "a", "b")
    path = f"/v1/customers/{acme['id']}"

    some = await house.full("PATCH", path, {"add_aliases": ["c", "a"], "remove_aliases": ["b"]})
    whole = await house.full("PATCH", path, {"aliases": ["x"], "name": "Acme Ltd"})
    none = await house.full("PATCH", path, {"aliases": []})

    assert (["a", "c"], ["x"], []) == tuple(one.json["aliases"] for one in (some, whole, none))
    assert "Acme Ltd" == none.json["name"]


async def test_the_id_of_a_customer_stays_his_own(house: House) -> None:
    acme = await made(house, "Acme")

    reply = await house.full("POST", "/v1/customers", {"name": "Thief", "aliases": [acme["id"]]})

    assert 409 == reply.status
    assert ["Acme"] == [one["name"] for one in (await house.full("GET", "/v1/customers")).json["items"]]


async def test_an_edit_of_what_was_seen_before_is_refused_when_it_has_changed(house: House) -> None:
    acme = await made(house, "Acme", "a")
    path = f"/v1/customers/{acme['id']}"
    seen = [("If-Match", (await house.full("GET", path)).headers["etag"])]
    await made(house, "Other", "a")

    heard = [
        await house.full("PATCH", path, {"name": "x"}, headers=seen),
        await house.full("DELETE", path, headers=seen),
        await house.full("POST", f"{path}/erase?confirm={acme['id']}", headers=seen),
    ]

    assert [412] * 3 == [one.status for one in heard], "somebody has taken an alias of his meanwhile"


async def test_one_who_is_archived_is_listed_on_demand_and_keeps_his_usage(house: House) -> None:
    await send(house, event(1, customer_id="a"))
    acme = await made(house, "Acme", "a")
    path = f"/v1/customers/{acme['id']}"

    assert 204 == (await house.full("DELETE", path)).status

    assert [] == (await house.full("GET", "/v1/customers")).json["items"]
    assert [acme["id"]] == [one["id"] for one in (await house.full("GET", "/v1/customers?archived=true")).json["items"]]
    assert ["t-1"] == await usage_of(house, acme)
    assert (await house.full("PATCH", path, {"archived": False})).json["archived_at"] is None


async def test_names_that_nobody_knows_are_listed_with_how_much_came_under_them(house: House) -> None:
    await send(house, event(1, customer_id="a"), event(2, customer_id="b"), event(3, customer_id="b"))
    await made(house, "Acme", "a")

    (unknown,) = (await house.full("GET", "/v1/customers/unknown")).json["items"]

    assert ("b", 2, False) == (unknown["customer_id"], unknown["n_events"], unknown["more"])
    assert event(2)["timestamp"].replace("+00:00", "Z") == unknown["last_at"]


async def test_lists_come_in_pages(house: House) -> None:
    await send(house, *(event(number, customer_id=f"u-{number}") for number in range(5)))
    for number in range(5):
        await made(house, f"c-{number}")

    for path, name in (("/v1/customers", "name"), ("/v1/customers/unknown", "customer_id")):
        following: str | None = ""
        found: list[str] = []
        while following is not None:
            page = (await house.full("GET", f"{path}?limit=2{following and '&cursor=' + following}")).json
            found += [one[name] for one in page["items"]]
            following = page["next"]
        assert 5 == len(found) == len(set(found)), path


async def test_an_export_has_the_customer_and_each_of_his_events(house: House) -> None:
    await send(house, event(1, customer_id="a", properties={"n": 1}), event(2, customer_id="b"), event(3))
    acme = await made(house, "Acme", "a", "b")

    reply = await house.full("GET", f"/v1/customers/{acme['id']}/export")

    first, *rest = [json.loads(line) for line in reply.body.splitlines()]
    assert ("Acme", ["a", "b"]) == (first["customer"]["name"], first["customer"]["aliases"])
    assert [("t-1", {"n": 1}), ("t-2", {"bytes": 2})] == [
        (one["event"]["transaction_id"], one["event"]["properties"]) for one in rest
    ]


async def test_what_is_erased_is_gone_and_does_not_come_back(house: House, usage_db: Database) -> None:
    await send(house, event(1, customer_id="a"), event(2, customer_id="b"), event(3, customer_id="c"))
    await house.full("POST", "/v1/events", [event(1, customer_id="z"), event(3, customer_id="a")])
    acme = await made(house, "Acme", "a", "b")
    async with usage_db.read() as read:
        marked = dict((await read.execute(sa.select(dirty_hours.c.hour, dirty_hours.c.seq))).all())
    path = f"/v1/customers/{acme['id']}/erase"

    unsure = await house.full("POST", path)
    erased = await house.full("POST", f"{path}?confirm={acme['id']}")

    assert (422, ["confirm"]) == (unsure.status, unsure.fields)
    assert {"n_events": 2} == erased.json
    assert 404 == (await house.full("GET", f"/v1/customers/{acme['id']}")).status
    assert ["t-3"] == [one["transaction_id"] for one in (await house.full("GET", "/v1/events")).json["items"]]
    assert (0, 0, 0) == tuple([await count(usage_db, table) for table in (customers, aliases, event_conflicts)])
    async with usage_db.read() as read:
        now = dict((await read.execute(sa.select(dirty_hours.c.hour, dirty_hours.c.seq))).all())
    assert any(now[hour] > marked[hour] for hour in marked), "the hours are worked out anew"
    assert 3 == await count(usage_db, event_ids)
    again = await house.full("POST", "/v1/events", [event(1, customer_id="a"), event(2, customer_id="b")])
    assert (2, 1) == (again.json["duplicate"], await count(usage_db, events))


BACKFILL = {"name": "Again", "from": "2026-03-02T00:00:00Z", "to": "2026-03-02T12:00:00Z", "replaces": True}


async def test_what_else_names_one_who_is_erased_goes_too(house: House, neighbour: House, usage_db: Database) -> None:
    """Letters that are events of his, also where they can hardly be read; sets that were narrowed to him; the audit."""
    his = ["büro-7", "7"]
    cloud = {"specversion": "0.9", "subject": his[0], "id": "x", "source": "y", "type": "call"}
    bad = b"\n".join([
        json.dumps({"customer_id": his[0]}).encode(),
        b'{"customer_id": "b\\u00fcro-7", "properties": {"n": 1',
        b'{"customer_id": 7, "transaction_id": 1, ',
        b'{"properties": {"b\xc3\xbcro-7": 1}, "customer_id": "b\xc3\xbcro-70"',
        b'{"customer_id":"other","properties":{"friend":"b\xc3\xbcro-7"}}',
        b'{"customer_id": "70", ',
        b'{"customer_id": "\\x", ',
    ])  # fmt: skip
    for one in (house, neighbour):
        await one.full("POST", "/v1/events", body=bad, headers=[("Content-Type", "application/x-ndjson")])
        await one.full("POST", "/openmeter/api/v1/events", [cloud])
    acme = await made(house, "Acme", *his)
    opened = await house.full("POST", "/v1/backfills", BACKFILL | {"customers": [his[0], "other"]})

    erased = await house.full("POST", f"/v1/customers/{acme['id']}/erase?confirm={acme['id']}")

    assert 200 == erased.status
    left = [one["raw"] for one in (await house.full("GET", "/v1/dead-letters")).json["items"]]
    assert [line.decode() for line in bad.split(b"\n")[3:]] == left[::-1]
    assert 8 == len((await neighbour.full("GET", "/v1/dead-letters")).json["items"])
    assert [acme["id"], "other"] == (await house.full("GET", f"/v1/backfills/{opened.json['id']}")).json["customers"]
    entries = (await house.full("GET", "/v1/audit")).body.decode()
    assert "büro" not in entries
    assert "Acme" not in entries
    assert "Again" in entries


async def test_an_erasure_goes_piece_by_piece_and_on_where_it_was_cut_off(
    house: House, usage_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "_PIECE", 2)
    monkeypatch.setattr(traces, "_PIECE", 2)
    await send(
        house, *(event(number, customer_id="ab"[number % 2]) for number in range(1, 8)), event(9, customer_id="c")
    )
    await house.full("POST", "/v1/events", [{"customer_id": "a"} for _ in range(5)])
    for number in range(1, 6):
        await house.full("POST", "/v1/events/void", {"transaction_id": f"t-{number}", "reason": "x"})
    acme = await made(house, "Acme", "a", "b")
    path = f"/v1/customers/{acme['id']}/erase?confirm={acme['id']}"
    whole, pieces = usage_db.write, 0

    async def cut_off(*given: Any, **more: Any) -> Any:
        nonlocal pieces
        pieces += 1
        if pieces == 7:
            raise StoreError("as if the disk were gone")
        return await whole(*given, **more)

    monkeypatch.setattr(usage_db, "write", cut_off)
    first = await house.full("POST", path)
    between = await count(usage_db, events), await count(usage_db, event_corrections)
    again = await house.full("POST", path)

    assert (503, (1, 3)) == (first.status, between), "two events went, then two corrections"
    assert (200, pieces > 10) == (again.status, True)
    assert ["t-9"] == [one["transaction_id"] for one in (await house.full("GET", "/v1/events")).json["items"]]
    left = [await count(usage_db, table) for table in (customers, aliases, event_corrections, dead_letters)]
    assert [0, 0, 0, 0] == left


async def test_who_changed_a_customer_is_in_the_audit(house: House) -> None:
    acme = await made(house, "Acme", "a")
    path = f"/v1/customers/{acme['id']}"
    await house.full("PATCH", path, {"add_aliases": ["b"]})
    await house.full("PATCH", path, {"add_aliases": ["b"]})  # changes nothing
    await house.full("DELETE", path)
    before = await audited(house)
    await house.full("POST", f"{path}/erase?confirm={acme['id']}")

    told = await audited(house)

    assert ["customer.create", "customer.edit", "customer.archive", "customer.erase"] == [one[0] for one in told]
    assert (None, {"name": "Acme", "aliases": ["a"]}) == before[0][1:]
    assert ({"aliases": ["a"]}, {"aliases": ["a", "b"]}) == before[1][1:]
    assert (None, {"name": "erased", "aliases": "erased"}) == told[0][1:], "the name goes with him"
    assert ({"aliases": "erased"}, {"aliases": "erased"}) == told[1][1:]
    assert before[2] == told[2]
    assert ({"n_events": 0}, None) == told[3][1:]


async def test_an_entry_that_a_crash_left_behind_is_carried_once(house: House, usage_db: Database) -> None:
    world = house.world

    def change(tx: Any) -> None:
        note(
            tx, world.project.pid, actor=Actor("cli"), action=Action.CUSTOMER_EDIT, of="customer:x",
            before={"name": "a"}, after={"name": "b"}, at=START, ids=world.ids,
        )  # fmt: skip

    await usage_db.write(change)
    async with usage_db.read() as read:
        (row,) = (await read.execute(sa.select(usage_audit))).all()

    assert 1 == await carry(usage_db, world.db)
    await usage_db.write(lambda tx: tx.conn.execute(sa.insert(usage_audit).values(row._asdict())).rowcount)
    assert 1 == await carry(usage_db, world.db), "as if it had died before it forgot the entry"

    assert [("customer.edit", {"name": "a"}, {"name": "b"})] == await audited(house)
    assert 0 == await count(usage_db, usage_audit)
