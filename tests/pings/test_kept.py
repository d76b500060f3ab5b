"""Pings that could not be sent when they happened, and come later with their time (`?ago=`)."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from heartfly.api.ping import PingDoor
from heartfly.core.bounds import Bounds
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.pings.ingest import Ingest
from tests.api.test_ping_door import Client
from tests.monitor.tower import HOUR, MINUTE, SECOND, T0, Tower
from tests.sim_clock import SimClock
from tests.world import World, make_world

pytestmark = pytest.mark.anyio

RID = "0f4e2f3a-7a3c-4a53-9f5c-2f6a3f1f0001"


class Scene:
    """A check of an hour with a grace of ten minutes, the door, and who watches."""

    def __init__(self, world: World, clock: SimClock) -> None:
        self.world, self.clock = world, clock
        self.tower = Tower(world, clock)
        self.door = Client(
            PingDoor(Ingest(world.db, world.applier, clock), max_body=1000, client_address=lambda _: ("", "http"))
        )

    async def ping(self, check: object, rest: str = "", query: str = "") -> tuple[int, bytes]:
        return (await self.door(f"/ping/{check.ping_uuid}{rest}", query))[:2]  # type: ignore[attr-defined]

    async def flips(self, check: object) -> list[tuple[str, str]]:
        return [(flip.to_status, flip.reason) for flip in await self.world.flips(check)]


@pytest.fixture
async def scene(db: Database, ids: IdSource) -> Scene:
    made = Scene(await make_world(db, ids, T0), SimClock(T0))
    await made.tower.watcher.join()
    return made


async def test_an_alarm_that_a_kept_success_disproves_is_taken_back_with_both_facts(scene: Scene) -> None:
    check = await scene.world.check(T0)
    await scene.ping(check)
    await scene.tower.go(T0 + HOUR + 30 * MINUTE)
    assert "down" == (await scene.world.row(check)).status

    assert (200, b"OK") == await scene.ping(check, query=f"ago={28 * 60}")

    row = await scene.world.row(check)
    assert [("up", "success"), ("down", "missed"), ("up", "retracted")] == await scene.flips(check)
    assert (T0 + HOUR + 2 * MINUTE, T0 + 2 * HOUR + 2 * MINUTE) == (row.last_end_at, row.expected_at)
    *_, kept = await scene.world.pings_of(check)
    assert (scene.clock.now(), T0 + HOUR + 2 * MINUTE, 0) == (kept.received_at, kept.client_at, kept.node_id)


async def test_one_that_came_too_late_to_help_turns_the_check_up_from_now_on(scene: Scene) -> None:
    check = await scene.world.check(T0)
    await scene.ping(check)
    await scene.tower.go(T0 + HOUR + 30 * MINUTE)

    await scene.ping(check, query="ago=60")  # after the alarm, at 1:10

    assert [("up", "success"), ("down", "missed"), ("up", "success")] == await scene.flips(check)


async def test_a_kept_failure_that_nobody_heard_of_is_told_and_changes_no_status(scene: Scene) -> None:
    check = await scene.world.check(T0)
    await scene.ping(check)
    await scene.tower.go(T0 + 20 * MINUTE)
    await scene.ping(check)

    await scene.ping(check, "/3", f"ago={10 * 60}")

    assert [("up", "success"), ("down", "exit_status"), ("up", "success")] == await scene.flips(check)
    assert "up" == (await scene.world.row(check)).status


async def test_a_run_whose_start_and_end_were_kept_has_its_duration(scene: Scene) -> None:
    check = await scene.world.check(T0)
    await scene.tower.go(T0 + 20 * MINUTE)

    await scene.ping(check, "/start", f"rid={RID}&ago=600.5")
    await scene.ping(check, "/0", f"rid={RID}&ago=300")

    (run,) = await scene.world.runs(check)
    assert (300_500_000, "ok", T0 + 10 * MINUTE - SECOND / 2) == (run.duration_us, run.outcome, run.started_at)


async def test_the_end_of_a_kept_start_may_come_by_itself_and_the_other_way_round(scene: Scene) -> None:
    one, other = await scene.world.check(T0), await scene.world.check(T0)
    await scene.ping(other, "/start")
    await scene.tower.go(T0 + 5 * MINUTE)

    await scene.ping(one, "/start", "ago=120")
    await scene.ping(one)
    await scene.ping(other, query="ago=60")

    assert [120, 240] == [(await scene.world.runs(check))[0].duration_us // 1_000_000 for check in (one, other)]


async def test_a_kept_ping_that_a_restarted_process_hears_is_newer_than_one_from_before_the_restart(
    scene: Scene,
) -> None:
    """Each process counts what it hears from 1."""
    check = await scene.world.check(T0)
    await scene.ping(check)
    await scene.tower.go(T0 + 20 * MINUTE)
    await scene.ping(check, query="ago=60")
    restarted = Scene(scene.world, scene.clock)
    await scene.tower.go(T0 + 50 * MINUTE)

    await restarted.ping(check, query="ago=60")

    row = await scene.world.row(check)
    assert (T0 + 49 * MINUTE, T0 + HOUR + 59 * MINUTE) == (row.last_end_at, row.goes_down_at)


async def test_of_two_kept_pings_that_come_the_wrong_way_round_the_newer_counts(scene: Scene) -> None:
    check = await scene.world.check(T0)
    await scene.ping(check)
    await scene.tower.go(T0 + 50 * MINUTE)

    await scene.ping(check, query="ago=60")
    await scene.ping(check, query="ago=1800")

    row = await scene.world.row(check)
    assert (T0 + 49 * MINUTE, T0 + HOUR + 59 * MINUTE) == (row.last_end_at, row.goes_down_at)


async def test_a_kept_end_from_before_a_run_began_does_not_end_it(scene: Scene) -> None:
    check = await scene.world.check(T0)
    await scene.tower.go(T0 + 20 * MINUTE)
    await scene.ping(check, "/start")
    await scene.tower.go(T0 + 21 * MINUTE)

    await scene.ping(check, query="ago=600")

    assert [("ok", T0 + 11 * MINUTE, None), (None, None, T0 + 20 * MINUTE)] == [
        (run.outcome, run.ended_at, run.started_at) for run in await scene.world.runs(check)
    ]


async def test_the_same_ping_again_is_no_second_alarm(scene: Scene) -> None:
    check = await scene.world.check(T0)
    await scene.ping(check)
    await scene.tower.go(T0 + 20 * MINUTE)
    await scene.ping(check, "/fail", f"rid={RID}")

    await scene.ping(check, "/fail", f"rid={RID}&ago=1")

    assert [("up", "success"), ("down", "fail")] == await scene.flips(check)


@pytest.mark.parametrize("ago", ["-1", "x", "345601", "1e3", "", "٣", "0.1234567"])
async def test_what_is_no_time_of_the_last_days_is_refused_in_words(scene: Scene, ago: str) -> None:
    check = await scene.world.check(T0)

    told = await scene.ping(check, query=f"ago={ago}")

    expected = (200, b"OK") if ago == "" else (400, b"ago: must be 0 to 345600 seconds")
    assert expected == told


async def test_a_kept_end_brings_the_start_that_nobody_heard(scene: Scene) -> None:
    check = await scene.world.check(T0, bounds=msgspec.json.encode(Bounds(min_run=timedelta(minutes=1))).decode())

    assert (200, b"OK") == await scene.ping(check, "/0", f"rid={RID}&ago=60&took=90.5")
    assert (200, b"OK") == await scene.ping(check, "/start", f"rid={RID}&ago=150")

    (run,) = await scene.world.runs(check)
    began = T0 - timedelta(seconds=150, milliseconds=500)
    assert (began, 90_500_000, "ok") == (run.started_at, run.duration_us, run.outcome)
    assert (400, b"took: must be 0 to 345600 seconds") == await scene.ping(check, query="took=345601")
    assert (200, b"OK") == await scene.ping(check, "/start", "took=5")  # says nothing with a start


async def test_of_a_kept_log_nothing_is_judged(scene: Scene) -> None:
    check = await scene.world.check(T0)

    assert (200, b"OK") == await scene.ping(check, "/log", "ago=345600")

    (ping,) = await scene.world.pings_of(check)
    assert (PingKind.LOG, T0 - timedelta(days=4)) == (ping.kind, ping.client_at)
    assert [] == await scene.flips(check)
