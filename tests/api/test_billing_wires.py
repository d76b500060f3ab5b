"""Stripe's, Lago's and Orb's events at their doors: what becomes of each, and how each wire is told what is wrong."""

from __future__ import annotations

import gzip
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from heartfly.api import lago, stripe
from heartfly.api.foreign_times import instant_of_seconds
from heartfly.api.orb_asked import event_from
from heartfly.core.amounts import Number
from heartfly.errors import InvalidValueError
from heartfly.usage.ingest import Unreadable
from tests.api.conftest import START
from tests.api.door import Door, House, Reply
from tests.one_database import on_sqlite

pytestmark = pytest.mark.anyio

AT = START.isoformat()
SECONDS = str(int(START.timestamp()))
OURS = {"customer_id": "acme", "timestamp": AT, "event_type": "call", "properties": {"value": "1.50"}}
STRIPE = {
    "event_name": "call", "identifier": "t-1", "timestamp": SECONDS, "payload[value]": "1.50",
    "payload[stripe_customer_id]": "acme",
}  # fmt: skip
STRIPE_2 = {
    "event_name": "call", "identifier": "t-1", "timestamp": AT,
    "payload": {"value": "1.50", "stripe_customer_id": "acme"},
}  # fmt: skip
LAGO = {
    "transaction_id": "t-1", "external_subscription_id": "acme", "code": "call", "timestamp": SECONDS,
    "precise_total_amount_cents": None, "properties": {"value": "1.50"},
}  # fmt: skip
ORB = {
    "idempotency_key": "t-1", "external_customer_id": "acme", "event_name": "call", "timestamp": AT,
    "properties": {"value": "1.50"},
}  # fmt: skip
DOORS: dict[str, tuple[str, bytes, str]] = {
    "stripe": ("/stripe/v1/billing/meter_events", urlencode(STRIPE).encode(), "t-1"),
    "stripe 2": ("/stripe/v2/billing/meter_events", json.dumps(STRIPE_2).encode(), "t-1"),
    "lago": ("/lago/api/v1/events", json.dumps({"event": LAGO}).encode(), "acme#t-1"),
    "lago's batch": ("/lago/api/v1/events/batch", json.dumps({"events": [LAGO]}).encode(), "acme#t-1"),
    "orb": ("/orb/ingest", json.dumps({"events": [ORB]}).encode(), "t-1"),
    "orb's v1": ("/orb/v1/ingest", json.dumps({"events": [ORB]}).encode(), "t-1"),
}


async def told_natively(house: House, name: str, **more: Any) -> str:
    """What our own door would say to the event: `duplicate` of one that is kept with this very content."""
    reply = await house.full("POST", "/v1/events?dry_run=true", [OURS | {"transaction_id": name} | more])
    return str(reply.json["results"][0]["outcome"])


def message_of(wire: str, reply: Reply) -> str:
    """In the wire's own shape."""
    told = reply.json
    assert "application/json" == reply.headers["content-type"]
    if wire.startswith("stripe"):
        assert {"error"} == told.keys()
        assert ("false" if reply.status not in {429, 503} else None) == reply.headers.get("stripe-should-retry")
        return str(told["error"]["message"])
    if wire.startswith("lago"):
        assert ({"status", "error", "code", "error_details"}, reply.status) == (told.keys(), told["status"])
        return json.dumps(told["error_details"])
    assert {"type", "status", "title", "detail"} <= told.keys()
    assert ("false", reply.status) == (reply.headers["x-should-retry"], told["status"])
    return str(told["detail"])


@pytest.mark.parametrize("wire", DOORS)
async def test_an_event_is_the_same_whichever_way_it_came_and_may_come_again(house: House, wire: str) -> None:
    path, body, name = DOORS[wire]

    answers = [(await house.full("POST", path, body=body)).status for _ in range(2)]

    assert ([200, 200], "duplicate") == (answers, await told_natively(house, name))


@on_sqlite
@pytest.mark.parametrize("wire", DOORS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"7",
        b"\xff",
        b"[" * 500,
        b'{"events": 7}',
        b'{"event": 7}',
        b"a[=1",
        b"a=1&a[b]=2",
        b"a[b][c][d][e]=1",
    ],
)
async def test_what_is_no_body_of_events_is_refused_in_the_wire_s_words(house: House, wire: str, body: bytes) -> None:
    reply = await house.full("POST", DOORS[wire][0], body=body)

    assert reply.status in {400, 422}, reply.body
    assert message_of(wire, reply)


