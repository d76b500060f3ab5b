"""What happened to a check, over the native API: pings with their bodies, runs with their figures, flips."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from heartfly.core.words import PingKind
from tests.api.conftest import START
from tests.api.door import BASE_URL, House

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
RID = "0f4e2f3a-7a3c-4a53-9f5c-2f6a3f1f0001"


@pytest.fixture
async def check(house: House) -> Any:
    """It started, said something, failed with exit status 3, and then went well twice."""
    world = house.world
    row = await world.check(START)
    ping = {"method": "POST", "scheme": "https", "remote": "192.0.2.7", "agent": "curl/8"}
    await world.ping(row, START, PingKind.START, rid=RID, **ping)
    await world.ping(row, START + MINUTE, PingKind.LOG, body=b"half way", body_size=8)
    failed = b"rows=0\n\xff<script>alert(1)</script>"
    await world.ping(
        row, START + 2 * MINUTE, PingKind.FAIL, rid=RID, exit_status=3, body=failed, body_size=5_000_000, **ping
    )
    await world.ping(row, START + 3 * MINUTE, body=b"rows=1000000000000000000.5", body_size=26)
    await world.ping(row, START + 4 * MINUTE)
    return row


async def test_pings_are_listed_newest_first_with_all_that_is_known(house: House, check: Any) -> None:
    pings = (await house.read("GET", f"/v1/checks/{check.uuid}/pings")).json

    url = f"{BASE_URL}/v1/checks/{check.uuid}/pings"
    assert [5, 4, 3, 2, 1] == [ping["n"] for ping in pings["items"]]
    assert ["success", "success", "fail", "log", "start"] == [ping["kind"] for ping in pings["items"]]
    failed, started = pings["items"][2], pings["items"][4]
    assert {
        "n": 3,
        "kind": "fail",
        "received_at": "2026-03-02T10:02:00Z",
        "exit_status": 3,
        "rid": RID,
        "run_id": started["run_id"],
        "duration": 120.0,
        "method": "POST",
        "scheme": "https",
        "remote": "192.0.2.7",
        "agent": "curl/8",
        "body_size": 5_000_000,
        "body_url": f"{url}/3/body",
    } == failed
    assert (None, None) == (started["duration"], started["body_url"])
    assert pings["next"] is None


async def test_a_body_is_served_as_the_bytes_that_came_and_runs_nowhere(house: House, check: Any) -> None:
    body = await house.read("GET", f"/v1/checks/{check.uuid}/pings/3/body")

    assert (200, b"rows=0\n\xff<script>alert(1)</script>") == (body.status, body.body)
    assert "text/plain; charset=utf-8" == body.headers["content-type"]
    assert "nosniff" == body.headers["x-content-type-options"]
    assert "sandbox" == body.headers["content-security-policy"]


async def test_a_ping_without_a_body_or_none_at_all_has_no_body(house: House, check: Any) -> None:
    numbers = ("1", "99", "0", "-1", "x", "3.0", "9" * 19, "9" * 400, "\u0663")

    assert {404} == {(await house.read("GET", f"/v1/checks/{check.uuid}/pings/{n}/body")).status for n in numbers}


async def test_what_a_ping_said_is_told_beside_the_last_success(house: House, check: Any) -> None:
    failed = b"rows=7\nno route"
    await house.world.ping(check, START + 5 * MINUTE, PingKind.FAIL, body=failed, body_size=len(failed))
    url = f"/v1/checks/{check.uuid}/pings/6/diff"
    gone = {"sign": "-", "there": 1, "here": None, "text": "rows=1000000000000000000.5"}
    come = [{"sign": "+", "there": None, "here": n, "text": text} for n, text in ((1, "rows=7"), (2, "no route"))]

    told = (await house.read("GET", url)).json
    assert {"compared_with": 4, "same": False, "whole": True, "lines": [gone, *come]} == told
    told = (await house.read("GET", f"{url}?numbers=false")).json
    assert ["=", "+"] == [line["sign"] for line in told["lines"]]
    first = (await house.read("GET", f"/v1/checks/{check.uuid}/pings/3/diff")).json
    assert {"compared_with": None, "same": None, "whole": True, "lines": []} == first
    assert 422 == (await house.read("GET", f"{url}?numbers=some")).status
    gone_too = [f"/v1/checks/{check.uuid}/pings/{n}/diff" for n in ("5", "99", "0", "x", "9" * 19)]
    assert {404} == {(await house.read("GET", one)).status for one in gone_too}


async def test_a_run_whose_figures_broke_a_gate_is_no_success_to_compare_with(house: House) -> None:
    row = await house.world.check(START, gates='[{"metric":"rows","op":">","value":"0","level":"fail"}]')
    for n, body in enumerate((b"rows=5", b"rows=0", b"boom")):
        kind = PingKind.FAIL if body == b"boom" else PingKind.SUCCESS
        await house.world.ping(row, START + n * MINUTE, kind, body=body, body_size=len(body))

    told = [(await house.read("GET", f"/v1/checks/{row.uuid}/pings/{n}/diff")).json for n in (2, 3)]
    assert [1, 1] == [one["compared_with"] for one in told]


async def test_runs_are_listed_with_their_figures_exact(house: House, check: Any) -> None:
    runs = (await house.read("GET", f"/v1/checks/{check.uuid}/runs")).json["items"]

    assert [("ok", {}), ("ok", {"rows": "1000000000000000000.5"}), ("failed", {"rows": "0"})] == [
        (run["outcome"], run["metrics"]) for run in runs
    ]
    assert (RID, 3, 120.0, "2026-03-02T10:00:00Z", "2026-03-02T10:02:00Z", 3) == (
        runs[2]["rid"],
        runs[2]["exit_status"],
        runs[2]["duration"],
        runs[2]["started_at"],
        runs[2]["ended_at"],
        runs[2]["ping_n"],
    )


async def test_flips_are_listed_with_their_reasons(house: House, check: Any) -> None:
    flips = (await house.read("GET", f"/v1/checks/{check.uuid}/flips")).json["items"]

    assert [
        (2, "down", "up", "success", "2026-03-02T10:03:00Z"),
        (1, "new", "down", "exit_status", "2026-03-02T10:02:00Z"),
    ] == [(flip["n"], flip["from_status"], flip["to_status"], flip["reason"], flip["at"]) for flip in flips]
    assert [None, None] == [flip["retracts"] for flip in flips]
    (incident,) = (await house.read("GET", f"/v1/incidents?check={check.uuid}")).json["items"]
    assert [incident["id"]] * 2 == [flip["incident"] for flip in flips]


@pytest.mark.parametrize("what", ["pings", "runs", "flips"])
async def test_history_is_paged_by_key_while_more_comes_in(house: House, check: Any, what: str) -> None:
    whole = (await house.read("GET", f"/v1/checks/{check.uuid}/{what}")).json["items"]
    seen, cursor = [], ""

    while True:
        page = (await house.read("GET", f"/v1/checks/{check.uuid}/{what}?limit=1{cursor}")).json
        seen += page["items"]
        await house.world.ping(check, START + timedelta(minutes=10 + len(seen)), PingKind.FAIL)
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"

    assert whole == seen


async def test_the_cursor_of_another_list_is_refused(house: House, check: Any) -> None:
    pings = (await house.read("GET", f"/v1/checks/{check.uuid}/pings?limit=1")).json["next"]
    runs = (await house.read("GET", f"/v1/checks/{check.uuid}/runs?limit=1")).json["next"]
    far = "cnVucyw5MjIzMzcyMDM2ODU0Nzc1ODA3LDE"  # runs,9223372036854775807,1: no date
    wrong = {"flips": (pings, runs, "x", "%00", "a" * 500, "\u2713"), "runs": (pings, far), "pings": (runs,)}

    for what, cursors in wrong.items():
        for cursor in cursors:
            reply = await house.read("GET", f"/v1/checks/{check.uuid}/{what}?cursor={cursor}")
            assert (422, ["cursor"]) == (reply.status, reply.fields), (what, cursor)
