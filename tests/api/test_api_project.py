"""The project over the native API: its name, its zone, and a ping key that is changed without losing a ping."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet

from heartfly.api.native import native_api
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.pings.request import BySlug, PingOutcome
from heartfly.sealing import Sealer, digest
from tests.api.conftest import START
from tests.api.door import Door, House, state_of
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
ROTATE = "/v1/project/rotate-ping-key"


async def outcome(house: House, ping_key: str, clock: SimClock, *, slug: str = "job") -> PingOutcome:
    request = house.world.request(None, clock.now(), target=BySlug(digest(ping_key), slug))
    return (await house.world.pings([request]))[0].outcome


async def test_a_project_is_read_with_its_ping_key(house: House) -> None:
    project = (await house.full("GET", "/v1/project")).json

    assert {
        "id": project["id"],
        "slug": "main",
        "name": "Main",
        "zone": "UTC",
        "create_by_ping": True,
        "ping_key": house.world.project.ping_key,
        "old_ping_key_until": None,
        "created_at": "2026-03-02T10:00:00Z",
    } == project


async def test_its_name_and_zone_are_edited(house: House, neighbour: House) -> None:
    before = (await house.full("GET", "/v1/project")).json
    theirs = (await neighbour.full("GET", "/v1/project")).json

    named = (await house.full("PATCH", "/v1/project", {"name": "Acme billing"})).json
    zoned = (await house.full("PATCH", "/v1/project", {"zone": "europe/berlin"})).json
    same = (await house.full("PATCH", "/v1/project", {})).json

    assert before | {"name": "Acme billing"} == named
    assert named | {"zone": "Europe/Berlin"} == zoned == same
    assert theirs == (await neighbour.full("GET", "/v1/project")).json


async def test_where_pings_make_no_checks_one_that_would_is_told_what_an_unknown_one_is(
    house: House, neighbour: House, clock: SimClock
) -> None:
    async def made(at: House, slug: str, ping_key: str = "") -> PingOutcome:
        target = BySlug(digest(ping_key or at.world.project.ping_key), slug, create=True)
        return (await at.world.pings([at.world.request(None, clock.now(), target=target)]))[0].outcome

    assert PingOutcome.CREATED is await made(house, "before")
    off = (await house.full("PATCH", "/v1/project", {"create_by_ping": False})).json
    assert off == (await house.full("GET", "/v1/project")).json
    assert not off["create_by_ping"]

    assert [PingOutcome.NOT_FOUND, PingOutcome.OK] == [await made(house, "after"), await made(house, "before")]
    assert PingOutcome.CREATED is await made(neighbour, "after")
    old = house.world.project.ping_key
    new = (await house.full("POST", ROTATE, {"overlap": 3600})).json["ping_key"]
    assert [PingOutcome.NOT_FOUND] * 2 == [await made(house, "after", key) for key in (old, new)]
    names = [check["slug"] for check in (await house.full("GET", "/v1/checks")).json["items"]]
    assert "after" not in names
    told = (await house.full("GET", "/v1/audit")).json["items"]
    edits = [one["after"] for one in told if one["action"] == "project.edit"]
    assert [{"create_by_ping": False}] == edits

    await house.full("PATCH", "/v1/project", {"create_by_ping": True})
    assert PingOutcome.CREATED is await made(house, "after", new)


async def test_who_edits_a_project_that_has_another_switch_by_now_is_told_so(house: House) -> None:
    seen = (await house.full("GET", "/v1/project")).headers["etag"]
    await house.full("PATCH", "/v1/project", {"create_by_ping": False})

    late = await house.full("PATCH", "/v1/project", {"name": "x"}, headers=[("if-match", seen)])

    assert 412 == late.status


@on_sqlite
@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"zone": "Mars/Base"}, "zone"),
        ({"zone": "../../etc/passwd"}, "zone"),
        ({"slug": "other"}, "slug"),
        ({"create_by_ping": "no"}, "create_by_ping"),
        ({"create_by_ping": None}, "create_by_ping"),
        ({"ping_key": "mine"}, "ping_key"),
    ],
)
async def test_what_no_project_can_be_is_refused_with_the_field(house: House, asked: Any, field: str) -> None:
    before = (await house.full("GET", "/v1/project")).json

    reply = await house.full("PATCH", "/v1/project", asked)

    assert (422, [field]) == (reply.status, reply.fields)
    assert before == (await house.full("GET", "/v1/project")).json


async def test_pings_by_the_old_key_are_taken_until_the_overlap_ends(house: House, clock: SimClock) -> None:
    await house.world.check(START, name="job")
    old = house.world.project.ping_key

    project = (await house.full("POST", ROTATE, {"overlap": 3600})).json

    new = project["ping_key"]
    assert ("2026-03-02T11:00:00Z", 22, True) == (project["old_ping_key_until"], len(new), new != old)
    assert project == (await house.full("GET", "/v1/project")).json
    clock.move_to(START + HOUR - timedelta(microseconds=1))
    assert [PingOutcome.OK] * 2 == [await outcome(house, old, clock), await outcome(house, new, clock)]
    clock.move_to(START + HOUR)
    assert [PingOutcome.NOT_FOUND, PingOutcome.OK] == [
        await outcome(house, old, clock),
        await outcome(house, new, clock),
    ]
    assert (await house.full("GET", "/v1/project")).json["old_ping_key_until"] is None


async def test_an_overlap_is_a_day_if_not_said_and_may_be_none(house: House, clock: SimClock) -> None:
    await house.world.check(START, name="job")
    first = house.world.project.ping_key

    usual = (await house.full("POST", ROTATE)).json
    none = (await house.full("POST", ROTATE, {"overlap": 0})).json

    assert ("2026-03-03T10:00:00Z", None) == (usual["old_ping_key_until"], none["old_ping_key_until"])
    assert [PingOutcome.NOT_FOUND, PingOutcome.NOT_FOUND, PingOutcome.OK] == [
        await outcome(house, key, clock) for key in (first, usual["ping_key"], none["ping_key"])
    ]


@pytest.mark.parametrize("seconds", [-1, 2_592_001])
async def test_an_overlap_that_cannot_be_is_refused(house: House, seconds: int) -> None:
    reply = await house.full("POST", ROTATE, {"overlap": seconds})

    assert (422, ["overlap"]) == (reply.status, reply.fields)
    assert house.world.project.ping_key == (await house.full("GET", "/v1/project")).json["ping_key"]


async def test_a_ping_key_whose_seal_is_lost_is_replaced(
    house: House, db: Database, ids: IdSource, clock: SimClock
) -> None:
    state = replace(state_of(db, clock, ids), sealer=Sealer([Fernet.generate_key()]))
    full = Door(native_api(state), house.full.key)

    assert (await full("GET", "/v1/project")).json["ping_key"] is None
    made = (await full("POST", ROTATE)).json["ping_key"]
    await house.world.check(START, name="job")
    assert PingOutcome.OK == await outcome(house, made, clock)
