"""Limits of calls over the API: made, read, edited, deleted and checked, with what is wrong named."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from tests.api.conftest import START
from tests.api.door import Door, House
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

HOURLY = {"kind": "rolling", "period_s": 3_600, "amount": 3, "scope": {"customer": "each"}}
CALL = {"scope": {"provider": "openai", "model": "gpt-5", "customer": "acme", "tags": ["b", "a", "b"]}}


async def make(house: House, **asked: Any) -> Any:
    made = await house.full("POST", "/v1/limits", HOURLY | asked)
    assert 201 == made.status, made.json
    return made.json


async def check(house: House, *, query: str = "", **asked: Any) -> Any:
    return await house.full("POST", f"/v1/limits/check{query}", CALL | asked)


async def test_without_limits_lists_are_empty_and_calls_are_allowed(house: House) -> None:
    for path in ("/v1/limits", "/v1/limits/denials", "/v1/limits/providers"):
        assert {"items": [], "next": None} == (await house.read("GET", path)).json
    told = (await check(house)).json

    assert (True, None, None, {}, [], False, False) == tuple(
        told[name] for name in ("allowed", "reservation", "limit", "remaining", "limits", "repeated", "unseen")
    )


async def test_a_limit_is_made_read_edited_and_deleted_and_each_change_is_in_the_audit(house: House) -> None:
    made = await house.full("POST", "/v1/limits", HOURLY | {"amount": "1000"})
    limit = made.json["id"]

    assert f"/v1/limits/{limit}" == made.headers["location"].removeprefix("http://beat.example.org")
    assert ("1,000 requests in any hour for each customer", "requests", "1000", 3_600, None, None, "allow", 80, "") == (
        tuple(
            made.json[name]
            for name in ("name", "unit", "amount", "period_s", "burst", "window", "on_failure", "approaching", "source")
        )
    )
    assert made.json == (await house.read("GET", f"/v1/limits/{limit}")).json
    tag = (await house.read("GET", f"/v1/limits/{limit}")).headers["etag"]
    edited = await house.full(
        "PATCH", f"/v1/limits/{limit}", {"amount": "2.5", "on_failure": "deny", "active": False},
        headers=[("if-match", tag)],
    )  # fmt: skip
    assert ("2.5", "deny", False) == tuple(edited.json[name] for name in ("amount", "on_failure", "active"))
    stale = await house.full("PATCH", f"/v1/limits/{limit}", {"amount": 3}, headers=[("if-match", tag)])
    assert 412 == stale.status
    assert 204 == (await house.full("DELETE", f"/v1/limits/{limit}")).status
    assert 404 == (await house.read("GET", f"/v1/limits/{limit}")).status

    entries = (await house.full("GET", "/v1/audit")).json["items"]
    actions = [one for one in entries if one["action"].startswith("limit.")]
    assert ["limit.delete", "limit.edit", "limit.create"] == [one["action"] for one in actions]
    assert {"amount": "1000", "on_failure": "allow", "active": True} == actions[1]["before"]


async def test_limits_are_listed_page_by_page(house: House) -> None:
    made = [(await make(house, period_s=60 + n))["id"] for n in range(3)]

    first = (await house.read("GET", "/v1/limits?limit=2")).json
    second = (await house.read("GET", f"/v1/limits?limit=2&cursor={first['next']}")).json

    assert made == [one["id"] for one in first["items"] + second["items"]]
    assert second["next"] is None


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (
            {"policy": "50;w=60;u=cents;s=user"},
            {"kind": "rolling", "amount": "0.5", "unit": "cost:USD", "scope": {"user": "each"}, "period_s": 60},
        ),
        (
            {"kind": "rate", "amount": 60, "period_s": 60, "unit": "tokens", "scope": {"key": "=each"}},
            {"kind": "rate", "burst": "60", "scope": {"key": "=each"}, "window": None, "zone": None},
        ),
        (
            {"kind": "calendar", "amount": "10.25", "window": "month", "unit": "cost:EUR"},
            {"window": "month", "zone": "UTC", "period_s": None, "burst": None, "scope": {}},
        ),
        (
            {"kind": "calendar", "amount": 1, "window": "week", "zone": "europe/berlin", "always": True},
            {"window": "week", "zone": "Europe/Berlin", "always": True},
        ),
        (
            {"kind": "between", "amount": 1, "from_at": "2026-03-01T00:00:00Z", "to_at": "2026-04-01T00:00:00Z"},
            {"from_at": "2026-03-01T00:00:00Z", "to_at": "2026-04-01T00:00:00Z"},
        ),
    ],
)
async def test_there_are_limits_of_every_kind(house: House, asked: Any, expected: Any) -> None:
    made = await house.full("POST", "/v1/limits", asked)

    assert 201 == made.status
    assert expected == {name: made.json[name] for name in expected}


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "kind"),
        ({"kind": "monthly", "amount": 1}, "kind"),
        ({"kind": "rolling", "amount": "1e3", "period_s": 60}, "amount"),
        ({"kind": "rolling", "amount": -1, "period_s": 60}, "amount"),
        ({"kind": "rolling", "amount": 1.5, "period_s": 60}, "amount"),
        ({"kind": "rolling", "period_s": 60}, "amount"),
        ({"kind": "rolling", "amount": 1}, "period_s"),
        ({"kind": "rolling", "amount": 1, "period_s": 60, "burst": 2}, "burst"),
        ({"kind": "rate", "amount": 1, "period_s": 60, "burst": "x"}, "burst"),
        ({"kind": "calendar", "amount": 1, "window": "decade"}, "window"),
        ({"kind": "calendar", "amount": 1, "window": "day", "zone": "Mars/Olympus"}, "zone"),
        ({"kind": "calendar", "amount": 1, "window": "day", "period_s": 60}, "period_s"),
        ({"kind": "between", "amount": 1}, "from_at"),
        ({"kind": "rolling", "amount": 1, "period_s": 60, "scope": {"planet": "x"}}, "scope.planet"),
        ({"kind": "rolling", "amount": 1, "period_s": 60, "scope": {"user": ""}}, "scope.user"),
        ({"kind": "rolling", "amount": 1, "period_s": 60, "unit": "Tokens!"}, "unit"),
        ({"kind": "rolling", "amount": 1, "period_s": 60, "on_failure": "maybe"}, "on_failure"),
        ({"kind": "rolling", "amount": 1, "period_s": 60, "approaching": 0}, "approaching"),
        ({"kind": "rolling", "amount": 1, "period_s": 60, "name": "\n"}, "name"),
        ({"policy": "ten;w=60"}, "policy"),
        ({"policy": "10;w=60", "kind": "rate"}, "kind"),
        ({"policy": "10;w=60", "period_s": 60}, "period_s"),
        ({"policy": "10;w=0"}, "period_s"),
        ({"policy": "10;w=60;u=Odd!"}, "unit"),
    ],
)
@on_sqlite
async def test_what_is_no_limit_is_refused_by_its_field(house: House, asked: Any, field: str) -> None:
    for path in ("/v1/limits", "/v1/limits/simulate"):
        told = await house.full("POST", path, asked)
        if field in {"name", "zone"} and path.endswith("simulate"):
            continue  # a name is nothing that a call could meet
        assert (422, [field]) == (told.status, [one["field"] for one in told.json["errors"]])
    assert [] == (await house.read("GET", "/v1/limits")).json["items"]


async def test_a_second_limit_for_the_same_calls_is_refused(house: House) -> None:
    await make(house)

    assert 409 == (await house.full("POST", "/v1/limits", HOURLY | {"amount": 9})).status


# --- checks


async def test_a_check_reserves_and_tells_what_remains_and_the_limit_that_denies(house: House) -> None:
    limit = await make(house)

    first = (await check(house, units={"requests": 2})).json
    denied = (await check(house, units={"requests": 2})).json

    assert (True, {"requests": "1"}, "2026-03-02T10:01:00Z", None) == tuple(
        first[name] for name in ("allowed", "remaining", "expires_at", "retry_after")
    )
    assert first["reservation"].startswith("lr_")
    assert (False, None, {"requests": "1"}, 3_660.0) == tuple(
        denied[name] for name in ("allowed", "reservation", "remaining", "retry_after")
    )
    assert {"id": limit["id"], "name": limit["name"]} == denied["limit"]
    (holding,) = denied["limits"]
    assert ({"customer": "acme"}, "3", "2", False) == tuple(
        holding[name] for name in ("values", "limit", "used", "approaching")
    )


async def test_what_is_denied_is_answered_429_where_that_is_asked_for(house: House) -> None:
    await make(house, kind="rate", period_s=60, amount=60, burst=1)
    assert 200 == (await check(house, query="?status=429")).status

    plain, told = await check(house), await check(house, query="?status=429")

    assert (200, False) == (plain.status, plain.json["allowed"])
    assert (429, "1", 1.0) == (told.status, told.headers["retry-after"], told.json["retry_after"])
    never = await check(house, query="?status=429", units={"requests": 9})
    assert (429, None, None) == (never.status, never.headers.get("retry-after"), never.json["retry_after"])


@pytest.mark.parametrize("query", ["", "?status=429"])
async def test_an_answer_in_one_message_is_that_in_two(
    house: House, query: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await make(house, amount=1)
    await check(house)
    capsys.readouterr()

    one = await house.full("POST", f"/v1/limits/check{query}", CALL, whole=True)
    two = await check(house, query=query)

    assert not two.json["allowed"]
    assert (two.status, two.headers, two.body) == (one.status, one.headers, one.body)
    lines = map(json.loads, capsys.readouterr().err.splitlines())
    assert [two.status] * 2 == [line["status"] for line in lines if line["event"] == "request"]


async def test_the_door_and_the_route_answer_alike(house: House) -> None:
    await make(house)
    by_door = await check(house, reserve=False)
    by_route = await check(house, query="?status=&", reserve=False)

    assert (by_door.status, by_door.json) == (by_route.status, by_route.json)
    refused = [await check(house, query=f"?{query}") for query in ("status=500", "limit=3", "status=429&status=500")]
    assert [(422, "status"), (400, "limit")] == [(one.status, one.json["errors"][0]["field"]) for one in refused[:2]]
    held = (await check(house)).json["reservation"]
    by_route = await house.full("POST", f"/v1/limits/reservations/{held}/commit?", {})
    assert 200 == by_route.status
    assert 400 == (await house.full("POST", f"/v1/limits/reservations/{held}/commit?x=1", {})).status


async def test_a_reservation_is_committed_or_released_once(house: House) -> None:
    limit = await make(house, unit="input_tokens", amount=100, scope={})
    first = (await check(house, units={"input_tokens": "60"})).json["reservation"]
    second = (await check(house, units={"input_tokens": 30})).json["reservation"]

    committed = await house.full("POST", f"/v1/limits/reservations/{first}/commit", {"units": {"input_tokens": "45.5"}})
    released = await house.full("POST", f"/v1/limits/reservations/{second}/release")

    assert ("committed", False, "75.5") == (
        committed.json["state"],
        committed.json["late"],
        committed.json["limits"][0]["used"],
    )
    assert ("released", "45.5") == (released.json["state"], released.json["limits"][0]["used"])
    shown = (await house.read("GET", f"/v1/limits/{limit['id']}")).json["fullest"]
    assert ("45.5", "0", "54.5", 45) == tuple(shown[name] for name in ("used", "reserved", "remaining", "percent"))
    assert 409 == (await house.full("POST", f"/v1/limits/reservations/{first}/release")).status
    assert 404 == (await house.full("POST", "/v1/limits/reservations/lr_1f/release")).status


async def test_cost_is_counted_by_currency_and_currencies_are_never_added_up(house: House) -> None:
    for currency in ("USD", "EUR"):
        await make(house, unit=f"cost:{currency}", amount="1", scope={})

    told = [(await check(house, cost={"USD": "0.6", "EUR": "0.3"})).json for _ in range(2)]

    assert [True, False] == [one["allowed"] for one in told]
    assert {"cost:USD": "0.4", "cost:EUR": "0.7"} == told[1]["remaining"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"units": {"requests": 1.5}}, "units[...]"),
        ({"units": {"requests": "-1"}}, "units.requests"),
        ({"units": {"requests": "1e3"}}, "units.requests"),
        ({"units": {f"u{n}": 1 for n in range(51)}}, "units"),
        ({"cost": {"USD": "x"}}, "cost.USD"),
        ({"cost": {f"C{n}": 1 for n in range(11)}}, "cost"),
        ({"ttl": 0}, "ttl"),
        ({"ttl": 86_401}, "ttl"),
        ({"idempotency_key": "x" * 201}, "idempotency_key"),
        ({"scope": {"provider": "x" * 257}}, "scope.provider"),
        ({"scope": {"user": "a\u0000b"}}, "scope.user"),
        ({"scope": {"tags": [f"t{n}" for n in range(21)]}}, "scope.tags"),
        ({"scope": {"tags": ["x" * 257]}}, "scope.tags"),
        ({"scope": {"planet": "x"}}, "scope.planet"),
        ({"reserv": True}, "reserv"),
    ],
)
@on_sqlite
async def test_what_is_no_check_is_refused_by_its_field_and_nothing_is_reserved(
    house: House, asked: Any, field: str
) -> None:
    limit = await make(house, scope={})

    for query in ("", "?status=&"):
        told = await check(house, query=query, **asked)
        assert (422, [field]) == (told.status, [one["field"] for one in told.json["errors"]])
    assert (await house.read("GET", f"/v1/limits/{limit['id']}")).json["fullest"] is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"\xff", b'{"scope": {"provider": "\\ud800"}}'])
@on_sqlite
async def test_what_is_no_json_is_no_check(house: House, body: bytes) -> None:
    await make(house)

    told = await house.full("POST", "/v1/limits/check", body=body)
    assert told.status in {400, 422}


async def test_keys_that_send_events_may_check_and_those_that_read_may_not(house: House) -> None:
    await make(house)
    made = await house.full("POST", "/v1/keys", {"name": "app", "scopes": ["ingest"]})
    sends = Door(house.full.api, made.json["secret"])

    held = await sends("POST", "/v1/limits/check", CALL)
    assert 200 == held.status
    assert 200 == (await sends("POST", f"/v1/limits/reservations/{held.json['reservation']}/commit", {})).status
    assert 403 == (await sends("GET", "/v1/limits")).status
    assert 403 == (await house.read("POST", "/v1/limits/check", CALL)).status
    assert 401 == (await house.nobody("POST", "/v1/limits/check", CALL)).status


async def test_two_hundred_calls_at_one_time_never_overshoot_through_the_door(house: House) -> None:
    await make(house, amount=50)

    told = await asyncio.gather(*(check(house) for _ in range(200)))

    assert 50 == sum(one.json["allowed"] for one in told)


async def test_sent_again_under_its_key_a_check_is_answered_with_the_same_reservation(house: House) -> None:
    await make(house)
    first, again = [(await check(house, idempotency_key="k-1")).json for _ in range(2)]

    assert (first["reservation"], False, True) == (again["reservation"], first["repeated"], again["repeated"])
    assert 409 == (await check(house, idempotency_key="k-1", units={"requests": 2})).status


# --- how they stand


async def test_counters_denials_and_provider_limits_are_told_page_by_page(house: House, clock: SimClock) -> None:
    limit = await make(house, amount=1)
    for customer in ("a", "b", "c"):
        for _ in range(2):
            await check(house, scope={"customer": customer, "provider": "openai"})
    event = {
        "transaction_id": "t-1", "customer_id": "z", "timestamp": "2026-03-02T10:00:00Z", "event_type": "api.call",
        "properties": {"provider": "p-1", "model": "m", "ratelimit.requests.limit": "500"},
    }  # fmt: skip
    other = event | {"transaction_id": "t-2", "properties": event["properties"] | {"provider": "p-2"}}  # type: ignore[operator]
    await house.full("POST", "/v1/events", [event, other])

    for path, n in (
        (f"/v1/limits/{limit['id']}/counters", 4),
        ("/v1/limits/denials", 3),
        (f"/v1/limits/denials?limit_id={limit['id']}", 3),
        ("/v1/limits/providers", 2),
    ):
        found: list[Any] = []
        cursor = ""
        while True:
            mark = "&" if "?" in path else "?"
            page = (await house.read("GET", f"{path}{mark}limit=1{cursor}")).json
            found += page["items"]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        assert n == len(found) == len({str(one) for one in found})
    denied = (await house.read("GET", "/v1/limits/denials")).json["items"][0]
    assert ({"customer": "a"}, 1, "1", "1") == tuple(denied[name] for name in ("values", "n", "wanted", "used"))
    assert {"requests.limit": "500"} == (await house.read("GET", "/v1/limits/providers")).json["items"][0]["told"]
    clock.move_to(START + timedelta(hours=2))
    assert [] == (await house.read("GET", f"/v1/limits/{limit['id']}/counters")).json["items"]


@pytest.mark.parametrize(
    "path", ["/v1/limits/denials", "/v1/limits/providers", "/v1/limits", "/v1/limits/{id}/counters"]
)
async def test_a_cursor_of_another_list_is_refused(house: House, path: str) -> None:
    limit = await make(house)
    path = path.replace("{id}", limit["id"])

    for cursor in (
        "x",
        "",
        "ZGVuaWFscyxbXQ",
        "Y291bnRlcnMsWy0xLCJhIl0",
        "ZGVuaWFscyxbOTk5OTk5OTk5OTk5OTk5OTk5OSwxLCIiXQ",
    ):
        told = await house.read("GET", f"{path}?cursor={cursor}")
        assert (422, "cursor") == (told.status, told.json["errors"][0]["field"])


async def test_a_limit_is_tried_on_what_was_called(house: House) -> None:
    calls = [
        {
            "transaction_id": f"t-{n}", "customer_id": "acme", "timestamp": "2026-03-02T09:00:00Z",
            "event_type": "api.call", "properties": {"provider": "openai"},
        }
        for n in range(5)
    ]  # fmt: skip
    await house.full("POST", "/v1/events", calls)

    told = (await house.full("POST", "/v1/limits/simulate", HOURLY)).json

    assert (5, 5, 2, "3", "2026-03-02T09:00:00Z", False) == tuple(
        told[name] for name in ("calls", "fitting", "denied", "used", "first_denied_at", "cut")
    )
    assert [{"values": ["acme"], "denied": 2, "used_at_most": "3"}] == told["by_value"]
    assert [{"hour": "2026-03-02T09:00:00Z", "denied": 2}] == told["by_hour"]


async def test_a_customer_who_is_erased_is_erased_from_limits_too(house: House) -> None:
    his, each = await make(house, scope={"customer": "acme"}), await make(house, scope={"customer": "each"}, amount=1)
    by_tag = await make(house, scope={"tag": "each"}, amount=9)
    for customer in ("acme", "acme-2", "acme-2", "other"):
        await check(house, scope={"customer": customer, "tags": ["a"]})
    made = await house.full("POST", "/v1/customers", {"name": "Acme", "aliases": ["acme", "acme-2"]})

    customer = made.json["id"]
    erased = await house.full("POST", f"/v1/customers/{customer}/erase?confirm={customer}")

    assert 200 == erased.status, erased.json
    assert 404 == (await house.read("GET", f"/v1/limits/{his['id']}")).status
    left = (await house.read("GET", f"/v1/limits/{each['id']}/counters")).json["items"]
    assert [{"customer": "other"}] == [one["values"] for one in left]
    assert [] == (await house.read("GET", "/v1/limits/denials")).json["items"]
    assert "3" == (await house.read("GET", f"/v1/limits/{by_tag['id']}")).json["fullest"]["used"]
