"""Events at their door: what each request is told, by whom it may be sent, and what is refused as a whole."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from heartfly.api.v1.wire_events import encoded_out, ingest_out
from heartfly.db.database import Database
from heartfly.db.models import dead_letters, events
from heartfly.errors import OverloadedError
from heartfly.usage import ingest
from heartfly.usage.apply import ACCEPTED, Outcome, Told
from heartfly.usage.ingest import MAX_EVENTS
from tests.api.conftest import START
from tests.api.door import Door, House, Reply
from tests.api.test_api_bad_input import is_problem
from tests.one_database import on_sqlite

pytestmark = pytest.mark.anyio

LINES = [("Content-Type", "application/x-ndjson")]
PACKED = [("Content-Encoding", "gzip")]


def event(number: int, **changes: Any) -> dict[str, Any]:
    made = {
        "transaction_id": f"t-{number}",
        "customer_id": "acme",
        "timestamp": (START - timedelta(minutes=number)).isoformat(),
        "event_type": "api.request",
        "properties": {"bytes": number},
    }
    return {name: value for name, value in (made | changes).items() if value is not ...}


def outcomes(reply: Reply) -> list[str]:
    assert 200 == reply.status, reply.body
    return [one["outcome"] for one in reply.json["results"]]


async def count(usage_db: Database, table: sa.Table) -> int:
    async with usage_db.read() as read:
        found: int = (await read.execute(sa.select(sa.func.count()).select_from(table))).scalar_one()
    return found


async def ingest_key(house: House) -> Door:
    made = await house.full("POST", "/v1/keys", {"name": "sender", "scopes": ["ingest"]})
    assert (201, ["ingest"]) == (made.status, made.json["scopes"])
    return Door(house.full.api, made.json["secret"])


async def test_each_event_is_told_what_became_of_it(house: House, usage_db: Database) -> None:
    await house.full("POST", "/v1/events", [event(1)])

    reply = await house.full(
        "POST", "/v1/events", [event(1), event(1, customer_id="x"), event(2), event(3, timestamp="soon"), 7]
    )

    assert {"accepted": 1, "duplicate": 1, "conflict": 1, "rejected": 2, "dry_run": False} == {
        name: value for name, value in reply.json.items() if name != "results"
    }
    assert [
        (0, "duplicate", None),
        (1, "conflict", None),
        (2, "accepted", None),
        (3, "rejected", "timestamp"),
        (4, "rejected", ""),
    ] == [(one["index"], one["outcome"], one["field"]) for one in reply.json["results"]]
    assert "must be an object" == reply.json["results"][4]["reason"]
    assert (2, 2) == (await count(usage_db, events), await count(usage_db, dead_letters))


@pytest.mark.parametrize("query", ["", "?dry_run=true"])  # past the framework, and by the route
async def test_who_prefers_a_brief_answer_is_told_only_of_what_is_not_stored(house: House, query: str) -> None:
    await house.full("POST", "/v1/events", [event(1)])
    sent = [event(2), event(1), event(1, customer_id="x"), event(3, timestamp="soon"), event(4)]

    brief = await house.full("POST", f"/v1/events{query}", sent, headers=[("Prefer", "respond-async, return=minimal")])
    good = await house.full("POST", f"/v1/events{query}", [event(5)], headers=[("Prefer", "return=minimal")])

    assert [2, 1, 1, 1] == [brief.json[name] for name in ("accepted", "duplicate", "conflict", "rejected")]
    assert [(2, "conflict"), (3, "rejected")] == [(one["index"], one["outcome"]) for one in brief.json["results"]]
    assert [] == good.json["results"]


@on_sqlite
@pytest.mark.parametrize("whole", [False, True])  # to a server that takes an answer in one message, and to others
async def test_an_answer_is_the_same_by_every_way(house: House, whole: bool) -> None:  # noqa: FBT001 - a parameter
    sent = [event(1), event(2)]
    route = await house.full("POST", "/v1/events?dry_run=true", sent)

    new = await house.full("POST", "/v1/events", sent, whole=whole)
    again = await house.full("POST", "/v1/events", [*sent, event(3)], whole=whole)
    refused = await house.full("POST", "/v1/events", body=b"[", whole=whole)

    assert route.json | {"dry_run": False} == new.json
    assert ["duplicate", "duplicate", "accepted"] == outcomes(again)
    assert ("application/json", "no-store") == (new.headers["content-type"], new.headers["cache-control"])
    assert [str(len(one.body)) for one in (new, again)] == [one.headers["content-length"] for one in (new, again)]
    assert (400, True) == (refused.status, is_problem(refused))


@pytest.mark.parametrize("brief", [False, True])
def test_what_is_told_of_accepted_events_is_what_would_be_written_anew(brief: bool) -> None:  # noqa: FBT001 - a parameter
    known = Told(Outcome.DUPLICATE)
    for told in [[ACCEPTED] * n for n in (0, 1, 2, 10, 11, 101, 1_001, MAX_EVENTS)] + [[ACCEPTED, known], [known]]:
        written = msgspec.json.encode(ingest_out(told, dry_run=False, brief=brief))

        assert written == encoded_out(told, brief=brief)


async def test_one_event_lines_and_packed_bodies_are_read(house: House) -> None:
    lines = b"\n".join(json.dumps(event(number)).encode() for number in (2, 3)) + b'\n{"cut'

    assert ["accepted"] == outcomes(await house.full("POST", "/v1/events", event(1)))
    assert ["accepted", "accepted", "rejected"] == outcomes(
        await house.full("POST", "/v1/events", body=lines, headers=LINES)
    )
    assert ["duplicate", "duplicate", "rejected"] == outcomes(
        await house.full("POST", "/v1/events", body=gzip.compress(lines), headers=LINES + PACKED)
    )
    assert [] == outcomes(await house.full("POST", "/v1/events", []))


async def test_a_dry_run_stores_nothing(house: House, usage_db: Database) -> None:
    reply = await house.full("POST", "/v1/events?dry_run=true", [event(1), event(1), event(2, event_type=...)])

    assert ["accepted", "duplicate", "rejected"] == outcomes(reply)
    assert reply.json["dry_run"]
    assert (0, 0) == (await count(usage_db, events), await count(usage_db, dead_letters))


@on_sqlite
@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", [], 400),
        (b'"x"', [], 400),
        (b"[1,", [], 400),
        (b"[" * 40_000, [], 400),
        (b'[{"transaction_id": "\xff"}]', [], 400),
        (b"plain", PACKED, 422),
        (b"[]", [("Content-Encoding", "br")], 422),
        (b"[" + b"1," * 2000 + b"1]", [], 422),
        (gzip.compress(b"[" + b" " * 5_000_000 + b"]"), PACKED, 413),
        (b"[" + b" " * 5_000_000 + b"]", [], 413),
    ],
)
async def test_what_is_no_body_of_events_is_refused_as_a_whole(
    house: House, usage_db: Database, body: bytes, headers: list[tuple[str, str]], status: int
) -> None:
    reply = await house.full("POST", "/v1/events", body=body, headers=headers)

    assert (status, True) == (reply.status, is_problem(reply)), reply.body
    assert (0, 0) == (await count(usage_db, events), await count(usage_db, dead_letters))


async def test_a_body_of_more_than_a_mebibyte_is_taken(house: House) -> None:
    large = [event(number, properties={"text": "x" * 30_000}) for number in range(100)]

    assert ["accepted"] * 100 == outcomes(await house.full("POST", "/v1/events", large))


async def test_hostile_events_are_rejected_one_by_one(house: House) -> None:
    body = rb"""[{"transaction_id": "a\u0000"}, {"transaction_id": "\ud800"}, {"unknown": 1},
        {"transaction_id": "x", "customer_id": "c", "event_type": "t", "timestamp": %s}]""" % (b"9" * 5_000)

    reply = await house.full("POST", "/v1/events", body=body)

    assert ["rejected"] * 4 == outcomes(reply)
    assert ["transaction_id"] * 3 + ["timestamp"] == [one["field"] for one in reply.json["results"]]
    assert 2_000 > len(reply.body), "what is too long is not said back"


async def test_a_key_that_may_only_send_events_does_nothing_else(house: House) -> None:
    sender = await ingest_key(house)

    assert ["accepted"] == outcomes(await sender("POST", "/v1/events", [event(1)]))
    heard = [await sender("GET", "/v1/checks"), await sender("POST", "/v1/checks", {"name": "x"})]
    assert ["this key lacks the scope read", "this key lacks the scope write"] == [one.json["detail"] for one in heard]


async def test_who_may_write_may_send_events_and_who_reads_may_not(house: House, usage_db: Database) -> None:
    made = (await house.full("POST", "/v1/keys", {"name": "w", "scopes": ["ingest", "write"]})).json
    writer = Door(house.full.api, made["secret"])

    assert ["write"] == made["scopes"], "what is meant anyway is not said"
    assert ["accepted"] == outcomes(await writer("POST", "/v1/events", [event(1)]))
    refused = await house.read("POST", "/v1/events", [event(2)])
    assert (403, "this key lacks the scope ingest") == (refused.status, refused.json["detail"])
    assert 1 == await count(usage_db, events)


async def test_two_projects_may_use_one_transaction_id(house: House, neighbour: House) -> None:
    assert ["accepted"] == outcomes(await house.full("POST", "/v1/events", [event(1)]))
    assert ["accepted"] == outcomes(await neighbour.full("POST", "/v1/events", [event(1, customer_id="other")]))


async def test_when_too_much_waits_for_the_disk_the_sender_is_told_to_come_again(
    house: House, usage_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    import anyio  # noqa: PLC0415 - here alone

    monkeypatch.setattr(ingest, "MAX_WAITING", 1)
    heard: list[Reply] = []

    async def send(number: int) -> None:
        heard.append(await house.full("POST", "/v1/events", [event(number)]))

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(send, number)

    full = [reply for reply in heard if reply.status == 503]
    assert full, "at one time only one may wait"
    assert {OverloadedError("").retry_after} == {int(reply.headers["retry-after"]) for reply in full}
    assert 20 - len(full) == await count(usage_db, events)
    again = [await house.full("POST", "/v1/events", [event(number) for number in range(20)])]
    assert 20 == len(outcomes(again[0]))
    assert 20 == await count(usage_db, events)
