"""What a check's past suggests, by the API: with evidence from runs unseen, and what has moved or was unusual."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from heartfly.core.words import PingKind
from tests.api.conftest import START
from tests.api.door import House
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

S, MINUTE, HOUR, DAY = (timedelta(seconds=n) for n in (1, 60, 3600, 86_400))
MIDNIGHT = START.replace(hour=0, minute=0, second=0, microsecond=0)


async def nightly(
    house: House,
    check: Any,
    nights: int,
    *,
    late: Mapping[int, timedelta] | None = None,
    took: Mapping[int, timedelta] | None = None,
) -> None:
    """A run of half an hour at three each night, with its rows; the seconds differ."""
    requests = []
    for night in range(nights):
        at = MIDNIGHT + night * DAY + 3 * HOUR + night % 5 * S + (late or {}).get(night, timedelta(0))
        lasted = (took or {}).get(night, 30 * MINUTE + night % 7 * S)
        body = f"rows={1_000 + night % 3}".encode()
        requests.append(house.world.request(check, at, PingKind.START))
        requests.append(house.world.request(check, at + lasted, body=body))
    await house.world.pings(requests)


async def test_a_schedule_a_grace_and_a_longest_run_are_suggested_and_tried_on_what_came_since(
    house: House, clock: SimClock
) -> None:
    """A check that expects a success each day within six hours: nobody would hear of a run that takes twice as long."""
    check = await house.world.check(MIDNIGHT, every=DAY, grace=6 * HOUR)
    await nightly(house, check, 60, took={55: 90 * MINUTE})
    clock.move_to(MIDNIGHT + 60 * DAY)
    path = f"/v1/checks/{check.uuid}"
    before = (await house.read("GET", path)).body

    told = (await house.read("GET", f"{path}/suggestions")).json

    assert {"kind": "cron", "expression": "0 3 * * *", "zone": "UTC", "period": None, "dialect": "cron"} == told[
        "schedule"
    ]
    assert (60, 37 * 60, "") == (told["grace"], told["max_run"], told["why"])
    assert (60, 12, "2026-04-19T03:00:03Z") == (told["n_runs"], told["n_tried"], told["split_at"])
    assert (0, 1) == (told["n_old"], told["n_new"])
    (new,) = told["added"]
    assert ("hung", "2026-04-26T03:37:00Z") == (new["reason"], new["at"])
    assert [] == told["moved"]
    assert ["duration"] == [one["figure"] for one in told["unusual"]]
    assert "At 03:00 (UTC): 48 of 48 of its times had a run, and no run was beside it." == told["sentences"][0]
    assert before == (await house.read("GET", path)).body

    asked = {name: told[name] for name in ("schedule", "grace", "max_run")}
    assert 200 == (await house.full("PATCH", path, asked)).status
    again = (await house.read("GET", f"{path}/suggestions")).json
    assert (None, None, None) == (again["schedule"], again["grace"], again["max_run"])
    assert "What it has suits its past." == again["why"]


async def test_a_job_that_runs_by_the_month_is_learned_from_runs_of_years(house: House, clock: SimClock) -> None:
    check = await house.world.check(START, every=40 * DAY, grace=DAY)
    firsts = [START.replace(year=2026 + month // 12, month=month % 12 + 1, day=1, hour=3) for month in range(3, 30)]
    await house.world.pings([house.world.request(check, at + n % 4 * S) for n, at in enumerate(firsts)])
    clock.move_to(firsts[-1] + DAY)

    told = (await house.read("GET", f"/v1/checks/{check.uuid}/suggestions")).json

    assert "0 3 1 * *" == told["schedule"]["expression"]
    assert (27, 6, 0, 0) == (told["n_runs"], told["n_tried"], told["n_old"], told["n_new"])
    assert "2026-04-01T03:00:00Z" == told["from_at"]


async def test_few_runs_suggest_nothing_and_a_check_without_any_says_so(house: House, clock: SimClock) -> None:
    check = await house.world.check(MIDNIGHT, every=DAY)
    none = (await house.read("GET", f"/v1/checks/{check.uuid}/suggestions")).json
    await nightly(house, check, 5)
    clock.move_to(MIDNIGHT + 5 * DAY)
    few = (await house.read("GET", f"/v1/checks/{check.uuid}/suggestions")).json

    assert (0, None, None) == (none["n_runs"], none["from_at"], none["split_at"])
    assert "0 runs to learn from are known, and 10 are the least." == none["why"]
    assert (5, None, [], []) == (few["n_runs"], few["schedule"], few["moved"], few["unusual"])


async def test_a_job_that_moved_and_a_figure_that_fell_are_told(house: House, clock: SimClock) -> None:
    check = await house.world.check(MIDNIGHT, every=DAY, gates="[]")
    await nightly(house, check, 40, late=dict.fromkeys(range(33, 40), HOUR))
    await house.world.ping(check, MIDNIGHT + 40 * DAY + 4.5 * HOUR, body=b"rows=12")
    clock.move_to(MIDNIGHT + 41 * DAY)

    told = (await house.read("GET", f"/v1/checks/{check.uuid}/suggestions")).json

    (one,) = [one for one in told["moved"] if one["what"] == "time_of_day"]
    assert ("It moved from 03:00 to 04:00", 10_800, 14_400) == (one["text"], one["before"], one["after"])
    (odd,) = told["unusual"]
    assert ("rows", False) == (odd["figure"], odd["asked"])
    assert "rows within 50% of median(same weekday, 8 weeks) warn" == odd["gate"]
    assert 200 == (await house.full("PATCH", f"/v1/checks/{check.uuid}", {"gates": [odd["gate"]]})).status
    again = (await house.read("GET", f"/v1/checks/{check.uuid}/suggestions")).json
    assert [True] == [one["asked"] for one in again["unusual"]]


async def test_a_suggestion_that_does_not_go_with_a_bound_is_not_made(house: House, clock: SimClock) -> None:
    check = await house.world.check(MIDNIGHT, every=DAY, grace=6 * HOUR)
    bounds = {"bounds": ["start within 2h"]}
    assert 200 == (await house.full("PATCH", f"/v1/checks/{check.uuid}", bounds)).status
    await nightly(house, check, 40)
    clock.move_to(MIDNIGHT + 40 * DAY)

    told = (await house.read("GET", f"/v1/checks/{check.uuid}/suggestions")).json

    assert (None, None) == (told["schedule"], told["grace"])
    assert told["why"].startswith("What its past suggests does not go with its other rules: bounds")


async def test_maintenance_is_no_alarm_by_either_rule_and_other_windows_can_be_tried(
    house: House, clock: SimClock
) -> None:
    """Hourly with ten minutes of grace; silent from the third to the sixth hour, and from the tenth to the twelfth."""
    check = await house.world.check(START)
    for hour in (0, 1, 2, 6, 7, 8, 9, 12, 13):
        await house.world.ping(check, START + hour * HOUR)
    path = f"/v1/checks/{check.uuid}/backtest"
    clock.move_to(START + 2.5 * HOUR)
    silence = {"kind": "maintenance", "scope": "check", "targets": [check.uuid], "effect": "ignore", "lasts": 3 * 3600}
    assert 201 == (await house.full("POST", "/v1/silences", silence)).status
    clock.move_to(START + 13.1 * HOUR)

    same = (await house.full("POST", path)).json
    window = {"from": (START + 9.5 * HOUR).isoformat(), "to": (START + 11.9 * HOUR).isoformat()}
    tried = (await house.full("POST", path, {"windows": [window]})).json
    cron = (await house.full("POST", path, {"windows": [{"cron": "30 19 * * *", "lasts": 9_000}]})).json

    assert (1, 1, 0) == (same["n_old"], same["n_new"], len(same["lost"]))
    assert (1, 0, 1) == (tried["n_old"], tried["n_new"], len(tried["lost"]))
    assert (1, 0) == (cron["n_old"], cron["n_new"])


@pytest.mark.parametrize(
    ("window", "field"),
    [
        ({}, "windows[0].from"),
        ({"from": "2026-03-02T10:00:00Z"}, "windows[0].to"),
        ({"from": "2026-03-02T10:00:00Z", "to": "2026-03-02T10:00:00Z"}, "windows[0].to"),
        ({"cron": "0 2 * * *", "lasts": 60, "to": "2026-03-02T10:00:00Z"}, "windows[0].from"),
        ({"cron": "0 2 * * *"}, "windows[0].lasts"),
        ({"cron": "0 25 * * *", "lasts": 60}, "windows[0].cron"),
        ({"cron": "0 2 * * *", "zone": "Mars", "lasts": 60}, "windows[0].zone"),
        ({"cron": "* * * * *", "lasts": 60}, "windows[0].cron"),
    ],
)
async def test_a_window_that_cannot_be_names_its_field(house: House, window: dict[str, Any], field: str) -> None:
    check = await house.world.check(START)
    told = await house.full("POST", f"/v1/checks/{check.uuid}/backtest", {"windows": [window]})

    assert (422, [field]) == (told.status, [one["field"] for one in told.json["errors"]])
