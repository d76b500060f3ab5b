"""What is tolerated and bounded, over the native API: set, shown while it holds, explained, and tried on the past."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from heartfly.core.words import PingKind
from tests.api.conftest import START
from tests.api.door import House
from tests.api.test_api_explain import judged
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
THREE = {"failures": 3, "share": None, "last": None, "recover": 1}


async def told(house: House, check: Any, *rest: str) -> Any:
    reply = await house.read("GET", "/".join((f"/v1/checks/{check.uuid}", *rest)))
    assert 200 == reply.status, reply.body
    return reply.json


async def test_what_is_tolerated_is_shown_with_how_near_it_is_to_an_alarm(house: House, clock: SimClock) -> None:
    check = await house.world.check(START)
    edit = await house.full("PATCH", f"/v1/checks/{check.uuid}", {"tolerance": {"failures": 3}})
    assert THREE == edit.json["tolerance"]
    await house.world.ping(check, START)
    await house.world.ping(check, START + MINUTE, PingKind.FAIL, exit_status=7)
    await judged(house, START + 2 * HOUR)
    clock.move_to(START + 2 * HOUR)

    shown, why = await told(house, check), await told(house, check, "explain")
    runs = (await told(house, check, "runs"))["items"]

    assert ("up", "2 of 3", THREE) == (shown["status"], shown["tolerated"], shown["tolerance"])
    assert shown == (await house.read("GET", "/v1/checks")).json["items"][0]
    assert ("2 of 3", "2026-03-02T12:11:00Z") == (why["tolerated"], why["alarm_at"])
    assert "It is failing since 2026-03-02 10:01:00 UTC: 2 of 3 tolerated, and nobody was told." in why["sentences"]
    assert (
        "It goes down after 3 in a row, up after 1. If nothing comes any more, it goes down at 2026-03-02 12:11:00 UTC."
        in why["sentences"]
    )
    assert [("missed", "missed", "2 of 3"), ("failed", "exit_status", "1 of 3"), ("ok", None, "")] == [
        (run["outcome"], run["reason"], run["tolerated"]) for run in runs
    ]
    assert [] == (await house.read("GET", "/v1/incidents")).json["items"]

    await judged(house, START + 2 * HOUR + 11 * MINUTE)
    shown = await told(house, check)
    assert ("down", "missed", "") == (shown["status"], shown["status_reason"], shown["tolerated"])


async def test_bounds_are_set_as_they_are_written_and_explained(house: House, clock: SimClock) -> None:
    check = await house.world.check(START)
    lines = ["run >= 1s warn", "start within 5m", "2 reports by rid", "early 30m"]
    edit = await house.full("PATCH", f"/v1/checks/{check.uuid}", {"bounds": lines})
    assert (200, lines) == (edit.status, edit.json["bounds"])
    await house.world.ping(check, START, PingKind.START)
    await house.world.ping(check, START + MINUTE)
    clock.move_to(START + 2 * MINUTE)

    why = await told(house, check, "explain")

    assert ("2026-03-02T11:06:00Z", "2026-03-02T10:31:00Z") == (why["slot"]["starts_by"], why["slot"]["early_from"])
    assert lines == why["bounds"]
    assert {
        "A run must have begun by 2026-03-02 11:06:00 UTC.",
        "1 of 2 reports have come, the first at 2026-03-02 10:01:00 UTC.",
        "A success before 2026-03-02 10:31:00 UTC is too early for that slot, and is not for it.",
    } <= set(why["sentences"])


async def test_a_grace_that_leaves_no_room_for_the_start_deadline_is_refused(house: House) -> None:
    check = await house.world.check(START)
    await house.full("PATCH", f"/v1/checks/{check.uuid}", {"bounds": ["start within 5m"]})

    refused = await house.full("PATCH", f"/v1/checks/{check.uuid}", {"grace": 300})

    assert (422, ["bounds"]) == (refused.status, refused.fields)


async def test_a_backtest_says_which_alarms_would_have_been_tolerated(house: House, clock: SimClock) -> None:
    check = await house.world.check(START)
    for minute, kind in ((0, PingKind.SUCCESS), (10, PingKind.FAIL), (20, PingKind.SUCCESS), (30, PingKind.FAIL)):
        await house.world.ping(check, START + minute * MINUTE, kind)
    await house.world.ping(check, START + 31 * MINUTE, PingKind.FAIL)
    clock.move_to(START + 40 * MINUTE)

    tried = await house.full("POST", f"/v1/checks/{check.uuid}/backtest", {"tolerance": {"failures": 2}})

    assert (2, 1) == (tried.json["n_old"], tried.json["n_new"])
    assert ["2026-03-02T10:10:00Z"] == [alarm["at"] for alarm in tried.json["lost"]]
    assert ["2026-03-02T10:31:00Z"] == [alarm["new"]["at"] for alarm in tried.json["kept"]]


async def test_null_takes_it_away(house: House) -> None:
    check = await house.world.check(START)
    path = f"/v1/checks/{check.uuid}"
    await house.full("PATCH", path, {"tolerance": {"failures": 3}, "bounds": ["run >= 1m"]})

    plain = (await house.full("PATCH", path, {"tolerance": None, "bounds": []})).json

    assert (None, []) == (plain["tolerance"], plain["bounds"])
    assert (await house.full("PATCH", path, {"tolerance": {"failures": 1}})).json["tolerance"] is None
