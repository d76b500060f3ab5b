"""Pings, what they said, and flips by the Healthchecks API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from heartfly.core.words import PingKind
from tests.api.conftest import START
from tests.api.door import House
from tests.api.theirs import reader, writer
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

RID = "7a4f2b5e-0000-4000-8000-000000000001"


async def test_pings_are_told_newest_first_with_what_they_said(house: House) -> None:
    check = await house.world.check(START)
    at = START + timedelta(microseconds=353706)
    await house.world.ping(check, at, PingKind.START, rid=RID)
    await house.world.ping(
        check, at + timedelta(milliseconds=1234), PingKind.FAIL, rid=RID, body=b"\xffsaid", body_size=5,
        remote="192.0.2.1", agent="curl/7.88.1", method="POST",
    )  # fmt: skip
    await house.world.ping(check, at + timedelta(seconds=2), PingKind.LOG)
    client = writer(house)

    log, fail, start = (await client("GET", f"checks/{check.ping_uuid}/pings/")).json["pings"]

    body_url = f"http://beat.example.org/api/v3/checks/{check.ping_uuid}/pings/2/body"
    assert {
        "type": "fail", "date": "2026-03-02T10:00:01.587706+00:00", "n": 2, "scheme": "http",
        "remote_addr": "192.0.2.1", "method": "POST", "ua": "curl/7.88.1", "rid": RID, "body_url": body_url,
        "duration": 1.23,
    } == fail  # fmt: skip
    assert ("start", None, None, False) == (start["type"], start["remote_addr"], start["body_url"], "duration" in start)
    assert ("log", None, False) == (log["type"], log["rid"], "duration" in log)
    told = await client("GET", body_url.removeprefix("http://beat.example.org"))
    assert (200, b"\xffsaid", "text/plain; charset=utf-8") == (told.status, told.body, told.headers["content-type"])


async def test_an_ignored_ping_is_ign(house: House) -> None:
    check = await house.world.check(START, methods="POST")
    await house.world.ping(check, START)

    (ping,) = (await writer(house)("GET", f"checks/{check.ping_uuid}/pings/")).json["pings"]

    assert "ign" == ping["type"]


@pytest.mark.parametrize("n", ["1", "2", "0", "-1", "x", "9" * 30])
async def test_what_said_nothing_has_no_body(house: House, n: str) -> None:
    check = await house.world.check(START)
    await house.world.ping(check, START)

    told = await writer(house)("GET", f"checks/{check.ping_uuid}/pings/{n}/body")

    assert (404, {"error": "not found"}) == (told.status, told.json)


async def test_flips_are_told_newest_first_and_between_two_times(house: House, clock: SimClock) -> None:
    check = await house.world.check(START)
    for seconds, kind in ((0, PingKind.SUCCESS), (60, PingKind.FAIL), (120, PingKind.SUCCESS)):
        await house.world.ping(check, START + timedelta(seconds=seconds), kind)
    clock.move_to(START + timedelta(seconds=130))
    first = int(START.timestamp())

    async def flips(query: str = "") -> list[tuple[str, int]]:
        found = (await reader(house)("GET", f"checks/{check.ping_uuid}/flips/{query}")).json["flips"]
        return [(one["timestamp"][11:], one["up"]) for one in found]

    everything = [("10:02:00+00:00", 1), ("10:01:00+00:00", 0), ("10:00:00+00:00", 1)]
    assert everything == await flips()
    assert everything[:1] == await flips("?seconds=10")
    assert everything[:2] == await flips(f"?start={first + 60}")
    assert everything[1:] == await flips(f"?end={first + 120}")
    assert everything[1:2] == await flips(f"?start={first + 60}&end={first + 120}&seconds=31536000")


@pytest.mark.parametrize(
    "query", ["seconds=-1", "seconds=31536001", "seconds=x", "start=10000000001", "end=1.5", "start=", "end=%00"]
)
async def test_times_that_are_none_are_refused_without_a_word(house: House, query: str) -> None:
    check: Any = await house.world.check(START)

    told = await reader(house)("GET", f"checks/{check.ping_uuid}/flips/?{query}")

    assert (400, b"") == (told.status, told.body)


async def test_a_pause_is_a_flip_to_zero(house: House) -> None:
    check = await house.world.check(START)
    await house.world.ping(check, START)
    await writer(house)("POST", f"checks/{check.ping_uuid}/pause")
    await writer(house)("POST", f"checks/{check.ping_uuid}/resume")

    flips = (await reader(house)("GET", f"checks/{check.ping_uuid}/flips/")).json["flips"]

    assert [0, 0, 1] == [one["up"] for one in flips]
