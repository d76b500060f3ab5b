"""Incidents over the native API: what they say, how they are listed, and what people do to them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.checks import commands
from heartfly.core.words import PingKind
from heartfly.db.models import incident_notes, incidents, runs
from heartfly.incidents.commands import MOST_NOTES
from heartfly.monitor.judge import Judge
from tests.api.conftest import START
from tests.api.door import House
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock
from tests.world import TEST

pytestmark = pytest.mark.anyio

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
HOOK = {"kind": "webhook", "config": {"url": "https://hooks.example.com/x"}, "name": "ops"}
FAIL = PingKind.FAIL


async def failed(house: House, at: Any = START, **config: Any) -> Any:
    check = await house.world.check(START, **config)
    await house.world.ping(check, at, FAIL, exit_status=3)
    return check


async def listed(house: House, query: str = "") -> list[Any]:
    reply = await house.read("GET", f"/v1/incidents{query}")
    assert 200 == reply.status, reply.body
    return list(reply.json["items"])


async def whole(house: House, incident: Any) -> Any:
    reply = await house.read("GET", f"/v1/incidents/{incident['id']}")
    assert 200 == reply.status, reply.body
    return reply.json


async def test_where_nothing_was_down_there_is_none(house: House) -> None:
    check = await house.world.check(START)
    await house.world.ping(check, START)

    assert [] == await listed(house)


async def test_one_is_told_with_every_fact(house: House) -> None:
    check = await failed(house, name="backup")
    (opened,) = await listed(house)
    await house.world.ping(check, START + 90 * timedelta(seconds=1))
    (closed,) = await listed(house)

    assert {
        "id": opened["id"],
        "source": "check",
        "source_id": check.uuid,
        "check": check.uuid,
        "check_name": "backup",
        "state": "open",
        "opened_at": "2026-03-02T10:00:00Z",
        "closed_at": None,
        "duration": None,
        "cause": "exit_status",
        "explain": "The job ended with exit status 3.",
        "ended_by": None,
        "disproved": False,
        "acknowledged_at": None,
        "acknowledged_by": None,
        "part_of": None,
        "joined_at": None,
    } == opened
    assert (
        opened
        | {
            "state": "closed",
            "closed_at": "2026-03-02T10:01:30Z",
            "duration": 90.0,
            "ended_by": "success",
        }
        == closed
    )


async def test_a_renamed_check_is_called_as_it_is_now_and_a_deleted_one_as_it_was(house: House) -> None:
    check = await failed(house, name="backup")
    await house.full("PATCH", f"/v1/checks/{check.uuid}", {"name": "Nightly backup"})
    (renamed,) = await listed(house)

    await house.full("DELETE", f"/v1/checks/{check.uuid}")
    (deleted,) = await listed(house)

    assert ("Nightly backup", "open") == (renamed["check_name"], renamed["state"])
    assert (renamed["id"], "backup", check.uuid, "closed", "deleted") == (
        deleted["id"],
        deleted["check_name"],
        deleted["check"],
        deleted["state"],
        deleted["ended_by"],
    )
    found = await whole(house, deleted)
    assert ([], []) == (found["flips"], found["notifications"])
    assert ["opened", "closed"] == [fact["what"] for fact in found["facts"]]
    assert 404 == (await house.read("GET", f"/v1/incidents?check={check.uuid}")).status


async def test_they_are_listed_by_state_and_by_check(house: House) -> None:
    one, other = await failed(house), await failed(house, START + MINUTE)
    await house.world.ping(one, START + 2 * MINUTE)
    await house.world.ping(one, START + 3 * MINUTE, FAIL)

    def shown(found: list[Any]) -> list[tuple[str, str]]:
        return [(incident["check"], incident["opened_at"][14:16]) for incident in found]

    every = [(one.uuid, "03"), (other.uuid, "01"), (one.uuid, "00")]
    assert every == shown(await listed(house))
    assert every[:2] == shown(await listed(house, "?state=open"))
    assert every[2:] == shown(await listed(house, "?state=closed"))
    assert [every[0], every[2]] == shown(await listed(house, f"?check={one.uuid}"))
    assert [every[2]] == shown(await listed(house, f"?check={one.uuid}&state=closed"))
    assert [] == await listed(house, f"?check={other.uuid}&state=closed")


async def test_they_are_paged_by_key_while_more_come(house: House) -> None:
    for n in range(3):  # of one instant each, so that only the id tells them apart
        await failed(house, START + n * MINUTE)
        await failed(house, START + n * MINUTE)
    before = await listed(house)
    seen, cursor = [], ""

    while True:
        page = (await house.read("GET", f"/v1/incidents?limit=1{cursor}")).json
        seen += page["items"]
        await failed(house, START + HOUR + len(seen) * MINUTE)
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"

    assert before == seen
    assert 6 == len(seen)


async def test_what_happened_is_told_in_order_with_flips_and_who_was_told(house: House, clock: SimClock) -> None:
    await house.full("POST", "/v1/channels", HOOK)
    check = await house.world.check(START, max_run=HOUR)
    await house.world.ping(check, START)
    await house.world.ping(check, START + 55 * MINUTE, PingKind.START)
    await house.world.ping(check, START + 61 * MINUTE, FAIL, exit_status=3)
    (incident,) = await listed(house)
    clock.move_to(START + 65 * MINUTE)
    await house.full("POST", f"/v1/incidents/{incident['id']}/acknowledge")
    await house.full("POST", f"/v1/incidents/{incident['id']}/comments", {"text": " The disk\r\nis full. "})
    await house.world.ping(check, START + 70 * MINUTE)

    found = await whole(house, incident)

    actor = f"key:{house.full.key[:10]}"
    assert [
        ("started", "10:55:00", "The run started."),
        ("expected", "11:00:00", "A success was expected."),
        ("ended", "11:01:00", "The run ended with exit status 3, 6 min after it started."),
        ("opened", "11:01:00", "The job ended with exit status 3."),
        ("acknowledged", "11:05:00", f"{actor} takes care of it."),
        ("closed", "11:10:00", "A success came, 9 min after the check went down."),
    ] == [(fact["what"], fact["at"][11:19], fact["text"]) for fact in found["facts"]]
    assert [("up", "down"), ("down", "up")] == [(flip["from_status"], flip["to_status"]) for flip in found["flips"]]
    assert {incident["id"]} == {flip["incident"] for flip in found["flips"]}
    assert [("check.up", "pending", "ops"), ("check.down", "pending", "ops")] == [
        (told["event"], told["state"], told["channel_name"]) for told in found["notifications"]
    ]
    assert {incident["id"]} == {told["incident"] for told in found["notifications"]}
    assert [("2026-03-02T11:05:00Z", actor, "The disk\nis full.")] == [
        (note["at"], note["by"], note["text"]) for note in found["notes"]
    ]
    assert ("2026-03-02T11:05:00Z", actor) == (found["acknowledged_at"], found["acknowledged_by"])


async def test_silence_has_its_facts_too_and_another_incident_of_the_check_has_its_own(house: House) -> None:
    await house.full("POST", "/v1/channels", HOOK)
    check = await failed(house)
    await house.world.ping(check, START + MINUTE)
    due, judge = START + HOUR + 11 * MINUTE, Judge(ids=house.world.ids)
    await house.world.db.write(lambda tx: judge.judge(tx, through=due, now=due))

    missed, earlier = [await whole(house, one) for one in await listed(house)]

    assert ["expected", "opened"] == [fact["what"] for fact in missed["facts"]]
    assert "missed" == missed["cause"]
    assert [3] == [flip["n"] for flip in missed["flips"]]
    assert [1, 2] == [flip["n"] for flip in earlier["flips"]]
    assert ["check.down"] == [told["event"] for told in missed["notifications"]]


async def test_a_run_that_is_not_kept_any_more_is_left_out(house: House) -> None:
    await failed(house)
    await house.world.db.write(lambda tx: tx.conn.execute(sa.delete(runs)) and None)
    (incident,) = await listed(house)

    assert ["opened"] == [fact["what"] for fact in (await whole(house, incident))["facts"]]


async def test_a_pause_has_no_run_and_ends_it(house: House) -> None:
    check = await failed(house)
    await house.full("POST", f"/v1/checks/{check.uuid}/pause")
    (incident,) = await listed(house)

    assert ("paused", "Somebody paused the check.") == (
        incident["ended_by"],
        (await whole(house, incident))["facts"][-1]["text"],
    )


# --- what people do ------------------------------------------------------------------------------


async def test_who_acknowledges_first_keeps_the_credit_also_when_it_is_over(house: House, clock: SimClock) -> None:
    check = await failed(house)
    (incident,) = await listed(house)
    path = f"/v1/incidents/{incident['id']}/acknowledge"
    clock.move_to(START + MINUTE)
    first = await house.full("POST", path)
    clock.move_to(START + 2 * MINUTE)
    again = await house.full("POST", path)
    await house.world.ping(check, START + 3 * MINUTE)
    over = await house.full("POST", path)

    assert [200, 200, 200] == [first.status, again.status, over.status]
    assert first.json == again.json
    assert (
        incident
        | {
            "acknowledged_at": "2026-03-02T10:01:00Z",
            "acknowledged_by": f"key:{house.full.key[:10]}",
        }
        == first.json
    )
    assert ("closed", "2026-03-02T10:01:00Z") == (over.json["state"], over.json["acknowledged_at"])
    assert "up" == (await house.read("GET", f"/v1/checks/{check.uuid}")).json["status"]


async def test_what_was_over_before_anybody_acknowledged_it_is_not_acknowledged(house: House) -> None:
    check = await failed(house)
    await house.world.ping(check, START + MINUTE)
    (incident,) = await listed(house)

    reply = await house.full("POST", f"/v1/incidents/{incident['id']}/acknowledge")

    assert (409, "the incident is closed") == (reply.status, reply.json["detail"])
    assert [incident] == await listed(house)


async def test_acknowledging_silences_nobody(house: House) -> None:
    await house.full("POST", "/v1/channels", HOOK)
    check = await failed(house)
    (incident,) = await listed(house)
    await house.full("POST", f"/v1/incidents/{incident['id']}/acknowledge")
    await house.world.ping(check, START + MINUTE)

    assert 2 == len((await whole(house, incident))["notifications"])


async def test_comments_are_taken_when_it_is_over_too_and_kept_in_order(house: House, clock: SimClock) -> None:
    check = await failed(house)
    await house.world.ping(check, START + MINUTE)
    (incident,) = await listed(house)
    path = f"/v1/incidents/{incident['id']}/comments"
    made = []
    for n in range(3):
        clock.move_to(START + (2 + n) * MINUTE)
        made.append(await house.full("POST", path, {"text": f"step {n} <b>&\U0001f98b"}))

    assert [201] * 3 == [reply.status for reply in made]
    assert [reply.json for reply in made] == (await whole(house, incident))["notes"]


@on_sqlite
@pytest.mark.parametrize(
    ("asked", "status", "field"),
    [
        ({"text": ""}, 422, "text"),
        ({"text": " \n\t "}, 422, "text"),
        ({"text": "a\x00b"}, 422, "text"),
        ({"text": "x" * 10_001}, 422, "text"),
        ({"text": 5}, 422, "text"),
        ({"text": None}, 422, "text"),
        ({}, 422, "text"),
        ({"text": "a", "actor": "somebody else"}, 422, "actor"),
        (["text"], 400, ""),
    ],
)
async def test_a_comment_that_cannot_be_one_is_refused_with_its_field(
    house: House, asked: Any, status: int, field: str
) -> None:
    await failed(house)
    (incident,) = await listed(house)

    reply = await house.full("POST", f"/v1/incidents/{incident['id']}/comments", asked)

    assert (status, [field] if field else []) == (reply.status, reply.fields)
    assert [] == (await whole(house, incident))["notes"]


async def test_a_comment_may_be_as_long_as_is_said(house: House) -> None:
    await failed(house)
    (incident,) = await listed(house)

    assert 201 == (await house.full("POST", f"/v1/incidents/{incident['id']}/comments", {"text": "x" * 10_000})).status


async def test_the_comments_of_an_incident_are_bounded(house: House) -> None:
    await failed(house)
    (incident,) = await listed(house)

    def fill(tx: Any) -> None:
        found = tx.conn.execute(sa.select(incidents.c.pid, incidents.c.id)).one()
        rows = [
            {"pid": found.pid, "incident_id": found.id, "id": n, "at": START, "actor": "x", "text": "x"}
            for n in range(MOST_NOTES - 1)
        ]
        tx.conn.execute(sa.insert(incident_notes), rows)

    await house.world.db.write(fill)
    path = f"/v1/incidents/{incident['id']}/comments"
    last, one_more = [await house.full("POST", path, {"text": "x"}) for _ in range(2)]

    assert (201, 409) == (last.status, one_more.status)
    assert MOST_NOTES == len((await whole(house, incident))["notes"])


@pytest.mark.parametrize("name", ["x", "%00", "a" * 500, "\u2713", "3f0f8f9e-6a1c-4a55-8d4c-111111111111"])
async def test_what_is_no_incident_is_not_found(house: House, name: str) -> None:
    path = f"/v1/incidents/{name.replace('%00', chr(0))}"
    heard = [
        await house.full("GET", path),
        await house.full("POST", f"{path}/acknowledge"),
        await house.full("POST", f"{path}/comments", {"text": "x"}),
    ]

    assert [(404, "there is no such incident")] * 3 == [(reply.status, reply.json["detail"]) for reply in heard]


@on_sqlite
@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("state=sideways", 422, "state"),
        ("limit=0", 422, "limit"),
        ("cursor=x", 422, "cursor"),
        ("cursor=cnVucywxLDE", 422, "cursor"),  # of another list
        ("cursor=aW5jaWRlbnRzLDkyMjMzNzIwMzY4NTQ3NzU4MDcsMQ", 422, "cursor"),  # incidents,9223372036854775807,1
        ("check=nothing", 404, ""),
    ],
)
async def test_a_list_that_cannot_be_is_refused_with_its_field(
    house: House, query: str, status: int, field: str
) -> None:
    reply = await house.read("GET", f"/v1/incidents?{query}")

    assert (status, [field] if field else []) == (reply.status, reply.fields)


async def test_a_deletion_of_a_check_closes_its_incident_at_that_time(house: House) -> None:
    check = await failed(house)
    at, ids = START + 5 * MINUTE, house.world.ids
    await house.world.db.write(lambda tx: commands.delete(tx, check.pid, check.uuid, at=at, ids=ids, actor=TEST))

    assert [("2026-03-02T10:05:00Z", 300.0)] == [(one["closed_at"], one["duration"]) for one in await listed(house)]


async def test_one_is_shared_by_links_that_are_listed_and_taken_back(house: House) -> None:
    await failed(house)
    (incident,) = await listed(house)
    path = f"/v1/incidents/{incident['id']}/shares"

    refused = await house.read("POST", path, {})
    made = await house.full("POST", path, {"lasts": 3600, "with_comments": True})
    usual = await house.full("POST", path, {})

    assert (403, 201, 201) == (refused.status, made.status, usual.status)
    url = made.json["url"]
    assert {
        "id": made.json["id"],
        "by": made.json["by"],
        "created_at": "2026-03-02T10:00:00Z",
        "expires_at": "2026-03-02T11:00:00Z",
        "with_comments": True,
        "url": url,
    } == made.json
    assert "2026-03-09T10:00:00Z" == usual.json["expires_at"]
    shown = await house.read("GET", path)
    without = [{name: value for name, value in one.json.items() if name != "url"} for one in (made, usual)]
    assert {"items": without, "next": None} == shown.json
    assert [204, 404] == [(await house.full("DELETE", f"{path}/{made.json['id']}")).status for _ in range(2)]
    assert without[1:] == (await house.read("GET", path)).json["items"]
