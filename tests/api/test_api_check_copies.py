"""Checks that are made like others, and checks that get a new address, over the native API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.db.models import addresses
from heartfly.pings.request import ByUuid, PingOutcome
from tests.api.conftest import START
from tests.api.door import BASE_URL, House
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)
RULES: dict[str, Any] = {
    "tags": ["prod"],
    "description": "Runbook: wiki",
    "schedule": {
        "kind": "cron",
        "period": None,
        "expression": "30 2 * * *",
        "zone": "Europe/Berlin",
        "dialect": "cron",
    },
    "grace": 600,
    "max_run": 300,
    "methods": "POST",
    "filters": {"start": ["go"], "success": [], "failure": [], "default_fail": False},
    "gates": [{"metric": "rows", "op": ">", "value": "0", "level": "warn"}],
    "tolerance": {"failures": 3, "share": 50, "last": 10, "recover": 2},
    "bounds": ["run >= 1m warn", "start within 30s", "5 reports by address"],
    "sticky": True,
    "unverified_is_down": True,
}


async def made(house: House, **asked: Any) -> Any:
    reply = await house.full("POST", "/v1/checks", {"name": "job"} | asked)
    assert 201 == reply.status, reply.json
    return reply.json


async def heard(house: House, check: Any, at: Any) -> PingOutcome:
    """What a ping to the address that this answer names comes to."""
    target = ByUuid(check["ping_url"].rsplit("/", 1)[1])
    return (await house.world.pings([house.world.request(None, at, target=target)]))[0].outcome


async def test_a_copy_has_the_rules_and_channels_of_the_original_and_nothing_of_its_life(house: House) -> None:
    for name in ("ops", "chat"):
        asked = {"kind": "slack", "name": name, "config": {"url": "https://hooks.example.com/x"}}
        channel = (await house.full("POST", "/v1/channels", asked)).json
    original = await made(house, **RULES, channels=[channel["id"]])
    await heard(house, original, START)

    reply = await house.full("POST", f"/v1/checks/{original['id']}/copy")

    copied = reply.json
    assert (201, f"{BASE_URL}/v1/checks/{copied['id']}") == (reply.status, reply.headers["location"])
    assert RULES | {"channels": [channel["id"]]} == {name: copied[name] for name in (*RULES, "channels")}
    assert ("job (copy)", "job-copy", "new", 0, None) == (
        copied["name"],
        copied["slug"],
        copied["status"],
        copied["n_pings"],
        copied["last_ping_at"],
    )
    assert copied["ping_url"] != original["ping_url"]
    assert PingOutcome.OK == await heard(house, copied, START)
    (entry,) = (await house.full("GET", f"/v1/audit?object=check:{copied['id']}")).json["items"]
    assert ("check.create", "job (copy)") == (entry["action"], entry["after"]["name"])


async def test_a_copy_differs_in_what_is_asked_for(house: House) -> None:
    original = await made(house, **RULES)
    path = f"/v1/checks/{original['id']}/copy"

    asked = {"name": "other", "slug": "else", "grace": 60, "max_run": None, "filters": {}, "channels": []}
    copied = (await house.full("POST", path, asked)).json
    again = await house.full("POST", path, {"slug": "else"})
    wrong = await house.full("POST", path, {"grace": 0})

    nothing = {"start": [], "success": [], "failure": [], "default_fail": False}
    assert asked | {"filters": nothing} == {name: copied[name] for name in asked}
    assert RULES["gates"] == copied["gates"]
    assert (409, ["slug"]) == (again.status, again.fields)
    assert (422, ["grace"]) == (wrong.status, wrong.fields)


async def test_a_copy_of_a_long_name_fits_and_copies_of_copies_are_told_apart(house: House) -> None:
    original = await made(house, name="x" * 100)
    path = f"/v1/checks/{original['id']}/copy"

    one, other = (await house.full("POST", path)).json, (await house.full("POST", path)).json

    assert ("x" * 93 + " (copy)", 100) == (one["name"], len(one["name"]))
    assert one["slug"] != other["slug"]


async def test_both_addresses_work_until_the_overlap_ends(house: House, clock: SimClock) -> None:
    old = await made(house)
    path = f"/v1/checks/{old['id']}"

    reply = await house.full("POST", f"{path}/rotate-ping-url", {"overlap": 3600})

    new = reply.json
    assert (200, "2026-03-02T11:00:00Z") == (reply.status, new["old_ping_url_until"])
    assert old["ping_url"] != new["ping_url"]
    end = START + HOUR
    assert [PingOutcome.OK] * 3 == [await heard(house, one, end - TICK) for one in (old, new, old)]
    assert [PingOutcome.NOT_FOUND, PingOutcome.OK] == [await heard(house, one, end) for one in (old, new)]
    clock.move_to(end)
    now = (await house.full("GET", path)).json
    assert (new["ping_url"], None, 4) == (now["ping_url"], now["old_ping_url_until"], now["n_pings"])
    (entry,) = (await house.full("GET", "/v1/audit?action=check.rotate_ping_url")).json["items"]
    assert ({}, {"old_ping_url_until": "2026-03-02T11:00:00Z"}) == (entry["before"], entry["after"])


async def test_without_an_overlap_the_old_address_ends_at_once_and_so_does_one_before_it(house: House) -> None:
    first = await made(house)
    path = f"/v1/checks/{first['id']}/rotate-ping-url"
    second = (await house.full("POST", path)).json
    third = (await house.full("POST", path, {"overlap": 60})).json

    assert [PingOutcome.NOT_FOUND, PingOutcome.OK, PingOutcome.OK] == [
        await heard(house, one, START) for one in (first, second, third)
    ]
    fourth = (await house.full("POST", path, {"overlap": 0})).json
    assert fourth["old_ping_url_until"] is None
    assert [PingOutcome.NOT_FOUND] * 3 + [PingOutcome.OK] == [
        await heard(house, one, START) for one in (first, second, third, fourth)
    ]


async def test_a_rotation_moves_no_deadline_and_changes_no_status(house: House) -> None:
    check = await made(house, schedule={"kind": "period", "period": 3600})
    await heard(house, check, START)
    before = (await house.full("GET", f"/v1/checks/{check['id']}")).json

    after = (await house.full("POST", f"/v1/checks/{check['id']}/rotate-ping-url")).json

    differing = {name for name in before if before[name] != after[name]}
    assert {"ping_url", "old_ping_url_until"} == differing


async def test_a_rotation_of_what_has_changed_meanwhile_is_refused(house: House) -> None:
    check = await made(house)
    path = f"/v1/checks/{check['id']}"
    seen = (await house.full("GET", path)).headers["etag"]

    first = await house.full("POST", f"{path}/rotate-ping-url", headers=[("If-Match", seen)])
    second = await house.full("POST", f"{path}/rotate-ping-url", headers=[("If-Match", seen)])
    too_long = await house.full("POST", f"{path}/rotate-ping-url", {"overlap": -1})

    assert (200, 412) == (first.status, second.status)
    assert seen != first.headers["etag"]
    assert (422, ["overlap"]) == (too_long.status, too_long.fields)


async def test_a_deleted_check_leaves_no_address_behind(house: House) -> None:
    check = await made(house)
    await house.full("POST", f"/v1/checks/{check['id']}/rotate-ping-url")

    await house.full("DELETE", f"/v1/checks/{check['id']}")

    assert PingOutcome.NOT_FOUND == await heard(house, check, START)
    async with house.world.db.read() as read:
        assert [] == (await read.execute(sa.select(addresses))).all()
