"""Why a check has its status, over the native API: every fact by itself, and the same in sentences."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.words import PingKind
from heartfly.db.models import blind_intervals, checks, incidents, run_metrics, runs
from heartfly.monitor.judge import Judge
from tests.api.conftest import START
from tests.api.door import House
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ROWS = '[{"metric":"rows","op":">","value":"0","level":"fail"}]'


async def explain(house: House, check: Any) -> Any:
    reply = await house.read("GET", f"/v1/checks/{check.uuid}/explain")
    assert 200 == reply.status, reply.body
    return reply.json


async def deaf(house: House, from_at: Any, to_at: Any, cause: str = "Heartfly was not running") -> None:
    values = {"id": house.world.ids.next(to_at), "node_id": 1, "from_at": from_at, "to_at": to_at, "cause": cause}
    await house.world.db.write(lambda tx: tx.conn.execute(sa.insert(blind_intervals).values(values)) and None)


async def judged(house: House, at: Any) -> None:
    judge = Judge(ids=house.world.ids)
    await house.world.db.write(lambda tx: judge.judge(tx, through=at, now=at))


async def test_a_check_that_is_up_is_explained_with_every_fact(house: House, clock: SimClock) -> None:
    check = await house.world.check(START, max_run=30 * MINUTE)
    await house.world.ping(check, START)
    clock.move_to(START + MINUTE)

    assert {
        "check": check.uuid,
        "at": "2026-03-02T10:01:00Z",
        "status": "up",
        "status_since": "2026-03-02T10:00:00Z",
        "status_reason": "success",
        "late": False,
        "explain": (
            "It is up since 2026-03-02 10:00:00 UTC, when a success came. A success is expected at 2026-03-02 11:00:00 "
            "UTC (every 1 h), and in time until 2026-03-02 11:10:00 UTC, the end of the grace of 10 min."
        ),
        "sentences": [
            "It is up since 2026-03-02 10:00:00 UTC, when a success came.",
            (
                "A success is expected at 2026-03-02 11:00:00 UTC (every 1 h), and in time until 2026-03-02 11:10:00 "
                "UTC, the end of the grace of 10 min."
            ),
        ],
        "schedule": {"kind": "period", "period": 3600, "expression": None, "zone": "UTC", "dialect": "cron"},
        "schedule_text": "every hour",
        "schedule_error": None,
        "notices": [],
        "grace": 600,
        "max_run": 1800,
        "slot": {
            "expected_at": "2026-03-02T11:00:00Z",
            "counts_from": "2026-03-02T10:50:00Z",
            "closes_at": "2026-03-02T11:10:00Z",
            "held": False,
            "starts_by": None,
            "early_from": None,
        },
        "goes_down_at": "2026-03-02T11:10:00Z",
        "alarm_at": "2026-03-02T11:10:00Z",
        "tolerance": None,
        "tolerated": "",
        "bounds": [],
        "runs": [],
        "blind": [],
        "unverified_in_row": 0,
        "gates": [],
        "broken_gates": [],
        "breaches": [],
        "methods": "",
        "filters": {"start": [], "success": [], "failure": [], "default_fail": False},
        "sticky": False,
        "unverified_is_down": False,
        "last_end": {"kind": "success", "at": "2026-03-02T10:00:00Z"},
        "newest_ping": {"kind": "success", "at": "2026-03-02T10:00:00Z"},
        "incident": None,
        "silenced": [],
    } == await explain(house, check)


async def test_a_new_check_has_nothing_to_tell_but_that(house: House) -> None:
    found = await explain(house, await house.world.check(START))

    assert ["It is new: nothing is expected until its first success."] == found["sentences"]
    assert (None, None, None, None) == (found["slot"], found["goes_down_at"], found["last_end"], found["newest_ping"])


async def test_silence_is_explained_as_it_was_told_with_its_incident(house: House, clock: SimClock) -> None:
    check = await house.world.check(START)
    await house.world.ping(check, START)
    await judged(house, START + 2 * HOUR)
    await house.full("PATCH", f"/v1/checks/{check.uuid}", {"grace": 60})
    clock.move_to(START + 2 * HOUR)
    (incident,) = (await house.read("GET", "/v1/incidents")).json["items"]

    found = await explain(house, check)

    assert ("down", "missed", None, incident["id"]) == (
        found["status"],
        found["status_reason"],
        found["slot"],
        found["incident"],
    )
    assert incident["explain"] in found["explain"]
    assert "the end of the grace of 10 min" in found["explain"]
    assert found["explain"].endswith("It stays down until its next success.")


async def test_a_check_that_went_down_before_there_were_incidents_is_explained_too(
    house: House, clock: SimClock
) -> None:
    check = await house.world.check(START)
    await house.world.ping(check, START)
    await judged(house, START + 2 * HOUR)
    told = (await explain(house, check))["explain"]
    await house.world.db.write(lambda tx: tx.conn.execute(sa.update(incidents).values(explain="")) and None)
    emptied = await explain(house, check)
    await house.world.db.write(lambda tx: tx.conn.execute(sa.delete(incidents)) and None)
    without = await explain(house, check)
    await house.world.db.write(lambda tx: tx.conn.execute(sa.delete(runs)) and None)

    assert told == emptied["explain"] == without["explain"]
    assert without["incident"] is None
    assert "A success was expected at 2026-03-02 11:10:00 UTC" in (await explain(house, check))["explain"]


async def test_runs_under_way_are_listed_with_their_limits(house: House, clock: SimClock) -> None:
    check = await house.world.check(START, max_run=2 * HOUR)
    await house.world.ping(check, START)
    await house.world.ping(check, START + 55 * MINUTE, PingKind.START, rid="0f4e2f3a-7a3c-4a53-9f5c-2f6a3f1f0001")
    clock.move_to(START + HOUR + MINUTE)

    found = await explain(house, check)

    (run,) = found["runs"]
    assert ("0f4e2f3a-7a3c-4a53-9f5c-2f6a3f1f0001", "2026-03-02T10:55:00Z", "2026-03-02T12:55:00Z", True) == (
        run["rid"],
        run["started_at"],
        run["ends_by"],
        run["holds_slot"],
    )
    assert (True, "2026-03-02T12:55:00Z", "2026-03-02T12:55:00Z", False) == (
        found["slot"]["held"],
        found["slot"]["closes_at"],
        found["goes_down_at"],
        found["late"],
    )


async def test_late_is_as_in_the_check(house: House, clock: SimClock) -> None:
    check = await house.world.check(START)
    await house.world.ping(check, START)

    for at, late in ((START + HOUR - MINUTE, False), (START + HOUR, True), (START + HOUR + 9 * MINUTE, True)):
        clock.move_to(at)
        assert [late, late] == [
            (await explain(house, check))["late"],
            (await house.read("GET", f"/v1/checks/{check.uuid}")).json["late"],
        ]


async def test_our_own_deafness_is_listed_with_what_it_touches(house: House, clock: SimClock) -> None:
    check = await house.world.check(START)
    await house.world.ping(check, START)
    await deaf(house, START + 10 * MINUTE, START + 20 * MINUTE)  # before anything counts for the slot
    await deaf(house, START + 55 * MINUTE, START + 58 * MINUTE, "Heartfly was stalled")
    clock.move_to(START + HOUR)
    touched = await explain(house, check)
    await judged(house, START + HOUR + 11 * MINUTE)
    excused = await explain(house, check)

    interval = {"from_at": "2026-03-02T10:55:00Z", "to_at": "2026-03-02T10:58:00Z", "cause": "Heartfly was stalled"}
    assert [interval | {"touches": "slot"}] == touched["blind"]
    assert "That touches the slot: silence is unverified, and no alarm." in touched["explain"]
    assert ("up", 1, [interval | {"touches": "excused"}]) == (
        excused["status"],
        excused["unverified_in_row"],
        excused["blind"],
    )
    assert "That excused the slot before." in excused["explain"]


async def test_the_second_slot_that_we_could_not_hear_is_explained_with_what_touched_it(house: House) -> None:
    check = await house.world.check(START)
    await house.world.ping(check, START)
    await deaf(house, START + 55 * MINUTE, START + 58 * MINUTE)
    await judged(house, START + HOUR + 11 * MINUTE)
    await deaf(house, START + HOUR + 59 * MINUTE, START + 2 * HOUR)
    await judged(house, START + 4 * HOUR)

    found = await explain(house, check)

    assert ("down", "missed_twice_unverified") == (found["status"], found["status_reason"])
    assert [("2026-03-02T11:59:00Z", "alarm")] == [
        (one["from_at"], one["touches"]) for one in found["blind"] if one["touches"] == "alarm"
    ]


async def test_figures_are_explained_by_the_gates_that_they_break(house: House) -> None:
    check = await house.world.check(START, gates=ROWS)
    await house.world.ping(check, START, body=b"rows=0")
    told = await explain(house, check)
    await house.world.db.write(lambda tx: tx.conn.execute(sa.delete(run_metrics)) and None)
    forgotten = await explain(house, check)

    gate = {"metric": "rows", "op": ">", "value": "0", "level": "fail"}
    assert ([gate], [gate]) == (told["gates"], told["broken_gates"])
    assert "The job reported success, but rows is 0, expected > 0. It stays down" in told["explain"]
    assert [gate] == forgotten["broken_gates"]  # a figure that is not there breaks its gate


async def test_a_ping_that_was_ignored_is_named(house: House) -> None:
    check = await house.world.check(START, methods="POST")
    await house.world.ping(check, START, method="POST")
    await house.world.ping(check, START + MINUTE, method="GET")

    found = await explain(house, check)

    assert {"kind": "success", "at": "2026-03-02T10:00:00Z"} == found["last_end"]
    assert {"kind": "ignored", "at": "2026-03-02T10:01:00Z"} == found["newest_ping"]
    assert "Its newest ping, at 2026-03-02 10:01:00 UTC, was ignored" in found["explain"]


async def test_a_calendar_is_explained_with_its_dialect_and_the_clock_change_that_it_meets(
    house: House, clock: SimClock
) -> None:
    night = START + timedelta(days=26, hours=-8)  # 28 March, 02:00 UTC
    check = await house.world.check(
        START, kind="cron", expression="30 2 * * *", zone="Europe/Berlin", dialect="systemd", period_s=86400
    )
    clock.move_to(night)
    await house.world.ping(check, night)

    found = await explain(house, check)

    assert "(30 2 * * * (Europe/Berlin), as systemd runs it)" in found["explain"]
    assert "systemd" == found["schedule"]["dialect"]
    assert "2026-03-30T00:30:00Z" == found["slot"]["expected_at"]
    assert ["2026-03-29: 02:30 does not exist in Europe/Berlin; systemd does not run the job then"] == found["notices"]


async def test_a_zone_that_is_gone_is_explained(house: House) -> None:
    check = await house.world.check(START, kind="cron", expression="30 2 * * *", zone="Europe/Berlin")
    await house.world.ping(check, START)
    gone = sa.update(checks).where(checks.c.id == check.id).values(zone="Europe/Atlantis", schedule_error="no zone")
    await house.world.db.write(lambda tx: tx.conn.execute(gone) and None)

    found = await explain(house, check)

    assert "When it is expected next cannot be worked out: no zone." in found["sentences"]
    assert ("no zone", []) == (found["schedule_error"], found["notices"])


@pytest.mark.parametrize("name", ["x", "3f0f8f9e-6a1c-4a55-8d4c-111111111111"])
async def test_a_check_that_does_not_exist_is_not_explained(house: House, name: str) -> None:
    assert 404 == (await house.read("GET", f"/v1/checks/{name}/explain")).status


async def test_what_failed_since_it_is_down_is_told(house: House, clock: SimClock) -> None:
    """Whoever has repaired it once looks for what it says now."""
    check = await house.world.check(START, max_run=30 * MINUTE)
    await house.world.ping(check, START, PingKind.FAIL, exit_status=3)
    assert not [one for one in (await explain(house, check))["sentences"] if "since, last" in one or "hung" in one]
    await house.world.ping(check, START + MINUTE, PingKind.FAIL, exit_status=7)
    clock.move_to(START + 2 * MINUTE)

    told = (await explain(house, check))["sentences"]
    assert "It has failed again since, last with exit status 7 at 2026-03-02 10:01:00 UTC." == told[1]
    await house.world.ping(check, START + 3 * MINUTE, PingKind.FAIL)
    assert (
        "It has failed again since, last at 2026-03-02 10:03:00 UTC." == (await explain(house, check))["sentences"][1]
    )
    await house.world.ping(check, START + 4 * MINUTE, PingKind.START)
    clock.move_to(START + 34 * MINUTE)
    await judged(house, clock.now())
    assert (
        "A run hung since: it was not done by 2026-03-02 10:34:00 UTC." == (await explain(house, check))["sentences"][1]
    )
    await house.world.ping(check, START + 40 * MINUTE)
    await house.world.ping(check, START + 41 * MINUTE, PingKind.FAIL)
    assert not [one for one in (await explain(house, check))["sentences"] if "since, last" in one or "hung" in one]


async def test_a_run_that_hung_is_not_told_as_its_own_repetition(house: House, clock: SimClock) -> None:
    check = await house.world.check(START, max_run=30 * MINUTE)
    await house.world.ping(check, START, PingKind.START)
    clock.move_to(START + 31 * MINUTE)
    await judged(house, clock.now())

    told = await explain(house, check)
    assert "down" == told["status"]
    assert not [one for one in told["sentences"] if "hung since" in one]
