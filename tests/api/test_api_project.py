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


@on_sqlite
@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"zone": "Mars/Base"}, "zone"),
        ({"zone": "../../etc/passwd"}, "zone"),
        ({"slug": "other"}, "slug"),
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
