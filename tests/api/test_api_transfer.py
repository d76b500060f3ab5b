"""A check that moves to another project: what goes along, what stays, and who may move it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.checks import history
from heartfly.core.words import PingKind
from heartfly.db.models import addresses, check_versions, checks, flips, ping_bodies, pings, run_metrics, runs
from heartfly.errors import StoreError
from heartfly.pings.request import ByUuid, PingOutcome
from tests.api.conftest import START
from tests.api.door import House, Reply
from tests.api.test_api_turn import answered, asking
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
HISTORY = (pings, ping_bodies, runs, run_metrics, flips)


async def made(house: House, **asked: Any) -> Any:
    asked = {"name": "job", "schedule": {"kind": "period", "period": 3600}, "grace": 600} | asked
    return (await house.full("POST", "/v1/checks", asked)).json


async def moved(house: House, check: Any, to: House, **asked: Any) -> Reply:
    return await house.full("POST", f"/v1/checks/{check['id']}/transfer", {"key": to.full.key} | asked)


async def heard(house: House, check: Any, at: Any, kind: PingKind = PingKind.SUCCESS, **rest: Any) -> PingOutcome:
    target = ByUuid(check["ping_url"].rsplit("/", 1)[1])
    return (await house.world.pings([house.world.request(None, at, kind, target=target, **rest)]))[0].outcome


async def rows(house: House, table: sa.Table) -> int:
    """How many of this project."""
    async with house.world.db.read() as read:
        count = sa.select(sa.func.count()).select_from(table).where(table.c.pid == house.world.project.pid)
        return int((await read.execute(count)).scalar_one())


async def test_it_keeps_its_id_address_rules_status_and_deadline(house: House, neighbour: House) -> None:
    hook = {"kind": "slack", "name": "theirs", "config": {"url": "https://hooks.example.com/x"}}
    await house.full("POST", "/v1/channels", hook | {"name": "ours"})
    channel = (await neighbour.full("POST", "/v1/channels", hook)).json["id"]
    check = await made(house, tags=["a"], gates=[{"metric": "rows", "op": ">", "value": "0"}], max_run=60)
    await heard(house, check, START, body=b"rows=5")
    before = (await house.full("GET", f"/v1/checks/{check['id']}")).json

    reply = await moved(house, check, neighbour)

    assert (200, before | {"channels": [channel]}) == (reply.status, reply.json | {"updated_at": before["updated_at"]})
    assert 404 == (await house.full("GET", f"/v1/checks/{check['id']}")).status
    assert [] == (await house.full("GET", "/v1/checks")).json["items"]
    assert [reply.json] == (await neighbour.full("GET", "/v1/checks")).json["items"]
    assert ("up", "2026-03-02T11:10:00Z", 1) == (before["status"], reply.json["goes_down_at"], reply.json["n_pings"])


async def test_pings_to_its_addresses_go_on_in_the_other_project(house: House, neighbour: House) -> None:
    old = await made(house)
    new = (await house.full("POST", f"/v1/checks/{old['id']}/rotate-ping-url", {"overlap": 3600})).json
    await heard(house, new, START)
    await moved(house, new, neighbour)

    outcomes = [await heard(neighbour, one, START + n * MINUTE) for n, one in enumerate((old, new), 1)]

    assert [PingOutcome.OK] * 2 == outcomes
    assert PingOutcome.NOT_FOUND == await heard(neighbour, old, START + HOUR)
    told = (await neighbour.full("GET", f"/v1/checks/{new['id']}")).json
    listed = (await neighbour.full("GET", f"/v1/checks/{new['id']}/pings")).json["items"]
    assert (3, [3, 2]) == (told["n_pings"], [ping["n"] for ping in listed])


async def test_it_goes_down_in_the_other_project_if_its_job_falls_silent(house: House, neighbour: House) -> None:
    hook = {"kind": "slack", "name": "theirs", "config": {"url": "https://hooks.example.com/x"}}
    await neighbour.full("POST", "/v1/channels", hook)
    check = await made(house)
    await heard(house, check, START)
    await moved(house, check, neighbour)

    await heard(neighbour, check, START + MINUTE, PingKind.FAIL)

    assert "down" == (await neighbour.full("GET", f"/v1/checks/{check['id']}")).json["status"]
    assert 1 == len((await neighbour.full("GET", "/v1/incidents")).json["items"])
    assert ["check.down"] == [n["event"] for n in (await neighbour.full("GET", "/v1/notifications")).json["items"]]
    assert [] == (await house.full("GET", "/v1/incidents")).json["items"]


async def test_its_history_goes_nowhere_and_leaves_nothing_behind(house: House, neighbour: House) -> None:
    check = await made(house)
    for n, kind in enumerate((PingKind.START, PingKind.SUCCESS, PingKind.FAIL, PingKind.SUCCESS)):
        await heard(house, check, START + n * MINUTE, kind, body=b"canary rows=5")
    assert [0 < await rows(house, table) for table in HISTORY] == [True] * len(HISTORY)

    await moved(house, check, neighbour)

    for table in (*HISTORY, check_versions, addresses, checks):
        assert 0 == await rows(house, table), table.name
    for what in ("pings", "runs", "flips"):
        assert [] == (await neighbour.full("GET", f"/v1/checks/{check['id']}/{what}")).json["items"]
    assert (1, 0) == (
        len((await house.full("GET", "/v1/incidents")).json["items"]),
        len((await neighbour.full("GET", "/v1/incidents")).json["items"]),
    ), "what was told stays where it was told"


async def test_what_a_crash_left_of_it_is_removed_at_the_next_start(
    house: House, neighbour: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = await made(house)
    await heard(house, check, START, body=b"canary")

    async def dies(*_: Any) -> None:
        raise StoreError("the process was killed here")

    with monkeypatch.context() as crashing:
        crashing.setattr(history, "remove", dies)
        assert 503 == (await moved(house, check, neighbour)).status
    assert (1, 0) == (await rows(house, pings), await rows(house, checks))

    await history.remove_leftovers(house.world.db)

    assert [0] * len(HISTORY) == [await rows(house, table) for table in HISTORY]
    assert 0 == await rows(house, addresses)
    assert PingOutcome.OK == await heard(neighbour, check, START + MINUTE)


@pytest.mark.parametrize("status", ["new", "paused", "degraded"])
async def test_it_moves_in_any_status_but_down(house: House, neighbour: House, status: str) -> None:
    check = await made(house, gates=[{"metric": "rows", "op": ">", "value": "0", "level": "warn"}])
    if status == "degraded":
        await heard(house, check, START, body=b"rows=0")
    elif status == "paused":
        await house.full("POST", f"/v1/checks/{check['id']}/pause")

    assert (200, status) == ((reply := await moved(house, check, neighbour)).status, reply.json["status"])


async def test_while_it_is_down_or_runs_it_stays(house: House, neighbour: House) -> None:
    down, running = await made(house), await made(house)
    await heard(house, down, START, PingKind.FAIL)
    await heard(house, running, START, PingKind.START)

    heard_of_them = [await moved(house, one, neighbour) for one in (down, running)]
    await house.full("POST", f"/v1/checks/{down['id']}/pause")

    assert [
        (409, "the check is down: wait for its end, or pause it first"),
        (409, "a run of the check is under way: wait for its end, or pause it first"),
    ] == [(reply.status, reply.json["detail"]) for reply in heard_of_them]
    assert 200 == (await moved(house, down, neighbour)).status


async def test_at_its_deadline_the_judge_comes_first(house: House, neighbour: House, clock: SimClock) -> None:
    check = await made(house)
    await heard(house, check, START)
    clock.move_to(START + 2 * HOUR)

    path = f"/v1/checks/{check['id']}/transfer"
    reply = await answered(house, clock, await asking(house, clock, "POST", path, {"key": neighbour.full.key}))

    assert (503, "2") == (reply.status, reply.headers["retry-after"])
    assert 200 == (await house.full("GET", f"/v1/checks/{check['id']}")).status


async def test_a_slug_that_is_taken_there_can_be_another_one(house: House, neighbour: House) -> None:
    check = await made(house, slug="job")
    await made(neighbour, slug="job")

    taken, wrong = await moved(house, check, neighbour), await moved(house, check, neighbour, slug="A B")
    other = await moved(house, check, neighbour, slug="other")

    assert (409, ["slug"]) == (taken.status, taken.fields)
    assert (422, ["slug"]) == (wrong.status, wrong.fields)
    assert (200, "other") == (other.status, other.json["slug"])


async def test_only_a_key_that_may_write_there_moves_it(house: House, neighbour: House) -> None:
    check = await made(house)
    keys = [neighbour.read.key, "hf_unknown", "", "\x00", "é", "x" * 5000]

    refused = [await moved(house, check, neighbour, key=key) for key in keys]
    own = await moved(house, check, house)
    reader = await house.read("POST", f"/v1/checks/{check['id']}/transfer", {"key": neighbour.full.key})
    stranger = await neighbour.full("POST", f"/v1/checks/{check['id']}/transfer", {"key": neighbour.full.key})

    assert {(422, "key")} == {(reply.status, reply.fields[0]) for reply in refused}
    assert 1 == len({reply.json["detail"] for reply in refused}), "whether it is known is not said"
    assert (409, 403, 404) == (own.status, reader.status, stranger.status)
    assert check == (await house.full("GET", f"/v1/checks/{check['id']}")).json


async def test_both_projects_are_told_who_did_it_by_their_own_key(house: House, neighbour: House) -> None:
    check = await made(house)

    await moved(house, check, neighbour)

    told = [(await one.full("GET", "/v1/audit?action=check.transfer")).json["items"][0] for one in (house, neighbour)]
    assert [f"key:{one.full.key[:10]}" for one in (house, neighbour)] == [entry["actor"] for entry in told]
    assert [("job", None), (None, "job")] == [
        tuple(side and side["name"] for side in (entry["before"], entry["after"])) for entry in told
    ]
    assert {f"check:{check['id']}"} == {entry["object"] for entry in told}


async def test_what_has_changed_meanwhile_is_not_moved(house: House, neighbour: House) -> None:
    check = await made(house)
    path = f"/v1/checks/{check['id']}"
    seen = (await house.full("GET", path)).headers["etag"]
    await house.full("PATCH", path, {"name": "other"})

    stale = await house.full("POST", f"{path}/transfer", {"key": neighbour.full.key}, headers=[("If-Match", seen)])

    assert 412 == stale.status
    assert 200 == (await house.full("GET", path)).status


async def test_it_is_looked_at_when_late_only_if_somebody_there_hears_of_that(house: House, neighbour: House) -> None:
    late = {"kind": "slack", "name": "x", "config": {"url": "https://h.example.com/x"}, "events": ["check.late"]}
    check = await made(house)
    await heard(house, check, START)
    await neighbour.full("POST", "/v1/channels", late)

    async def wakes_at() -> Any:
        async with house.world.db.read() as read:
            return (await read.execute(sa.select(checks.c.wake_at))).scalar_one()

    before = await wakes_at()
    await moved(house, check, neighbour)
    there = await wakes_at()
    await moved(neighbour, check, house)

    assert (START + 70 * MINUTE, START + HOUR, START + 70 * MINUTE) == (before, there, await wakes_at())


async def test_the_check_of_a_job_of_heartflys_own_stays_where_it_is(house: House, neighbour: House) -> None:
    check = await made(house)
    its = sa.update(checks).where(checks.c.uuid == check["id"]).values(job="retention")
    await house.world.db.write(lambda tx: tx.conn.execute(its).rowcount)

    reply = await moved(house, check, neighbour)

    assert (409, True) == (reply.status, "Heartfly's own job retention" in reply.json["detail"])
    assert 200 == (await house.full("GET", f"/v1/checks/{check['id']}")).status
