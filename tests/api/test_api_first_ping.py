"""By when the first ping of a new check is wanted: asked for, read, put off, and what comes of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.checks import queries
from heartfly.core.words import PingKind
from heartfly.db.models import blind_intervals
from heartfly.monitor.judge import Judge
from tests.api.conftest import START
from tests.api.door import House, Reply
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
HOOK = {"kind": "webhook", "config": {"url": "https://hooks.example.com/x"}, "name": "ops"}
DAILY = {"kind": "cron", "expression": "@daily"}
BY = "2026-03-02T12:00:00Z"


async def judged(house: House, at: datetime) -> None:
    judge = Judge(ids=house.world.ids)
    await house.world.db.write(lambda tx: judge.judge(tx, through=at, now=at))


async def made(house: House, **asked: Any) -> Any:
    reply = await house.full("POST", "/v1/checks", {"name": "job", "first_ping_by": BY} | asked)
    assert 201 == reply.status, reply.json
    return reply.json


async def stored(house: House, check: Any) -> Any:
    async with house.world.db.read() as read:
        return await queries.find(read, house.world.project.pid, check["id"])


async def edit(house: House, check: Any, by: str | None, **asked: Any) -> Reply:
    return await house.full("PATCH", f"/v1/checks/{check['id']}", {"first_ping_by": by} | asked)


async def test_without_a_ping_by_then_it_goes_down_and_says_why(house: House) -> None:
    await house.full("POST", "/v1/channels", HOOK)
    check = await made(house, first_ping_by="2026-03-02T14:00:00+02:00")
    path = f"/v1/checks/{check['id']}"
    waiting = (await house.read("GET", f"{path}/explain")).json

    await judged(house, START + 2 * HOUR - timedelta(microseconds=1))
    before = (await house.read("GET", path)).json
    await judged(house, START + 2 * HOUR)
    after = (await house.read("GET", path)).json

    assert (BY, BY, BY) == (check["first_ping_by"], check["next_expected_at"], check["goes_down_at"])
    assert (
        "It is new: its first ping is wanted by 2026-03-02 12:00:00 UTC; without one it goes down."
        == waiting["explain"]
    )
    assert (BY, BY, False) == (waiting["slot"]["closes_at"], waiting["goes_down_at"], waiting["late"])
    assert ("new", BY) == (before["status"], before["first_ping_by"])
    assert ("down", "no_first_ping", BY, None) == tuple(
        after[name] for name in ("status", "status_reason", "status_since", "first_ping_by")
    )
    (incident,) = (await house.read("GET", f"/v1/incidents?check={check['id']}")).json["items"]
    assert ("no_first_ping", "Its first ping was wanted by 2026-03-02 12:00:00 UTC, and none has come.") == (
        incident["cause"],
        incident["explain"],
    )
    (told,) = (await house.read("GET", f"/v1/notifications?check={check['id']}")).json["items"]
    assert ("check.down", "no_first_ping") == (told["event"], told["reason"])
    assert incident["explain"] in (await house.read("GET", f"{path}/explain")).json["explain"]


async def test_what_may_have_come_while_nobody_could_hear_is_no_alarm(house: House) -> None:
    check = await made(house, grace=600, schedule={"kind": "period", "period": 7200})
    deaf = {"node_id": 1, "from_at": START + HOUR, "to_at": START + HOUR + timedelta(minutes=5), "cause": "test"}
    await house.world.db.write(lambda tx: tx.conn.execute(sa.insert(blind_intervals).values(id=1, **deaf)))

    await judged(house, START + 2 * HOUR)
    excused = (await house.read("GET", f"/v1/checks/{check['id']}")).json
    why = (await house.read("GET", f"/v1/checks/{check['id']}/explain")).json
    await judged(house, START + 3 * HOUR + timedelta(minutes=15))
    down = (await house.read("GET", f"/v1/checks/{check['id']}")).json

    assert ("new", "2026-03-02T13:15:00Z") == (excused["status"], excused["first_ping_by"])
    assert ("2026-03-02T13:15:00Z", ["excused"]) == (why["slot"]["closes_at"], [one["touches"] for one in why["blind"]])
    assert ("down", "no_first_ping") == (down["status"], down["status_reason"])


async def test_the_first_ping_ends_it(house: House) -> None:
    check = await made(house)
    await house.world.ping(await stored(house, check), START + HOUR, PingKind.START)

    now = (await house.read("GET", f"/v1/checks/{check['id']}")).json
    late = await edit(house, check, "2026-03-03T12:00:00Z")

    assert ("new", None, True) == (now["status"], now["first_ping_by"], now["running"])
    assert (409, ["first_ping_by"]) == (late.status, late.fields)
    assert 200 == (await edit(house, check, None, grace=60)).status


async def test_it_can_be_put_off_taken_back_and_set_later(house: House) -> None:
    check = await made(house)

    later = await edit(house, check, "2026-03-02T18:00:00Z", grace=60, schedule=DAILY)
    same = await edit(house, check, "2026-03-02T18:00:00Z")
    other = await house.full("PATCH", f"/v1/checks/{check['id']}", {"grace": 90})
    never = await edit(house, check, None)
    again = await edit(house, check, BY)

    assert ("2026-03-02T18:00:00Z", 60) == (later.json["first_ping_by"], later.json["grace"])
    assert later.headers["etag"] == same.headers["etag"]
    assert "2026-03-02T18:00:00Z" == other.json["first_ping_by"]
    assert (None, None) == (never.json["first_ping_by"], never.json["goes_down_at"])
    assert BY == again.json["goes_down_at"]


async def test_who_wanted_it_is_in_the_audit(house: House) -> None:
    check = await made(house)
    await edit(house, check, None)
    await edit(house, check, None)

    entries = (await house.full("GET", f"/v1/audit?object=check:{check['id']}")).json["items"]

    assert [("check.edit", {"first_ping_by": BY}, {"first_ping_by": None}), ("check.create", None, BY)] == [
        (one["action"], one["before"], one["after"] if one["before"] else one["after"]["first_ping_by"])
        for one in entries
    ]


async def test_a_pause_forgets_it_and_a_copy_has_none(house: House) -> None:
    check = await made(house)
    copied = (await house.full("POST", f"/v1/checks/{check['id']}/copy")).json
    await house.full("POST", f"/v1/checks/{check['id']}/pause")
    refused = await edit(house, check, BY)
    resumed = await house.full("POST", f"/v1/checks/{check['id']}/resume")

    assert (None, None) == (copied["first_ping_by"], resumed.json["first_ping_by"])
    assert 409 == refused.status
    assert BY == (await edit(house, check, BY)).json["first_ping_by"]


async def test_the_same_upsert_may_run_for_ever(house: House) -> None:
    async def upsert(by: str) -> Reply:
        return await house.full("POST", "/v1/checks?upsert=slug", {"slug": "job", "first_ping_by": by})

    first, moved = await upsert(BY), await upsert("2026-03-02T13:00:00Z")
    await house.world.ping(await stored(house, first.json), START + HOUR)
    after = await upsert("2026-03-02T10:30:00Z")

    assert (201, 200, 200) == (first.status, moved.status, after.status)
    assert (BY, "2026-03-02T13:00:00Z", None) == tuple(one.json["first_ping_by"] for one in (first, moved, after))


async def test_an_upsert_whose_instant_is_past_edits_the_rest(house: House, clock: SimClock) -> None:
    """A pause has forgotten it, and the same deployment comes again: its instant is no wish any more."""

    async def upsert(**more: Any) -> Reply:
        asked = {"slug": "job", "first_ping_by": "2026-03-02T10:00:30Z"} | more
        return await house.full("POST", "/v1/checks?upsert=slug", asked)

    made = (await upsert()).json
    await house.full("POST", f"/v1/checks/{made['id']}/pause")
    await house.full("POST", f"/v1/checks/{made['id']}/resume")
    clock.move_to(START + HOUR)

    again = await upsert(grace=120)

    assert (200, 120, None) == (again.status, again.json["grace"], again.json["first_ping_by"])


@on_sqlite
@pytest.mark.parametrize(
    "by",
    [
        "2026-03-02T10:00:00Z",
        "2026-03-02T09:59:59Z",
        "2027-03-04T00:00:00Z",
        "2026-03-02T12:00:00",
        "0001-01-01T00:00:00+14:00",
        "tomorrow",
        17,
    ],
)
async def test_what_is_no_instant_ahead_is_refused_by_name(house: House, by: object) -> None:
    created = await house.full("POST", "/v1/checks", {"name": "job", "first_ping_by": by})
    check = await made(house)
    edited = await edit(house, check, by)  # type: ignore[arg-type] # some are none

    assert [(422, ["first_ping_by"])] * 2 == [(reply.status, reply.fields) for reply in (created, edited)]
    assert ["job"] == [one["slug"] for one in (await house.full("GET", "/v1/checks")).json["items"]]