@pytest.mark.parametrize("wire", DOORS)
async def test_who_may_not_is_told_in_the_wire_s_words(house: House, wire: str) -> None:
    path, body, name = DOORS[wire]

    for door, status in ((house.nobody, 401), (house.read, 403)):
        reply = await door("POST", path, body=body)
        assert status == reply.status
        assert "key" in message_of(wire, reply)
    assert "accepted" == await told_natively(house, name)


@pytest.mark.parametrize("wire", DOORS)
async def test_a_key_brings_events_into_its_own_project_only(house: House, neighbour: House, wire: str) -> None:
    path, body, name = DOORS[wire]
    made = await house.full("POST", "/v1/keys", {"name": "sender", "scopes": ["ingest"]})

    await Door(house.full.api, made.json["secret"])("POST", path, body=body)

    assert ("duplicate", "accepted") == (await told_natively(house, name), await told_natively(neighbour, name))


@pytest.mark.parametrize("wire", DOORS)
async def test_a_call_that_is_none_of_ours_is_declined_in_the_wire_s_words(house: House, wire: str) -> None:
    prefix = DOORS[wire][0].partition("/")[2].partition("/")[0]

    reply = await house.full("GET", f"/{prefix}/v1/invoices")

    assert 404 == reply.status
    assert "/v1/invoices is not answered here" in message_of(prefix, reply)


# --- Stripe


async def test_an_event_of_stripe_without_a_name_has_that_of_its_request(house: House) -> None:
    bare = {name: value for name, value in STRIPE.items() if name != "identifier"}
    headers = [("Idempotency-Key", "k-1")]

    told = [
        await house.full("POST", DOORS["stripe"][0], body=urlencode(bare).encode(), headers=headers) for _ in range(2)
    ]

    assert ["request:k-1"] * 2 == [one.json["identifier"] for one in told]
    assert "duplicate" == await told_natively(house, "request:k-1")
    assert {
        "object": "billing.meter_event", "created": int(SECONDS), "event_name": "call", "identifier": "request:k-1",
        "livemode": True, "payload": {"value": "1.50", "stripe_customer_id": "acme"}, "timestamp": int(SECONDS),
    } == told[0].json  # fmt: skip


@pytest.mark.parametrize(
    ("change", "param", "words"),
    [
        ({"payload[stripe_customer_id]": ""}, "payload[stripe_customer_id]", "must not be empty"),
        ({"event_name": ""}, "event_name", "must not be empty"),
        ({"timestamp": "soon"}, "timestamp", "must be"),
        ({"payload[" + "n" * 129 + "]": "1"}, "payload", "has a name that is not of 1 to 128 characters"),
    ],
)
async def test_what_is_wrong_with_an_event_of_stripe_is_told_by_its_field(
    house: House, change: dict[str, str], param: str, words: str
) -> None:
    reply = await house.full("POST", DOORS["stripe"][0], body=urlencode(STRIPE | change).encode())

    assert (400, param) == (reply.status, reply.json["error"]["param"])
    assert words in message_of("stripe", reply)


@pytest.mark.parametrize("version", [1, 2])
async def test_an_adjustment_of_stripe_cancels_an_event(house: House, version: int) -> None:
    await house.full("POST", DOORS["stripe"][0], body=DOORS["stripe"][1])
    path = f"/stripe/v{version}/billing/meter_event_adjustments"

    async def ask(**asked: Any) -> Reply:
        form = {f"cancel[{k}]": v for k, v in asked.pop("cancel", {}).items()} | asked
        if version == 1:
            return await house.full("POST", path, body=urlencode(form).encode())
        grouped = {"cancel": {k[7:-1]: v for k, v in form.items() if k.startswith("cancel[")}}
        return await house.full("POST", path, grouped | {k: v for k, v in form.items() if "[" not in k})

    good: dict[str, Any] = {"type": "cancel", "event_name": "call", "cancel": {"identifier": "t-1"}}
    wrong = [
        await ask(**good | {"type": "range"}),
        await ask(**good | {"cancel": {}}),
        await ask(**good | {"event_name": ""}),
        await ask(**good | {"cancel": {"identifier": "t-2"}}),
        await ask(**good | {"event_name": "other"}),
    ]
    before = await house.full("GET", "/v1/events/t-1")
    told = [await ask(**good) for _ in range(2)]
    after = await house.full("GET", "/v1/events/t-1")

    assert [400, 400, 400, 404, 404] == [one.status for one in wrong]
    assert ["type", "cancel[identifier]", "event_name"] == [one.json["error"]["param"] for one in wrong[:3]]
    assert [(200, "complete")] * 2 == [(one.status, one.json["status"]) for one in told]
    assert (True, False) == (before.json["counts"], after.json["counts"])
    assert 403 == (await house.read("POST", path, body=b"type=cancel")).status


