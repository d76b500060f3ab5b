"""Service levels by the API: exact shares, what is left of a target, months, paging; and what a target may be."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.words import PingKind
from heartfly.db.models import blind_intervals, check_days
from tests.api.conftest import START
from tests.api.door import House
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MIDNIGHT = START.replace(hour=0, minute=0, second=0, microsecond=0)


async def day(house: House, check: Any, n: int, **counts: int) -> None:
    """A day that is summed up, so many before the first."""
    begin = MIDNIGHT - n * DAY
    zero = dict.fromkeys(("up_s", "down_s", "blind_s", "n_ok", "n_failed", "n_missed", "n_unverified"), 0)
    row = {
        "pid": check.pid, "check_id": check.id, "day": begin.date().isoformat(),
        "from_at": begin, "to_at": begin + DAY, "flip_no": 0,
    } | zero | counts  # fmt: skip
    await house.world.db.write(lambda tx: tx.conn.execute(sa.insert(check_days).values(row)).rowcount)


async def test_days_that_are_summed_up_and_today_are_one_level(house: House, clock: SimClock) -> None:
    check = await house.world.check(MIDNIGHT - 40 * DAY, name="Backup")
    await day(house, check, 35, n_missed=500)
    await day(house, check, 2, n_ok=90, n_failed=2, n_missed=1, up_s=80_000, down_s=6_400, blind_s=60, n_unverified=1)
    await day(house, check, 1, n_ok=4)
    blind = {"id": 7, "node_id": 1, "from_at": START, "to_at": START + timedelta(seconds=30), "cause": "a test"}
    await house.world.db.write(lambda tx: tx.conn.execute(sa.insert(blind_intervals).values(blind)).rowcount)
    await house.world.ping(check, START)
    await house.world.ping(check, START + HOUR, PingKind.FAIL)
    clock.move_to(START + 1.5 * HOUR)
    path = f"/v1/checks/{check.uuid}"
    asked = {"slo": {"on_time": "99.50", "success": 96}}
    assert {"on_time": "99.5", "success": "96", "days": 30} == (await house.full("PATCH", path, asked)).json["slo"]

    told = (await house.read("GET", f"{path}/service-level")).json

    assert ("2026-02-01", "2026-03-02") == (told["from_day"], told["to_day"])
    assert {
        "n": 99, "n_bad": 1, "share": "98.989", "target": "99.5", "allowed": "0.495", "left": "-0.505", "met": False,
    } == told["on_time"]  # fmt: skip
    assert {
        "n": 98, "n_bad": 3, "share": "96.938", "target": "96", "allowed": "3.92", "left": "0.92", "met": True,
    } == told["success"]  # fmt: skip
    assert (False, 1, 90, 6_400) == (told["met"], told["n_unverified"], told["blind"], told["down"])


async def test_a_month_is_that_of_its_days_alone_and_no_month_is_refused(house: House, clock: SimClock) -> None:
    check = await house.world.check(MIDNIGHT - 90 * DAY)
    await day(house, check, 2, n_ok=9, n_missed=1)  # the last of February
    await day(house, check, 1, n_ok=5)
    await house.world.ping(check, START)
    clock.move_to(START + HOUR)
    path = f"/v1/checks/{check.uuid}/service-level"

    february, march = [(await house.read("GET", f"{path}?month=2026-{n}")).json for n in ("02", "03")]
    wrong = await house.read("GET", f"{path}?month=2026-13")

    assert (10, "90", None) == (february["on_time"]["n"], february["on_time"]["share"], february["met"])
    assert ("2026-02-01", "2026-02-28") == (february["from_day"], february["to_day"])
    assert (6, "100") == (march["on_time"]["n"], march["on_time"]["share"])
    assert (422, ["month"]) == (wrong.status, [one["field"] for one in wrong.json["errors"]])


async def test_checks_are_listed_page_by_page_or_only_those_with_a_target(house: House) -> None:
    made = [await house.world.check(START, name=f"check-{n}") for n in range(3)]
    assert 200 == (await house.full("PATCH", f"/v1/checks/{made[1].uuid}", {"slo": {"success": "99"}})).status

    first = (await house.read("GET", "/v1/service-levels?limit=2")).json
    second = (await house.read("GET", f"/v1/service-levels?limit=2&cursor={first['next']}")).json
    aimed = (await house.read("GET", "/v1/service-levels?aimed=true")).json

    assert [one.uuid for one in made] == [one["check"] for one in first["items"] + second["items"]]
    assert second["next"] is None
    assert [(made[1].uuid, None, "99")] == [
        (one["check"], one["success"]["share"], one["success"]["target"]) for one in aimed["items"]
    ]


@pytest.mark.parametrize(
    ("slo", "field"),
    [
        ({}, "slo.on_time"),
        ({"on_time": None, "success": None}, "slo.on_time"),
        ({"on_time": "0"}, "slo.on_time"),
        ({"on_time": "100.001"}, "slo.on_time"),
        ({"success": "99.9999"}, "slo.success"),
        ({"success": "-1"}, "slo.success"),
        ({"success": "1e1"}, "slo.success"),
        ({"success": "99", "days": 31}, "slo.days"),
        ({"success": "99", "weeks": 4}, "slo.weeks"),
        ({"success": 99.5}, "slo.success"),
    ],
)
async def test_a_target_that_cannot_be_names_its_field(house: House, slo: dict[str, Any], field: str) -> None:
    check = await house.world.check(START)
    told = await house.full("PATCH", f"/v1/checks/{check.uuid}", {"slo": slo})

    assert (422, [field]) == (told.status, [one["field"] for one in told.json["errors"]])


async def test_null_takes_a_target_away_and_a_target_moves_no_deadline(house: House) -> None:
    check = await house.world.check(START)
    await house.world.ping(check, START)
    path = f"/v1/checks/{check.uuid}"
    before = (await house.read("GET", path)).json["goes_down_at"]
    assert 200 == (await house.full("PATCH", path, {"slo": {"on_time": 100}})).status
    with_target = (await house.read("GET", path)).json
    gone = (await house.full("PATCH", path, {"slo": None})).json

    assert ({"on_time": "100", "success": None, "days": 30}, before) == (
        with_target["slo"],
        with_target["goes_down_at"],
    )
    assert gone["slo"] is None
