"""Badges by the Healthchecks API: the map of their addresses, and addresses that they had elsewhere."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.api.compat.healthchecks.badges import address_in
from heartfly.api.compat.healthchecks.forms import badge_url
from heartfly.api.compat.healthchecks.paths import takes
from heartfly.core.words import PingKind
from heartfly.db.models import badge_addresses
from heartfly.public.badges import Badges
from tests.api.conftest import START
from tests.api.door import House
from tests.api.theirs import nobody, reader, writer
from tests.world import SEALER

pytestmark = pytest.mark.anyio

UUID = "4262bb4a-0000-4000-8000-000000000001"
KEY = "c0c9c1c1-0000-4000-8000-000000000002"


async def brought(house: House, address: str, of: str, *, tag: str = "", check_id: int | None = None) -> None:
    values = {"address": address, "pid": house.world.project.pid, "of": of, "tag": tag, "check_id": check_id}
    await house.world.db.write(lambda tx: tx.conn.execute(sa.insert(badge_addresses).values(values)))


async def test_there_is_no_badge_until_an_administrator_wants_some(house: House) -> None:
    made = await writer(house).made(tags="prod")

    assert ("", {"badges": {}}) == (made["badge_url"], (await reader(house)("GET", "badges/")).json)


async def test_badges_made_here_have_the_addresses_that_they_have_for_everybody(house: House) -> None:
    client = writer(house)
    made = await client.made(tags="prod db")
    half = (await house.full("POST", "/v1/badges/key")).json["key"]
    native = (await house.full("GET", "/v1/badges")).json["items"]

    by_tag = (await client("GET", "badges/")).json["badges"]
    check = await client.check(made)

    assert ["*", "db", "prod"] == sorted(by_tag)
    for one in native:
        if one["of"] == "check":
            assert one["two_states"]["svg"] == check["badge_url"]
            continue
        two, three = one["two_states"], one["three_states"]
        assert {
            "svg": two["svg"], "svg3": three["svg"], "json": two["json"], "json3": three["json"],
            "shields": two["shields"], "shields3": three["shields"],
        } == by_tag["*" if one["of"] == "all" else one["name"]]  # fmt: skip
    assert half in check["badge_url"]


async def test_a_check_s_badge_keeps_the_address_that_it_had(house: House) -> None:
    check = await house.world.check(START, name="Backup")
    await brought(house, f"b/{UUID}", "check", check_id=check.id)
    await house.world.ping(check, START, PingKind.FAIL)
    at = "http://beat.example.org"

    seen = await writer(house).check({"uuid": check.ping_uuid})
    svg = await nobody(house)("GET", f"/b/2/{UUID}.svg")
    shields = await nobody(house)("GET", f"/b/3/{UUID.upper()}.shields")

    assert f"{at}/b/2/{UUID}.svg" == seen["badge_url"]
    assert (200, "image/svg+xml", "*") == (
        svg.status, svg.headers["content-type"], svg.headers["access-control-allow-origin"]
    )  # fmt: skip
    assert b"<title>Backup: down</title>" in svg.body
    assert {"schemaVersion": 1, "label": "Backup", "message": "down", "color": "critical"} == shields.json


async def test_a_tag_s_and_a_project_s_badge_keep_theirs(house: House) -> None:
    late = await house.world.check(START, tags=("prod",), slug="late")
    await house.world.check(START, tags=(), slug="new")
    await brought(house, f"{KEY}/abcd1234", "all")
    await brought(house, f"{KEY}/efgh5678/prod", "tag", tag="prod")
    await house.world.ping(late, START - timedelta(minutes=65))
    client = nobody(house)

    of_tag = [(await client("GET", f"/badge/{KEY}/efgh5678{two}/prod.json")).json for two in ("", "-2")]
    of_all = (await client("GET", f"/badge/{KEY}/abcd1234.json")).json
    urls = (await reader(house)("GET", "badges/")).json["badges"]

    assert [
        {"status": "late", "total": 1, "grace": 1, "down": 0},
        {"status": "up", "total": 1, "grace": 1, "down": 0},
    ] == of_tag
    assert {"status": "late", "total": 2, "grace": 1, "down": 0} == of_all
    at = f"http://beat.example.org/badge/{KEY}"
    assert ["*", "prod"] == sorted(urls)
    assert (f"{at}/abcd1234-2.svg", f"{at}/abcd1234.shields") == (urls["*"]["svg"], urls["*"]["shields3"])
    assert (f"{at}/efgh5678-2/prod.json", f"{at}/efgh5678/prod.svg") == (urls["prod"]["json"], urls["prod"]["svg3"])


@pytest.mark.parametrize(
    "path",
    [f"/b/2/{UUID}.svg", f"/b/4/{UUID}.svg", f"/b/2/{UUID}.png", f"/badge/{KEY}/abcd1234.svg", "/b/2/x.svg", "/b/"],
)
async def test_any_other_address_is_none(house: House, path: str) -> None:
    told = await nobody(house)("GET", path)

    assert 404 == told.status


async def test_who_ends_badges_ends_those_that_came_from_elsewhere(house: House) -> None:
    await brought(house, f"{KEY}/abcd1234", "all")

    ended = await house.full("DELETE", "/v1/badges/key")
    again = await house.full("DELETE", "/v1/badges/key")

    assert (204, 409) == (ended.status, again.status)
    assert 404 == (await nobody(house)("GET", f"/badge/{KEY}/abcd1234.svg")).status


async def test_the_first_badge_key_leaves_them_and_another_one_does_not(house: House) -> None:
    await brought(house, f"{KEY}/abcd1234", "all")

    kept: list[Any] = []
    for _ in range(2):
        await house.full("POST", "/v1/badges/key")
        async with house.world.db.read() as read:
            kept.append(len((await read.execute(sa.select(badge_addresses))).all()))

    assert [1, 0] == kept


async def test_a_deleted_check_s_badge_goes_with_it(house: House) -> None:
    check = await house.world.check(START)
    await brought(house, f"b/{UUID}", "check", check_id=check.id)

    await writer(house)("DELETE", f"checks/{check.ping_uuid}")

    assert 404 == (await nobody(house)("GET", f"/b/2/{UUID}.svg")).status


async def test_a_badge_moves_along_with_its_check(house: House, neighbour: House) -> None:
    check = await house.world.check(START, name="Moves")
    await brought(house, f"b/{UUID}", "check", check_id=check.id)

    moved = await house.full("POST", f"/v1/checks/{check.uuid}/transfer", {"key": neighbour.world.project.api_key})

    assert 200 == moved.status
    assert "Moves" == (await nobody(house)("GET", f"/b/3/{UUID}.shields")).json["label"]


async def test_a_badge_of_another_heartfly_is_found_by_its_address(house: House) -> None:
    await brought(house, "halfhalfhalfhalf/codecodecodecode", "all")
    badges = Badges(house.world.db, SEALER, house.full.api._clock)

    assert "Main" == (await badges.find("halfhalfhalfhalf", "codecodecodecode")).label


@pytest.mark.parametrize(
    ("url", "address"),
    [
        (f"https://hc.example/b/2/{UUID}.svg", f"b/{UUID}"),
        (f"https://hc.example/under/b/3/{UUID}.json", f"b/{UUID}"),
        (f"https://hc.example/badge/{KEY}/abcd1234.svg", f"{KEY}/abcd1234"),
        (f"https://hc.example/badge/{KEY}/abcd1234-2.svg", f"{KEY}/abcd1234"),
        (f"https://hc.example/badge/{KEY}/abcd1234-2/a%20b.svg", f"{KEY}/abcd1234/a b"),
        ("https://hc.example/elsewhere.svg", None),
        ("", None),
    ],
)
async def test_an_address_is_read_out_of_a_url(url: str, address: str | None) -> None:
    assert address == address_in(url)
    if address is not None:
        assert address == address_in(badge_url("https://new.example", address, states=2, kind="svg"))


@pytest.mark.parametrize(
    ("path", "is_theirs"),
    [
        ("/api/v1/checks", True),
        ("/api/v3/nowhere", True),
        ("/api/v4/checks", False),
        ("/v1/checks", False),
        (f"/b/2/{UUID}.svg", True),
        (f"/badge/{KEY}/abcd1234-2/prod.svg", True),
        ("/badge/halfhalfhalfhalf/2/codecodecodecode.svg", False),
        ("/badge/halfhalfhalfhalf/3/codecodecodecode.json", False),
        ("/projects/x/metrics/", True),
        ("/projects/x", False),
        ("/p/api", False),
    ],
)
async def test_addresses_are_told_apart_by_their_shape(path: str, is_theirs: bool) -> None:  # noqa: FBT001 - a column
    assert is_theirs is takes(path)
