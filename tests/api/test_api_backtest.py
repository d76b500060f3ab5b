"""Another rule, tried by the API on a check's own pings: what is told, and that nothing is saved."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from heartfly.accounts.turnstile import Turnstile
from heartfly.api.native import native_api
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import pings
from tests.api.conftest import START
from tests.api.door import Door, House, state_of
from tests.api.test_api_explain import judged
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


async def test_alarms_are_kept_lost_and_new_and_nothing_is_saved(house: House, clock: SimClock) -> None:
    """Every hour with ten minutes of grace: one ping that came half an hour late, one failure."""
    check = await house.world.check(START)
    for hour in (0, 1, 2.5, 3.5):
        await judged(house, START + hour * HOUR - timedelta(microseconds=1))
        await house.world.ping(check, START + hour * HOUR)
    await house.world.ping(check, START + 4 * HOUR, PingKind.FAIL, exit_status=3)
    clock.move_to(START + 4.1 * HOUR)
    before = (await house.read("GET", f"/v1/checks/{check.uuid}")).body
    incidents = (await house.read("GET", "/v1/incidents")).json["items"]

    laxer = (await house.full("POST", f"/v1/checks/{check.uuid}/backtest", {"grace": 3600})).json
    same = (await house.full("POST", f"/v1/checks/{check.uuid}/backtest")).json

    assert (5, True, 2, 1) == (laxer["n_pings"], laxer["whole"], laxer["n_old"], laxer["n_new"])
    (lost,), (kept,) = laxer["lost"], laxer["kept"]
    assert ("2026-03-02T12:10:00Z", "2026-03-02T12:30:00Z", "missed") == (lost["at"], lost["ended_at"], lost["reason"])
    assert [] == laxer["added"]
    assert ("exit_status", None) == (kept["new"]["reason"], kept["new"]["ended_at"])
    assert {one["id"] for one in incidents} == {lost["incident"], kept["old"]["incident"]}
    assert (2, 2, [], []) == (same["n_old"], same["n_new"], same["lost"], same["added"])
    assert before == (await house.read("GET", f"/v1/checks/{check.uuid}")).body


async def test_a_ping_that_came_late_counts_when_it_happened(house: House, clock: SimClock) -> None:
    """Every hour with ten minutes of grace: one run came too late, and all is heard at 14:00, the newest first."""
    check = await house.world.check(START)
    heard = START + 4 * HOUR
    for hour in (3.5, 2.5, 1, 0):
        await house.world.ping(check, heard, happened_at=START + hour * HOUR)
    clock.move_to(heard)

    told = (await house.full("POST", f"/v1/checks/{check.uuid}/backtest", {"grace": 3600})).json

    assert ("2026-03-02T10:00:00Z", 4, 1, 0) == (told["from_at"], told["n_pings"], told["n_old"], told["n_new"])
    (lost,) = told["lost"]
    assert ("2026-03-02T12:10:00Z", "2026-03-02T12:30:00Z") == (lost["at"], lost["ended_at"])


async def test_what_happened_before_the_pings_that_are_kept_is_not_judged(house: House, clock: SimClock) -> None:
    """Of the time between there may be pings that are kept no more: silence in it says nothing."""
    check = await house.world.check(START)
    for hour in (5, 6):
        await house.world.ping(check, START + hour * HOUR)
    await house.world.ping(check, START + 6 * HOUR, happened_at=START)
    first = pings.c.n == 1
    await house.world.db.write(lambda tx: tx.conn.execute(sa.delete(pings).where(first)) and None)
    clock.move_to(START + 6.1 * HOUR)

    told = (await house.full("POST", f"/v1/checks/{check.uuid}/backtest")).json

    assert ("2026-03-02T16:00:00Z", 1, 0) == (told["from_at"], told["n_pings"], told["n_old"])


async def test_a_run_that_only_said_how_long_it_took_is_tried_by_that(house: House, clock: SimClock) -> None:
    """No start was heard of any of these; one that was is judged by its start, whatever its end says."""
    check = await house.world.check(START)
    lasted = [50, 5, 55]
    for hour, minutes in enumerate(lasted):
        await house.world.ping(check, START + hour * HOUR, took=minutes * MINUTE)
    await house.world.ping(check, START + 2.9 * HOUR, PingKind.START)
    await house.world.ping(check, START + 3 * HOUR, took=50 * MINUTE)
    clock.move_to(START + 3.1 * HOUR)
    path = f"/v1/checks/{check.uuid}/backtest"

    told = (await house.full("POST", path, {"bounds": ["run >= 10m"]})).json

    assert (4, 0, 2) == (told["n_pings"] - 1, told["n_old"], told["n_new"])
    assert ["too_fast"] * 2 == [one["reason"] for one in told["added"]]
    assert ["2026-03-02T11:00:00Z", "2026-03-02T13:00:00Z"] == [one["at"] for one in told["added"]]


async def test_without_gates_the_present_rule_is_tried_with_the_figures_that_it_had(
    house: House, clock: SimClock
) -> None:
    check = await house.world.check(START, gates='[{"metric":"rows","op":">","value":"0","level":"fail"}]')
    for hour in range(3):
        await house.world.ping(check, START + hour * HOUR, body=b"rows=5")
    clock.move_to(START + 2.1 * HOUR)

    told = (await house.full("POST", f"/v1/checks/{check.uuid}/backtest", {"gates": []})).json

    assert (3, 0, 0, []) == (told["n_pings"], told["n_old"], told["n_new"], told["lost"])


async def test_a_rule_that_cannot_be_names_its_field_and_a_key_that_only_reads_tries_none(house: House) -> None:
    check = await house.world.check(START)
    path = f"/v1/checks/{check.uuid}/backtest"

    wrong = await house.full("POST", path, {"schedule": {"kind": "cron", "expression": "0 0 31 2 *"}})
    refused = await house.read("POST", path, {"grace": 60})

    assert (422, ["schedule.expression"]) == (wrong.status, [one["field"] for one in wrong.json["errors"]])
    assert 403 == refused.status


async def test_who_would_have_to_wait_behind_many_is_told_when_to_come_again(
    db: Database, usage_db: Database, ids: IdSource, clock: SimClock, house: House
) -> None:
    check = await house.world.check(START)
    busy = Turnstile(at_once=1, waiting=0, again_s=5, busy="too many schedules are tried")
    state = replace(state_of(db, clock, ids, usage=usage_db), trying=busy)
    door = Door(native_api(state), house.world.project.api_key)
    async with busy:
        reply = await door("POST", f"/v1/checks/{check.uuid}/backtest", {"grace": 60})

    assert (503, "5") == (reply.status, reply.headers["retry-after"])