async def test_a_form_is_read_as_groups_in_groups() -> None:
    assert {"a": {"b": "c", "d": "e"}, "f": ""} == stripe.form_of(b"a[b]=c&a%5Bd%5D=e&f=")
    for wrong in (b"a]=1", b"a[]=1", b"a=1&a[b]=1", b"a[b]=1&a=2", b"a[b][c][d]=1", b"=1"):
        with pytest.raises(InvalidValueError):
            stripe.form_of(wrong)


# --- Lago


async def test_an_event_of_lago_is_told_and_found_again(house: House, neighbour: House) -> None:
    told = await house.full("POST", "/lago/api/v1/events", {"event": LAGO | {"precise_total_amount_cents": "12.5"}})
    found = await house.read("GET", "/lago/api/v1/events/t-1")
    of_one = await house.read("GET", "/lago/api/v1/events/t-1?external_subscription_id=acme")

    expected = {
        "transaction_id": "t-1", "external_subscription_id": "acme", "code": "call",
        "precise_total_amount_cents": "12.5",
        "properties": {"value": "1.50", "precise_total_amount_cents": "12.5"},
        "timestamp": AT.replace("+00:00", "Z"), "lago_customer_id": None, "lago_subscription_id": None,
    }  # fmt: skip
    assert expected == {name: told.json["event"][name] for name in expected}
    assert told.json == found.json == of_one.json
    missing = [
        await house.read("GET", "/lago/api/v1/events/t-2"),
        await house.read("GET", "/lago/api/v1/events/t-1?external_subscription_id=other"),
        await neighbour.read("GET", "/lago/api/v1/events/t-1"),
    ]
    assert [404] * 3 == [one.status for one in missing]
    assert all(message_of("lago", one) for one in missing)


async def test_an_id_of_lago_is_known_by_its_subscription(house: House) -> None:
    """Two subscriptions may count days, each with the same ids."""
    events = [LAGO, LAGO | {"external_subscription_id": "other"}, LAGO | {"code": "another"}, LAGO | {"code": ""}]

    reply = await house.full("POST", "/lago/api/v1/events/batch", {"events": events})

    assert 422 == reply.status
    assert {
        "2": {"transaction_id": ["value_already_exist"]}, "3": {"code": ["must not be empty"]},
    } == reply.json["error_details"]  # fmt: skip
    assert ["duplicate", "duplicate"] == [
        await told_natively(house, "acme#t-1"),
        await told_natively(house, "other#t-1", customer_id="other"),
    ]


@on_sqlite
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/lago/api/v1/events"), ("POST", "/stripe/v2/billing/meter_events"),
        ("POST", "/stripe/v2/billing/meter_event_adjustments"), ("PUT", "/orb/events/t-1"),
        ("POST", "/orb/events/search"), ("POST", "/orb/events/backfills"),
    ],
)  # fmt: skip
async def test_what_is_one_event_is_not_longer_than_one(house: House, method: str, path: str) -> None:
    """A MiB of zeros in the place of one of its fields took 53 MiB of memory."""
    long = b'{"event": {"code": [' + b"0," * 140_000 + b"0]}}"

    for body, headers in ((long, []), (gzip.compress(long), [("Content-Encoding", "gzip")])):
        reply = await house.full(method, path, body=body, headers=headers)
        assert (413, True) == (reply.status, b"larger than 256 KiB" in reply.body), reply.body


@pytest.mark.parametrize("amount", [2001, 5000])
async def test_more_events_than_a_request_may_bring_are_refused_whole(house: House, amount: int) -> None:
    of_lago = await house.full("POST", "/lago/api/v1/events/batch", {"events": [LAGO] * amount})
    of_orb = await house.full("POST", "/orb/ingest", {"events": [ORB] * amount})

    assert [422, 400] == [of_lago.status, of_orb.status]
    assert "at most 2000" in message_of("lago", of_lago)
    assert "at most 2000" in message_of("orb", of_orb)
    assert "accepted" == await told_natively(house, "t-1")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1772445600", "2026-03-02T10:00:00+00:00"),
        (Number("1772445600.1234567"), "2026-03-02T10:00:00.123456+00:00"),
        ("soon", "soon"), ("99999999999999", "99999999999999"), ("99999999999", "5138-11-16T09:46:39+00:00"),
        ({"a": 1}, {"a": 1}), (None, None),
    ],
)  # fmt: skip
async def test_seconds_are_an_instant_without_passing_through_a_float(given: Any, expected: Any) -> None:
    assert expected == instant_of_seconds(given)


