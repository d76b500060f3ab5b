"""Hosts, needs and causes over the native API: what is refused, what is told, and whose it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from heartfly.core.words import PingKind
from tests.api.conftest import START
from tests.api.door import House

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
FAIL = PingKind.FAIL


async def made(house: House, name: str, **asked: Any) -> Any:
    reply = await house.full("POST", "/v1/checks", {"name": name, **asked})
    assert 201 == reply.status, reply.body
    return reply.json


async def edited(house: House, check: Any, **asked: Any) -> Any:
    return await house.full("PATCH", f"/v1/checks/{check['id']}", asked)


async def test_a_check_is_made_and_edited_with_its_host_and_what_it_needs(house: House) -> None:
    dump, copy = await made(house, "dump"), await made(house, "copy", host=" db-1 ")
    upload = await made(house, "upload", needs=["dump", copy["id"]])

    assert ("db-1", "", []) == (copy["host"], copy["heard_host"], copy["needs"])
    assert [dump["id"], copy["id"]] == upload["needs"]
    assert [dump["id"]] == (await edited(house, upload, needs=["dump"])).json["needs"]
    listed = (await house.read("GET", "/v1/checks")).json["items"]
    assert [[], [], [dump["id"]]] == [one["needs"] for one in listed]
    assert [] == (await edited(house, upload, needs=[])).json["needs"]
    assert [[], [], []] == [one["needs"] for one in (await house.read("GET", "/v1/checks")).json["items"]]
    said = [entry for entry in (await house.full("GET", "/v1/audit")).json["items"] if entry["action"] == "check.edit"]
    assert [dump["id"]] == said[0]["before"]["needs"]


async def test_a_copy_needs_what_its_original_needs(house: House) -> None:
    dump = await made(house, "dump")
    upload = await made(house, "upload", needs=["dump"], host="db-1")
    reply = await house.full("POST", f"/v1/checks/{upload['id']}/copy", {})

    assert ([dump["id"]], "db-1") == (reply.json["needs"], reply.json["host"])


async def test_a_circle_is_refused_with_the_way_round(house: House) -> None:
    first = await made(house, "first")
    await made(house, "second", needs=["first"])
    third = await made(house, "third", needs=["second"])

    reply = await edited(house, first, needs=["third"])
    assert (422, ["needs[0]"]) == (reply.status, reply.fields)
    assert "that is a circle: first needs third needs second needs first" in reply.body.decode()
    itself = await edited(house, third, needs=["second", "third"])
    assert (422, ["needs[1]"]) == (itself.status, itself.fields)
    assert "a check cannot need itself" in itself.body.decode()


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"needs": ["nobody"]}, "needs[0]"),
        ({"needs": ["one", "\x00"]}, "needs[1]"),
        ({"needs": [""]}, "needs[0]"),
        ({"needs": ["one"] * 21}, "needs"),
        ({"host": "x" * 201}, "host"),
        ({"host": "a\nb"}, "host"),
    ],
)
async def test_what_cannot_be_names_its_field(house: House, asked: dict[str, Any], field: str) -> None:
    one = await made(house, "one")
    reply = await house.full("POST", "/v1/checks", {"name": "two", **asked})
    assert (422, [field]) == (reply.status, reply.fields)
    two = await made(house, "two")
    reply = await edited(house, two, **asked)
    assert (422, [field]) == (reply.status, reply.fields)
    assert one["needs"] == []


async def test_nobody_needs_a_check_of_another_project(house: House, neighbour: House) -> None:
    theirs, mine = await made(neighbour, "theirs"), await made(house, "mine")
    for name in ("theirs", theirs["id"]):
        reply = await edited(house, mine, needs=[name])
        assert (422, ["needs[0]"]) == (reply.status, reply.fields)


async def test_a_check_that_is_deleted_is_needed_by_nobody(house: House) -> None:
    dump = await made(house, "dump")
    upload = await made(house, "upload", needs=["dump"])
    assert 204 == (await house.full("DELETE", f"/v1/checks/{dump['id']}")).status

    (left,) = (await house.read("GET", "/v1/checks")).json["items"]
    assert (upload["id"], []) == (left["id"], left["needs"])


async def test_a_check_that_moves_leaves_what_it_needs(house: House, neighbour: House) -> None:
    dump = await made(house, "dump")
    upload = await made(house, "upload", needs=["dump"])
    asked = {"key": neighbour.full.key}
    reply = await house.full("POST", f"/v1/checks/{upload['id']}/transfer", asked)

    assert (200, []) == (reply.status, reply.json["needs"])
    assert [dump["id"]] == [one["id"] for one in (await house.read("GET", "/v1/checks")).json["items"]]


async def test_a_cause_is_told_with_its_members_and_stands_for_them(house: House) -> None:
    jobs = [await house.world.check(START, name=f"job-{n}", host="db-1") for n in range(3)]
    for n, job in enumerate(jobs):
        await house.world.ping(job, START + n * MINUTE, FAIL)
    await house.world.ping(jobs[0], START + 9 * MINUTE)

    whole = (await house.read("GET", "/v1/incidents")).json["items"]
    (cause,) = (await house.read("GET", "/v1/incidents?by_cause=true")).json["items"]
    assert 4 == len(whole)
    assert {cause["id"]} == {one["part_of"] for one in whole if one["source"] == "check"}
    assert ("host", "db-1", None, "host", "open") == (
        cause["source"], cause["check_name"], cause["check"], cause["cause"], cause["state"],
    )  # fmt: skip
    told = (await house.read("GET", f"/v1/incidents/{cause['id']}")).json
    assert [("job-1", "down"), ("job-2", "down"), ("job-0", "up")] == [
        (one["check_name"], one["state"]) for one in told["members"]
    ]
    assert "2026-03-02T10:09:00Z" == told["members"][2]["up_at"]
    assert ["opened", "joined", "joined", "joined", "recovered"] == [fact["what"] for fact in told["facts"]]
    explained = (await house.read("GET", f"/v1/checks/{jobs[1].uuid}/explain")).json["sentences"]
    assert "It went down with host db-1, as did 2 other checks." in explained
    assert "It runs on host db-1." in explained


async def test_a_cause_is_acknowledged_with_its_members_once(house: House) -> None:
    jobs = [await house.world.check(START, name=f"job-{n}", host="db-1") for n in range(2)]
    for job in jobs:
        await house.world.ping(job, START, FAIL)
    (cause,) = (await house.read("GET", "/v1/incidents?by_cause=true")).json["items"]

    reply = await house.full("POST", f"/v1/incidents/{cause['id']}/acknowledge")
    assert 200 == reply.status
    told = (await house.read("GET", f"/v1/incidents/{cause['id']}")).json
    assert [reply.json["acknowledged_by"]] * 2 == [one["acknowledged_by"] for one in told["members"]]
    assert "acknowledged" in [fact["what"] for fact in told["facts"]]
    # Once it is over there is nothing left to take care of.
    for job in jobs:
        await house.world.ping(job, START + MINUTE)
    closed = (await house.read("GET", f"/v1/incidents/{cause['id']}")).json
    assert ("closed", "resolved") == (closed["state"], closed["ended_by"])
    assert "The last of its checks is not down any more, after 1 min." == closed["facts"][-1]["text"]


async def test_incidents_of_causes_are_a_projects_own(house: House, neighbour: House) -> None:
    for home in (house, neighbour):
        for n in range(2):
            job = await home.world.check(START, name=f"job-{n}", host="db-1")
            await home.world.ping(job, START, FAIL)
    (mine,) = (await house.read("GET", "/v1/incidents?by_cause=true")).json["items"]
    (theirs,) = (await neighbour.read("GET", "/v1/incidents?by_cause=true")).json["items"]

    assert mine["id"] != theirs["id"]
    assert 404 == (await house.read("GET", f"/v1/incidents/{theirs['id']}")).status
    assert 404 == (await house.full("POST", f"/v1/incidents/{theirs['id']}/acknowledge")).status
