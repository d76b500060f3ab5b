"""Other makers' formats at their doors: what becomes of each event, and how each wire is told what is wrong."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.api import openmeter, segment
from heartfly.core.amounts import Number
from heartfly.db.database import Database
from heartfly.db.models import dead_letters
from heartfly.usage.ingest import Unreadable
from tests.api.conftest import START
from tests.api.door import Door, House, Reply
from tests.one_database import on_sqlite

pytestmark = pytest.mark.anyio

AT = START.isoformat()
OURS = {
    "transaction_id": "t-1",
    "customer_id": "acme",
    "timestamp": AT,
    "event_type": "call",
    "properties": {"n": "1.50"},
}
CLOUD = {
    "id": "t-1", "source": "web", "specversion": "1.0", "type": "call", "subject": "acme", "time": AT,
    "data": {"n": "1.50"},
}  # fmt: skip
TRACK = {
    "messageId": "t-1", "userId": "acme", "timestamp": AT, "type": "track", "event": "call",
    "properties": {"n": "1.50"},
}  # fmt: skip
DOORS: dict[str, tuple[str, dict[str, Any], str, int]] = {
    "metronome": ("/metronome/v1/ingest", OURS, "t-1", 200),
    "openmeter": ("/openmeter/api/v1/events", CLOUD, "web#t-1", 204),
    "segment": ("/segment/v1/batch", TRACK, "t-1", 200),
}


def body_of(wire: str, found: list[Any]) -> bytes:
    return json.dumps({"batch": found} if wire == "segment" else found).encode()


async def told_natively(house: House, *events: dict[str, Any]) -> list[str]:
    """What our own door would say to them: `duplicate` of one that is kept with this very content."""
    reply = await house.full("POST", "/v1/events?dry_run=true", list(events))
    return [one["outcome"] for one in reply.json["results"]]


async def letters(usage_db: Database) -> list[tuple[str, str, str]]:
    async with usage_db.read() as read:
        rows = (await read.execute(sa.select(dead_letters).order_by(dead_letters.c.id))).all()
    return [(row.wire, row.field, row.reason) for row in rows]


def message_of(wire: str, reply: Reply) -> str:
    told = reply.json
    if wire == "openmeter":
        assert "application/problem+json" == reply.headers["content-type"]
        assert {"type", "title", "status", "detail", "instance"} == told.keys()
        assert (reply.status, DOORS[wire][0]) == (told["status"], told["instance"])
        return str(told["detail"])
    assert "application/json" == reply.headers["content-type"]
    assert ({"message"} if wire == "metronome" else {"success", "code", "message"}) == told.keys()
    return str(told["message"])


@pytest.mark.parametrize("wire", DOORS)
async def test_an_event_is_the_same_whichever_way_it_came_and_may_come_again(house: House, wire: str) -> None:
    path, event, name, status = DOORS[wire]

    for packed in (False, True):
        body = body_of(wire, [event])
        headers = [("Content-Encoding", "gzip")] if packed else []
        reply = await house.full("POST", path, body=gzip.compress(body) if packed else body, headers=headers)
        assert status == reply.status, reply.body

    ours = OURS | {"transaction_id": name}
    assert ["duplicate"] == await told_natively(house, ours)
    assert ["conflict"] == await told_natively(house, ours | {"properties": {"n": "1.5"}})


@pytest.mark.parametrize(
    ("wire", "missing", "field"), [("metronome", "timestamp", "timestamp"), ("openmeter", "subject", "subject"),
                                   ("segment", "messageId", "messageId"), ("segment", "event", "event")],
)  # fmt: skip
async def test_a_bad_event_is_named_by_place_and_field_and_its_neighbours_are_kept(
    house: House, usage_db: Database, wire: str, missing: str, field: str
) -> None:
    path, event, name, _ = DOORS[wire]
    bad = {key: value for key, value in event.items() if key != missing}

    reply = await house.full("POST", path, body=body_of(wire, [event, bad]))

    assert 400 == reply.status
    place = "batch" if wire == "segment" else "events"
    assert f"{place}[1].{field}: is required; the other events of this request are kept" == message_of(wire, reply)
    assert ["duplicate"] == await told_natively(house, OURS | {"transaction_id": name})
    ((of_wire, _, reason),) = await letters(usage_db)
    assert (wire, "is required") == (of_wire, reason)


@on_sqlite
@pytest.mark.parametrize("wire", DOORS)
@pytest.mark.parametrize("body", [b"", b"{", b"7", b"\xff", b"[" * 500, b'{"batch": 7}', b'{"batch": "' + b"x" * 50])
async def test_what_is_no_body_of_events_is_refused_in_the_wire_s_words(house: House, wire: str, body: bytes) -> None:
    reply = await house.full("POST", DOORS[wire][0], body=body)

    assert reply.status in {400, 422}
    assert message_of(wire, reply)


@pytest.mark.parametrize("wire", DOORS)
async def test_who_may_not_is_told_in_the_wire_s_words(house: House, wire: str) -> None:
    path, event, _, _ = DOORS[wire]

    for door, status in ((house.nobody, 401), (house.read, 403)):
        reply = await door("POST", path, body=body_of(wire, [event]))
        assert status == reply.status
        assert "key" in message_of(wire, reply)
        assert ("false" if wire == "metronome" else None) == reply.headers.get("x-should-retry")
    assert ["accepted"] == await told_natively(house, OURS)


@pytest.mark.parametrize("wire", DOORS)
async def test_a_key_brings_events_into_its_own_project_only(house: House, neighbour: House, wire: str) -> None:
    path, event, name, _ = DOORS[wire]
    made = await house.full("POST", "/v1/keys", {"name": "sender", "scopes": ["ingest"]})
    await Door(house.full.api, made.json["secret"])("POST", path, body=body_of(wire, [event]))

    ours = OURS | {"transaction_id": name}
    assert ["duplicate"] == await told_natively(house, ours)
    assert ["accepted"] == await told_natively(neighbour, ours)


@pytest.mark.parametrize("wire", DOORS)
async def test_more_events_than_a_request_may_bring_are_refused_whole(house: House, wire: str) -> None:
    path, event, name, _ = DOORS[wire]

    reply = await house.full("POST", path, body=body_of(wire, [event] * 2001))

    assert 422 == reply.status
    assert "at most 2000" in message_of(wire, reply)
    assert ["accepted"] == await told_natively(house, OURS | {"transaction_id": name})


async def test_segment_s_write_key_is_the_name_of_basic_authentication(house: House) -> None:
    def basic(text: str) -> list[tuple[str, str]]:
        return [("Authorization", f"Basic {base64.b64encode(text.encode()).decode()}")]

    key = house.full.key
    ask = house.nobody
    statuses = [
        (await ask("POST", path, body=json.dumps(TRACK).encode(), headers=headers)).status
        for path, headers in (
            ("/segment/v1/track", basic(f"{key}:")),
            ("/segment/v1/track", basic(f"{key}:secret")),
            ("/segment/v1/track", basic("ü:")),
            ("/segment/v1/track", [("Authorization", "Basic !!")]),
            ("/v1/events", basic(f"{key}:")),
        )
    ]

    assert [200, 401, 401, 401, 401] == statuses


async def test_text_that_no_database_holds_is_set_aside_and_not_an_error(house: House, usage_db: Database) -> None:
    bad = CLOUD | {"specversion": "\0\ud800", "data": {"\0": "\ud800"}}

    reply = await house.full("POST", DOORS["openmeter"][0], body=body_of("openmeter", [bad, 7, None]))

    assert 400 == reply.status
    assert 'events[0]: specversion must be "1.0" (2 more are wrong)' in reply.json["detail"]
    assert 3 == len(await letters(usage_db))


# --- the mappings alone

NOW = datetime(2026, 11, 28, 13, tzinfo=UTC)


async def test_a_cloud_event_without_a_time_happened_when_it_came() -> None:
    bare = {key: value for key, value in CLOUD.items() if key != "time"}

    assert NOW.isoformat() == openmeter.event_from(bare, NOW)["timestamp"]
    assert NOW.isoformat() == openmeter.event_from(CLOUD | {"time": None}, NOW)["timestamp"]
    assert AT == openmeter.event_from(CLOUD, NOW + timedelta(days=1))["timestamp"]


@pytest.mark.parametrize("change", [{"specversion": "0.3"}, {"source": ""}, {"source": 7}, {"data_base64": "aa=="}])
async def test_what_is_no_cloud_event_of_usage_is_told_so(change: dict[str, Any]) -> None:
    assert isinstance(openmeter.event_from(CLOUD | change, NOW), Unreadable)


@pytest.mark.parametrize(("source", "id_"), [("web", "1"), ("a#b", "c"), ("a", "b#c"), ("%23", "x"), ("a%2523#", "#")])
async def test_source_and_id_name_an_event_and_can_be_told_again(source: str, id_: str) -> None:
    assert (source, id_) == openmeter.source_and_id(openmeter.name_of(source, id_))


async def test_events_of_two_sources_are_two_whatever_their_ids() -> None:
    assert openmeter.name_of("a#b", "c") != openmeter.name_of("a", "b#c")
    assert ("", "t-1") == openmeter.source_and_id("t-1")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (TRACK, OURS),
        (TRACK | {"userId": None, "anonymousId": "x"}, OURS | {"customer_id": "x"}),
        (TRACK | {"userId": Number("17")}, OURS | {"customer_id": "17"}),
        (TRACK | {"timestamp": None}, OURS | {"timestamp": NOW.isoformat()}),
        (TRACK | {"type": "page"}, OURS | {"event_type": "page"}),
        (
            TRACK | {"type": "identify", "traits": {"a": "b"}},
            OURS | {"event_type": "identify", "properties": {"a": "b"}},
        ),
    ],
)
async def test_a_message_of_segment_is_an_event(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert expected == segment.event_from(found, NOW)


async def test_a_message_is_of_the_kind_that_its_address_says() -> None:
    assert "screen" == segment.event_from(TRACK | {"type": 7}, NOW, kind="screen")["event_type"]
    assert isinstance(segment.event_from(TRACK | {"type": "delete"}, NOW), Unreadable)
    assert 7 == segment.event_from(7, NOW)


# --- Metronome's customers


@on_sqlite
@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [
        ("/metronome/v1/customers", {"name": ""}, 422),
        ("/metronome/v1/customers", {"ingest_aliases": ["a"]}, 422),
        ("/metronome/v1/customers", {"name": "A", "ingest_aliases": "a"}, 422),
        ("/metronome/v1/customers", [], 400),
        ("/metronome/v1/customers/archive", {"id": "none"}, 404),
        ("/metronome/v1/customers/none/setName", {"name": "A"}, 404),
        ("/metronome/v1/customers/none/setIngestAliases", {"ingest_aliases": ["\0"]}, 404),
        ("/metronome/v1/events/search", {"transactionIds": ["x"] * 101}, 422),
        ("/metronome/v1/events/search", {}, 422),
    ],
)
async def test_what_metronome_s_calls_cannot_do_is_told_and_not_tried_again(
    house: House, path: str, asked: Any, status: int
) -> None:
    reply = await house.full("POST", path, asked)

    assert status == reply.status, reply.body
    assert message_of("metronome", reply)
    assert "false" == reply.headers["x-should-retry"]


async def test_customers_of_one_project_are_nothing_to_another_and_readers_change_none(
    house: House, neighbour: House
) -> None:
    made = (await house.full("POST", "/metronome/v1/customers", {"name": "A", "ingest_aliases": ["a"]})).json["data"]
    own = f"/metronome/v1/customers/{made['id']}"

    assert [200, 404] == [(await door("GET", own)).status for door in (house.read, neighbour.full)]
    assert 404 == (await neighbour.full("POST", f"{own}/setName", {"name": "B"})).status
    assert 404 == (await neighbour.full("POST", "/metronome/v1/customers/archive", {"id": made["id"]})).status
    assert 403 == (await house.read("POST", f"{own}/setName", {"name": "B"})).status
    listed = await neighbour.full("GET", "/metronome/v1/customers?ingest_alias=a")
    assert {"data": [], "next_page": None} == listed.json
    found = await neighbour.read("POST", "/metronome/v1/events/search", {"transactionIds": ["t-1"]})
    assert (200, []) == (found.status, found.json)


async def test_a_page_of_archived_customers_is_not_empty_while_there_are_more(house: House) -> None:
    ids = [(await house.full("POST", "/metronome/v1/customers", {"name": name})).json["data"]["id"] for name in "ABCDE"]
    for id_ in (ids[3], ids[4]):
        await house.full("POST", "/metronome/v1/customers/archive", {"id": id_})

    first = (await house.full("GET", "/metronome/v1/customers?only_archived=true&limit=1")).json
    second = (
        await house.full("GET", f"/metronome/v1/customers?only_archived=true&limit=1&next_page={first['next_page']}")
    ).json

    assert [[ids[3]], [ids[4]]] == [[row["id"] for row in page["data"]] for page in (first, second)]
    assert second["next_page"] is None