async def test_what_is_no_event_of_lago_is_left_for_our_own_rules_to_tell() -> None:
    assert 7 == lago.event_from(7, START)
    assert AT == lago.event_from(LAGO | {"timestamp": None}, START)["timestamp"]
    assert {"properties": 7} == {
        name: value for name, value in lago.event_from({"properties": 7, lago.AMOUNT: "1"}, START).items()
        if name == "properties"
    }  # fmt: skip


# --- Orb


async def test_orb_s_debug_says_what_became_of_each(house: House) -> None:
    events = [ORB, ORB | {"idempotency_key": "t-2"}, ORB | {"event_name": "other"}]

    plain = await house.full("POST", "/orb/ingest", {"events": [ORB]})
    told = await house.full("POST", "/orb/ingest?debug=true", {"events": events})

    assert {"validation_failed": []} == plain.json
    assert (200, {"ingested": ["t-2"], "duplicate": ["t-1", "t-1"]}) == (told.status, told.json["debug"])


async def test_a_bad_event_of_orb_is_named_and_its_neighbours_are_kept(house: House) -> None:
    both = ORB | {"idempotency_key": "t-2", "customer_id": "c"}

    reply = await house.full("POST", "/orb/ingest?debug=true", {"events": [ORB, both, ORB | {"timestamp": "soon"}, 7]})

    assert 400 == reply.status
    assert ["t-2", "t-1", ""] == [one["idempotency_key"] for one in reply.json["validation_failed"]]
    assert "events: [1]: exactly one of customer_id and external_customer_id must be given" in message_of("orb", reply)
    assert ["t-1"] == reply.json["debug"]["ingested"]
    assert "duplicate" == await told_natively(house, "t-1")


async def test_a_backfill_of_orb_counts_once_it_is_closed_and_no_more_when_it_is_reverted(
    house: House, neighbour: House
) -> None:
    asked = {"timeframe_start": "2026-03-02T00:00:00", "timeframe_end": "2026-03-03T00:00:00Z"}
    opened = await house.full("POST", "/orb/v1/events/backfills", asked | {"replace_existing_events": False})
    path = f"/orb/events/backfills/{opened.json['id']}"
    event = ORB | {"idempotency_key": "b-1", "timestamp": "2026-03-02T10:00:00Z"}
    outside = event | {"idempotency_key": "b-2", "timestamp": "2026-03-05T10:00:00Z"}
    search = {"event_ids": ["b-1", "b-2"]}

    sent = await house.full("POST", f"/orb/ingest?debug=true&backfill_id={opened.json['id']}", {"events": [event]})
    wrong = await house.full("POST", f"/orb/ingest?backfill_id={opened.json['id']}", {"events": [outside]})
    before = (await house.read("POST", "/orb/events/search", search)).json["data"]
    told = [await house.full("POST", f"{path}/close") for _ in range(2)]
    between = (await house.read("POST", "/orb/events/search", search)).json["data"]
    listed = (await house.read("GET", "/orb/events/backfills?limit=1&status=reflected")).json
    reverted = await house.full("POST", f"{path}/revert")
    after = (await house.read("POST", "/orb/events/search", search)).json["data"]

    assert (200, "pending", 0, "2026-03-02T00:00:00Z") == (
        opened.status, opened.json["status"], opened.json["events_ingested"], opened.json["timeframe_start"],
    )  # fmt: skip
    assert (["b-1"], 400) == (sent.json["debug"]["ingested"], wrong.status)
    assert "[0].timestamp" in message_of("orb", wrong)
    assert ([], ["b-1"], []) == tuple([one["id"] for one in found] for found in (before, between, after))
    assert [(200, "reflected", 1)] * 2 == [(e.status, e.json["status"], e.json["events_ingested"]) for e in told]
    assert ([opened.json["id"]], False) == (
        [one["id"] for one in listed["data"]], listed["pagination_metadata"]["has_more"],
    )  # fmt: skip
    assert "reverted" == reverted.json["status"] == (await house.read("GET", path)).json["status"]
    assert [404] * 3 == [
        (await neighbour.full(method, path + rest)).status
        for method, rest in (("GET", ""), ("POST", "/close"), ("POST", "/revert"))
    ]
    key = (await house.full("POST", "/v1/keys", {"name": "sender", "scopes": ["ingest"]})).json["secret"]
    sender = Door(house.full.api, key)
    of_others = await neighbour.full("POST", f"/orb/ingest?backfill_id={opened.json['id']}", {"events": [event]})
    assert 404 == of_others.status
    assert [] == (await neighbour.read("GET", "/orb/events/backfills")).json["data"]
    assert [403] * 3 == [
        (await house.read("POST", "/orb/events/backfills", asked)).status,
        (await house.read("POST", f"{path}/close")).status,
        (await sender("POST", f"/orb/ingest?backfill_id={opened.json['id']}", {"events": [event]})).status,
    ]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"close_time": AT}, "close_time"), ({"deprecation_filter": "x"}, "deprecation_filter"),
        ({"timeframe_start": None}, "timeframe_start"), ({"timeframe_end": 7}, "timeframe_end"),
        ({"replace_existing_events": None}, "replace_existing_events"), ({"customer_id": []}, "customer_id"),
        ({"customer_id": "a", "external_customer_id": "b"}, "customer_id"),
        ({"timeframe_end": AT}, "timeframe_end: must be after"),
    ],
)  # fmt: skip
async def test_a_backfill_that_orb_s_client_cannot_mean_is_told_by_its_field(
    house: House, more: dict[str, Any], field: str
) -> None:
    asked = {"timeframe_start": AT, "timeframe_end": "2026-03-03T00:00:00Z", "replace_existing_events": True} | more

    reply = await house.full("POST", "/orb/events/backfills", asked)

    assert 400 == reply.status
    assert field in message_of("orb", reply)


