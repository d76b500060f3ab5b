"""What somebody sends to the doors of usage who means harm: it is refused, costs little, and stops nobody else."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from heartfly.db.database import Database
from heartfly.db.models import events
from tests.api.conftest import START
from tests.api.door import House
from tests.api.test_events_door import LINES, count, event

pytestmark = pytest.mark.anyio

COUNTING = {"slug": "calls", "event_types": ["call"], "aggregation": "count"}


async def letters(house: House) -> list[Any]:
    found: list[Any] = (await house.full("GET", "/v1/dead-letters")).json["items"]
    return found


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


async def test_a_line_with_nul_lies_in_the_dead_letter_and_its_neighbours_are_kept(
    house: House, usage_db: Database
) -> None:
    body = (
        json.dumps(event(1)).encode() + b'\n{"cut": "\0\n' + b'\xed\xa0\x80 {"half": \n' + json.dumps(event(2)).encode()
    )

    reply = await house.full("POST", "/v1/events", body=body, headers=LINES)

    assert (200, 2, 2) == (reply.status, reply.json["accepted"], reply.json["rejected"])
    assert 2 == await count(usage_db, events)
    assert '{"cut": "\N{REPLACEMENT CHARACTER}' in [one["raw"] for one in await letters(house)]


async def test_a_letter_that_is_nested_deep_can_be_looked_at_and_stops_no_other(
    house: House, usage_db: Database, clock: Any
) -> None:
    deep = f'{{"transaction_id": "deep", "properties": {nested(600)}}}'.encode()
    ahead = json.dumps(event(1, timestamp=START.replace(day=4).isoformat())).encode()
    await house.full("POST", "/v1/events", body=deep + b"\n" + ahead, headers=LINES)
    clock.move_to(START.replace(day=4))
    (number,) = [one["id"] for one in await letters(house) if "deep" in one["raw"]]

    alone = await house.full("POST", f"/v1/dead-letters/{number}/replay")
    told = await house.full("POST", "/v1/dead-letters/replay", {})

    assert (422, ["event"]) == (alone.status, alone.fields)
    assert (200, 1, 1) == (told.status, told.json["accepted"], told.json["rejected"])
    assert 1 == await count(usage_db, events)


@pytest.mark.parametrize("depth", [40, 700])
async def test_a_body_that_is_not_utf_8_hides_no_depth(house: House, depth: int) -> None:
    # In UTF-16 the first byte of this letter is a quotation mark to who looks at bytes.
    body = f'["\u0122", {nested(depth)}, "\u0122"]'.encode("utf-16-le")

    assert 400 == (await house.full("POST", "/v1/events", body=body)).status


async def test_too_many_lines_or_messages_are_counted_before_they_are_read(house: House) -> None:
    many = 400_000
    before = time.process_time()

    lines = await house.full("POST", "/v1/events", body=b"1\n" * many, headers=LINES)
    batch = b'{"batch": [' + b"{}," * many + b"{}]}"
    messages = await house.full("POST", "/segment/v1/batch", body=batch)

    assert (422, 422) == (lines.status, messages.status)
    assert f"holds {many} events" in lines.json["detail"]
    assert "holds more than 300000 values" in messages.json["message"]
    # To look at each takes some five times as long.
    assert time.process_time() - before < 2


async def test_a_cloud_event_that_came_too_early_is_replayed_as_it_came(
    house: House, usage_db: Database, clock: Any
) -> None:
    later = START.replace(day=4)
    cloud = {"specversion": "1.0", "source": "web", "id": "t-1", "type": "call", "subject": "acme"}
    await house.full("POST", "/openmeter/api/v1/events", [cloud | {"time": later.isoformat()}])
    clock.move_to(later)
    (one,) = await letters(house)

    told = await house.full("POST", f"/v1/dead-letters/{one['id']}/replay")
    again = await house.full("POST", "/openmeter/api/v1/events", [cloud | {"time": later.isoformat()}])

    assert (200, "accepted") == (told.status, told.json.get("outcome"))
    assert (204, 1) == (again.status, await count(usage_db, events))


async def test_what_is_no_cloud_event_is_not_replayed_under_another_name(house: House, usage_db: Database) -> None:
    """Its sender will send it right one day; it must not count twice then."""
    cloud = {"id": "t-1", "source": "", "specversion": "1.0", "type": "call", "subject": "acme"}
    await house.full("POST", "/openmeter/api/v1/events", [cloud | {"time": START.isoformat()}])
    (one,) = await letters(house)

    told = await house.full("POST", f"/v1/dead-letters/{one['id']}/replay")
    every = await house.full("POST", "/v1/dead-letters/replay", {})

    assert (422, 0, 1) == (told.status, every.json["accepted"], every.json["rejected"])
    assert 0 == await count(usage_db, events)


async def test_an_alias_that_no_event_could_have_is_nobodys(house: House) -> None:
    for alias in ("%00", "a%00b", "%ED%A0%80", "x" * 300):
        found = await house.full("GET", f"/metronome/v1/customers?ingest_alias={alias}")
        assert (200, []) == (found.status, found.json["data"]), alias


@pytest.mark.parametrize("name", ["from_at", "to_at"])
@pytest.mark.parametrize(
    "at",
    ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1969-12-31T00:00:00Z"],
)
async def test_a_meter_counts_within_times_that_every_database_can_tell(house: House, name: str, at: str) -> None:
    assert 201 == (await house.full("POST", "/v1/meters", COUNTING)).status
    definition = {key: COUNTING[key] for key in ("event_types", "aggregation")}

    heard = [
        await house.full("POST", "/v1/meters", COUNTING | {"slug": "other", name: at}),
        await house.full("POST", "/v1/meters/calls/versions", definition | {name: at}),
        await house.full("POST", "/v1/meters/preview", definition | {name: at}),
    ]

    assert [(422, [name])] * 3 == [(reply.status, reply.fields) for reply in heard]
    assert 200 == (await house.full("GET", "/v1/meters/calls")).status


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"from": "0001-01-01T00:00:00+14:00", "to": "0001-01-02T00:00:00Z"}, "from"),
        ({"from": "0001-01-01T00:00:00Z", "to": "0001-01-04T00:00:00Z", "zone": "Asia/Tokyo"}, "from"),
        ({"from": "9999-12-01T00:00:00Z", "to": "9999-12-31T00:00:00Z"}, "from"),
        ({"to": "9999-12-31T23:59:59Z"}, "from"),
    ],
)
async def test_a_preview_is_of_a_time_that_there_is(house: House, asked: dict[str, str], field: str) -> None:
    definition = {key: COUNTING[key] for key in ("event_types", "aggregation")}

    refused = await house.full("POST", "/v1/meters/preview", definition | asked)

    assert (422, [field]) == (refused.status, refused.fields)


async def test_a_letter_that_two_replay_at_one_time_is_told_of_once(
    house: House, usage_db: Database, clock: Any
) -> None:
    await house.full("POST", "/v1/events", [event(1, timestamp=START.replace(day=4).isoformat())])
    clock.move_to(START.replace(day=4))
    (one,) = await letters(house)

    heard = await asyncio.gather(*(house.full("POST", f"/v1/dead-letters/{one['id']}/replay") for _ in range(3)))

    assert {reply.status for reply in heard} <= {200, 409}
    assert 1 == sum(reply.json.get("outcome") == "accepted" for reply in heard)
    assert 1 == await count(usage_db, events)
    assert 1 == len((await house.full("GET", "/v1/audit?object=dead_letter")).json["items"])