async def test_an_empty_backfill_of_orb_takes_nothing_away_unless_that_is_said(house: House) -> None:
    asked = {"timeframe_start": AT, "timeframe_end": "2026-03-03T00:00:00Z", "replace_existing_events": True}
    path = f"/orb/events/backfills/{(await house.full('POST', '/orb/events/backfills', asked)).json['id']}"

    assert [409, 200, 400] == [
        (await house.full("POST", f"{path}/close")).status,
        (await house.full("POST", f"{path}/close?empty=true")).status,
        (await house.full("GET", "/orb/events/backfills?status=gone")).status,
    ]


async def test_an_event_of_orb_is_amended_deprecated_and_found(house: House, neighbour: House) -> None:
    await house.full("POST", "/orb/ingest", {"events": [ORB]})
    asked = {name: value for name, value in ORB.items() if name != "idempotency_key"} | {"properties": {"value": "2"}}
    search = {"event_ids": ["t-1", "t-2"]}

    amended = await house.full("PUT", "/orb/events/t-1", asked)
    kept = (await house.read("POST", "/orb/events/search", search)).json["data"]
    deprecated = await house.full("PUT", "/orb/v1/events/t-1/deprecate")
    gone = (await house.read("POST", "/orb/events/search", search)).json["data"]
    of_others = (await neighbour.read("POST", "/orb/events/search", search)).json["data"]

    assert ({"amended": "t-1"}, {"deprecated": "t-1"}) == (amended.json, deprecated.json)
    assert [("t-1", "acme", {"value": "2"}, False)] == [
        (one["id"], one["external_customer_id"], one["properties"], one["deprecated"]) for one in kept
    ]
    assert ([True], []) == ([one["deprecated"] for one in gone], of_others)
    statuses = [
        (await house.full("PUT", "/orb/events/t-2", asked)).status,
        (await neighbour.full("PUT", "/orb/events/t-1/deprecate")).status,
        (await house.read("PUT", "/orb/events/t-1/deprecate")).status,
        (await house.full("PUT", "/orb/events/t-1", asked)).status,
        (await house.full("PUT", "/orb/events/t-1", asked | {"customer_id": "c"})).status,
        (await house.read("POST", "/orb/events/search", {"event_ids": 7})).status,
        (await house.read("POST", "/orb/events/search", {"event_ids": ["x"] * 101})).status,
        (await house.read("POST", "/orb/events/search", search | {"timeframe_start": "soon"})).status,
    ]
    assert [404, 404, 403, 409, 400, 400, 400, 400] == statuses
    later = search | {"timeframe_start": "2026-03-02T10:00:01"}
    assert [] == (await house.read("POST", "/orb/events/search", later)).json["data"]


async def test_a_time_without_an_offset_is_of_utc_for_orb_alone() -> None:
    event = event_from(ORB | {"timestamp": "2026-03-02T10:00:00"})

    assert "2026-03-02T10:00:00Z" == event["timestamp"]
    assert isinstance(event_from(ORB | {"customer_id": "c"}), Unreadable)
