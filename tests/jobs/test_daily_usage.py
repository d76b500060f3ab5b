"""The daily aggregation: one for each project that uses something, watched by a check of its own."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.audit.record import Actor
from heartfly.checks.config import gates_of
from heartfly.checks.explained import explained
from heartfly.core.gate_text import gate_of_text
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import checks, projects, proofs, rollups, usage_days
from heartfly.errors import StoreError
from heartfly.jobs.catalogue import daily_usage
from heartfly.jobs.commands import ask_for_run
from heartfly.usage.close_day import Closer
from tests.jobs.workshop import T0, Workshop, kind_of
from tests.sim_clock import SimClock
from tests.usage.factory import Plant, events_of
from tests.usage.oracle import Sent
from tests.world import World

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
MORNING = datetime(2026, 3, 3, 0, 10, tzinfo=UTC)  # 1:10 in Berlin


@pytest.fixture
async def plant(usage_db: Database, clock: SimClock, ids: IdSource, world: World) -> Plant:
    async with world.db.read() as read:
        pid = (await read.execute(sa.select(projects.c.id))).scalar_one()
    berlin = sa.update(projects).values(zone="Europe/Berlin")
    await world.db.write(lambda tx: tx.conn.execute(berlin))
    return Plant(usage_db, clock, ids, pid=pid)


@pytest.fixture
def shop(world: World, clock: SimClock, plant: Plant) -> Workshop:
    closer = Closer(plant.usage, plant.folder, clock, plant.ids)
    return Workshop(world, clock, daily_usage(plant.usage, closer))


def countable(n: int, *, seed: int = 31) -> list[Sent]:
    """Events that no meter fails to count."""
    return [replace(one, size="2.5") for one in events_of(n, seed=seed, from_at=T0 - 2 * HOUR, to_at=T0)]


async def fill(plant: Plant, n: int = 30) -> None:
    await plant.all_meters()
    await plant.send(*countable(n))


async def days(plant: Plant) -> list[Any]:
    async with plant.usage.read() as read:
        return list((await read.execute(sa.select(usage_days).order_by(usage_days.c.day))).all())


async def test_without_usage_there_is_no_such_job(shop: Workshop) -> None:
    await shop.go(MORNING)

    assert [] == await shop.runs()
    assert [] == await shop.checks()


async def test_it_closes_yesterday_and_tells_its_check(shop: Workshop, plant: Plant, world: World) -> None:
    await fill(plant)
    await shop.look()
    assert MORNING == (await shop.job("daily-usage")).next_at
    await shop.go(MORNING)

    (day,) = await days(plant)
    assert ("2026-03-02", "final") == (str(day.day), day.state)
    (run,) = await shop.runs()
    assert ("ok", "") == (run.outcome, run.words)
    expected = {"day": "2026-03-02", "events_raw": 30, "events_rolled": 30, "reconciled": 1, "days_closed": 1}
    assert expected.items() <= run.figures.items()
    check = await shop.check()
    assert ("up", "daily-usage", "Europe/Berlin") == (check.status, check.job, check.zone)
    assert ["start", "success"] == [ping.kind for ping in await world.pings_of(check)]


async def test_days_that_were_missed_are_caught_up_the_oldest_first(shop: Workshop, plant: Plant) -> None:
    await fill(plant)
    await shop.look()
    await shop.go(MORNING + timedelta(days=3))

    assert ["02", "03", "04", "05"] == [f"{one.day:%d}" for one in await days(plant)]
    (run,) = await shop.runs()
    assert (4, 3, 0) == tuple(run.figures[name] for name in ("days_closed", "days_caught_up", "events_raw"))


async def test_a_day_that_does_not_agree_brings_the_check_down(
    shop: Workshop, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(plant)
    await shop.look()

    fold_day = plant.folder.fold_day

    async def wrong(*given: Any) -> Any:
        folded = await fold_day(*given)
        await plant.usage.write(lambda tx: tx.conn.execute(sa.update(rollups).values(n=rollups.c.n + 1)))
        return folded

    monkeypatch.setattr(plant.folder, "fold_day", wrong)
    await shop.go(MORNING)

    (run,) = await shop.runs()
    assert ("failed", 0) == (run.outcome, run.figures["reconciled"])
    assert "2026-03-02 does not add up: meter count, customer c-0, the day: expected " in run.words
    assert "(by its events), seen " in run.words
    async with shop.db.read() as read:
        check = await shop.check()
        told = await explained(read, check.pid, check.uuid, now=shop.clock.now())
    assert f"It said: {run.words}" in told.verdict.sentences
    assert "down" == (await shop.check()).status
    assert ["provisional"] == [one.state for one in await days(plant)]

    monkeypatch.setattr(plant.folder, "fold_day", fold_day)
    await shop.go(MORNING + timedelta(days=1))
    assert "up" == (await shop.check()).status
    assert ["final", "final"] == [one.state for one in await days(plant)]


async def test_an_empty_day_is_closed_too(shop: Workshop, plant: Plant) -> None:
    await fill(plant)
    await shop.look()
    await shop.go(MORNING)
    await shop.go(MORNING + timedelta(days=1))

    assert [30, 0] == [one.figures["events_raw"] for one in await days(plant)]


async def reject(plant: Plant, n: int) -> None:
    await plant.ingest.take(plant.pid, [{"transaction_id": f"bad-{one}"} for one in range(n)], wire="native")


async def test_where_one_event_of_a_hundred_was_rejected_its_check_is_degraded(shop: Workshop, plant: Plant) -> None:
    await plant.send(*events_of(99, seed=31, from_at=T0 - 2 * HOUR, to_at=T0))
    await reject(plant, 1)
    await shop.look()
    await shop.go(MORNING)

    (run,) = await shop.runs()
    assert (100, 1, 0.01) == tuple(run.figures[name] for name in ("events_received", "rejected", "rejected_share"))
    assert ("ok", "degraded") == (run.outcome, (await shop.check()).status)

    await shop.go(MORNING + timedelta(days=1))
    figures = (await shop.runs())[-1].figures
    assert (0, 0) == (figures["events_received"], figures["rejected_share"])
    assert "up" == (await shop.check()).status


async def test_fewer_than_one_of_a_hundred_may_be_rejected(shop: Workshop, plant: Plant) -> None:
    await plant.send(*events_of(100, seed=31, from_at=T0 - 2 * HOUR, to_at=T0))
    await reject(plant, 1)
    await shop.look()
    await shop.go(MORNING)

    assert 0.0099 == (await shop.runs())[-1].figures["rejected_share"]
    assert "up" == (await shop.check()).status


async def test_a_project_of_which_everything_was_rejected_is_told_so(shop: Workshop, plant: Plant) -> None:
    await reject(plant, 3)
    await shop.look()
    await shop.go(MORNING)

    (run,) = await shop.runs()
    assert (3, 1) == (run.figures["rejected"], run.figures["rejected_share"])
    assert "degraded" == (await shop.check()).status


async def test_each_project_has_one_of_its_own(world: World, clock: SimClock, plant: Plant, shop: Workshop) -> None:
    house = Workshop(world, clock, kind_of(), *shop.jobs._kinds.values())
    await fill(plant)
    await house.look()

    assert {"sweep", "daily-usage"} == {(await house.job(name)).kind for name in ("sweep", "daily-usage")}


# --- what is left, what cannot be counted, what was proved long ago


async def newest(shop: Workshop, *names: str) -> tuple[Any, ...]:
    """Figures of the newest run."""
    figures = (await shop.runs())[-1].figures
    return tuple(figures[name] for name in names)


async def test_days_that_an_event_has_reached_are_closed_anew_and_none_is_left(shop: Workshop, plant: Plant) -> None:
    await fill(plant)
    await shop.look()
    await shop.go(MORNING)
    late = events_of(40, seed=33, from_at=T0 - 30 * HOUR, to_at=T0)
    await plant.send(*[replace(one, number=one.number + 100) for one in late])  # nobody has folded them yet
    await shop.go(MORNING + timedelta(days=1))

    (_, run) = await shop.runs()
    assert (0, 1) == (run.figures["days_left"], run.figures["reconciled"])
    assert {"final", "amended"} >= {one.state for one in await days(plant)}
    assert 70 == sum(one.figures["events_raw"] for one in await days(plant))


async def test_days_that_are_not_proved_as_they_are_are_counted(
    shop: Workshop, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartfly.jobs.daily_usage._MOST", 2)
    await fill(plant)
    await shop.look()
    await shop.go(MORNING + timedelta(days=3))
    assert (2, 2) == await newest(shop, "days_closed", "days_left")

    await shop.go(MORNING + timedelta(days=4))
    assert (2, 1) == await newest(shop, "days_closed", "days_left")
    long_ago = T0 - timedelta(days=20)
    late = (*events_of(5, seed=33, from_at=long_ago, to_at=long_ago + HOUR), *countable(1))
    await plant.send(*[replace(one, number=500 + n) for n, one in enumerate(late)])
    assert {"final"} == {one.state for one in await days(plant)}
    await shop.go(MORNING + timedelta(days=5))
    assert 2 == (await shop.runs())[-1].figures["days_left"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (StoreError("the process that folds usage died"), "the process that folds usage died"),
        (ValueError("no number"), "a fault of Heartfly's own: ValueError('no number')"),
    ],
)
async def test_a_day_that_cannot_be_closed_holds_up_none_after_it(
    shop: Workshop, plant: Plant, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    await fill(plant)
    await shop.look()
    fold_day = plant.folder.fold_day

    async def dies_at_first(pid: int, from_at: datetime, to_at: datetime) -> Any:
        if from_at < MORNING - timedelta(days=1):
            raise error
        return await fold_day(pid, from_at, to_at)

    monkeypatch.setattr(plant.folder, "fold_day", dies_at_first)
    await shop.go(MORNING + timedelta(days=2))

    (run,) = await shop.runs()
    assert ("failed", 1) == (run.outcome, run.figures["days_left"])
    assert f"2026-03-02 could not be closed: {words}" in run.words
    assert ["open", "final", "final"] == [one.state for one in await days(plant)][-3:]


async def test_events_that_a_meter_cannot_count_degrade_its_check(shop: Workshop, plant: Plant) -> None:
    await plant.meter("bytes", {"event_types": ["job"], "aggregation": "sum", "value": "size"})
    good = Sent(1, T0 - HOUR, "c", "job", None, "5", "u")
    await plant.send(good, Sent(2, T0 - HOUR, "c", "job", None, "", "u"))
    await plant.ingest.take(
        plant.pid, [good.wire() | {"transaction_id": "x", "properties": {"size": "abc"}}], wire="native"
    )
    await shop.look()
    await shop.go(MORNING)

    (run,) = await shop.runs()
    assert (2, 0.6667, 1) == tuple(run.figures[name] for name in ("uncounted", "uncounted_share", "reconciled"))
    assert "degraded" == (await shop.check()).status
    async with plant.usage.read() as read:
        (proof,) = (await read.execute(sa.select(proofs))).all()
    assert (plant.meter_ids["bytes"], 1, 1) == (proof.meter_id, proof.n_missing, proof.n_no_amount)

    await shop.go(MORNING + timedelta(days=1))
    assert (0, 0) == await newest(shop, "uncounted", "uncounted_share")
    assert "up" == (await shop.check()).status


async def test_a_day_waits_for_a_stalled_source_and_is_told_to_lack_it_the_night_after(
    shop: Workshop, plant: Plant, clock: SimClock
) -> None:
    """Midnight in Berlin is 23:00 UTC."""
    await plant.all_meters()
    stalled, on = Sent(1, T0, "c", "api", None, "5", "u"), Sent(2, MORNING, "c", "api", None, "5", "u")
    clock.move_to(T0)
    await plant.ingest.take(plant.pid, [stalled.wire()], wire="native", source="app-1")
    await shop.look()
    clock.move_to(MORNING)
    await plant.ingest.take(plant.pid, [on.wire()], wire="native", source="app-2")
    await shop.go(MORNING)

    (run,) = await shop.runs()
    expected = {"days_held": 1, "days_closed": 0, "days_without_a_source": 0, "waits_for": "app-1", "reconciled": 1}
    assert expected.items() <= run.figures.items()
    late = int((MORNING - T0).total_seconds())
    assert (T0.isoformat(), late) == (run.figures["watermark"], run.figures["lag_s"])
    assert "without" not in run.figures
    assert "up" == (await shop.check()).status

    await shop.go(MORNING + timedelta(days=1))
    without = ("days_held", "days_without_a_source", "without")
    assert (1, 1, "app-1") == await newest(shop, *without)  # the day after waits for both
    assert "degraded" == (await shop.check()).status
    assert [("final", ["app-1"]), ("provisional", [])] == [
        (one.state, one.sources["without"]) for one in await days(plant)
    ]


async def test_it_says_from_when_to_when_it_has_closed_days(shop: Workshop, plant: Plant, world: World) -> None:
    async def covers() -> tuple[Any, ...]:
        figures = (await shop.runs())[-1].figures
        return figures.get("from"), figures.get("to")

    await fill(plant)
    await shop.look()
    unbroken = sa.update(checks).where(checks.c.job == "daily-usage")
    await shop.go(MORNING)
    assert ("2026-03-02T00:00:00+01:00", "2026-03-03T00:00:00+01:00") == await covers()
    gates = json.dumps([{"metric": "coverage", "op": "unbroken", "value": "0", "level": "fail"}])
    await world.db.write(lambda tx: tx.conn.execute(unbroken.values(gates=gates)))

    await shop.go(MORNING + timedelta(days=1))
    assert ("2026-03-03T00:00:00+01:00", "2026-03-04T00:00:00+01:00") == await covers()
    await shop.go(MORNING + timedelta(days=4))  # two nights were missed, and an old day is closed anew
    assert ("2026-03-04T00:00:00+01:00", "2026-03-07T00:00:00+01:00") == await covers()
    assert "up" == (await shop.check()).status

    job = await shop.job("daily-usage")
    at = shop.clock.now() + HOUR
    actor = Actor("test")
    await world.db.write(lambda tx: ask_for_run(tx, job.pid, job.uuid, at=at, ids=plant.ids, actor=actor))
    await shop.go(at)
    assert ("2026-03-05T00:00:00+01:00", "2026-03-06T00:00:00+01:00") == await covers()
    assert "up" == (await shop.check()).status


async def test_gates_of_the_docs_ask_for_figures_that_it_tells(shop: Workshop, plant: Plant) -> None:
    await fill(plant)
    await shop.look()
    await shop.go(MORNING)
    check = await shop.check()
    text = (Path(__file__).parents[2] / "docs" / "gates.md").read_text(encoding="utf-8")
    (command,) = re.findall(rf"heartfly checks edit {check.slug} \\\n(?:  --gate .*\n)+", text)
    gates = [gate_of_text(written, field="gate") for written in re.findall(r'--gate "(.+)"', command)]

    told = (await shop.runs())[-1].figures.keys()
    assert {"coverage", "duration"} == {gate.metric for gate in gates} - told
    assert {gate.text for gate in gates_of(check.gates)} <= {gate.text for gate in gates}


async def test_a_day_that_was_corrupted_after_it_was_proved_is_found_by_a_later_night(
    shop: Workshop, plant: Plant
) -> None:
    await fill(plant)
    await shop.look()
    await shop.go(MORNING)
    await plant.usage.write(lambda tx: tx.conn.execute(sa.update(rollups).where(rollups.c.tier == "day").values(n=77)))
    await shop.go(MORNING + timedelta(days=1))

    (_, run) = await shop.runs()
    assert ("failed", 1, 1) == (run.outcome, run.figures["verified"], run.figures["verify_failed"])
    assert "2026-03-02 is not what it was proved to be any more: meter count, customer c-" in run.words
    assert "the day: expected" in run.words
    assert ["provisional", "final"] == [one.state for one in await days(plant)]
    assert 1 == run.figures["days_left"]
    assert "down" == (await shop.check()).status

    await shop.go(MORNING + timedelta(days=2))
    assert ["final"] * 3 == [one.state for one in await days(plant)]
    assert "up" == (await shop.check()).status


async def test_each_night_verifies_those_days_that_were_not_looked_at_for_longest(
    shop: Workshop, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartfly.jobs.daily_usage._MOST_VERIFIED", 1)
    await fill(plant)
    await shop.look()
    for n in range(4):
        await shop.go(MORNING + timedelta(days=n))

    assert [0, 1, 1, 1] == [run.figures["verified"] for run in await shop.runs()]
    assert {"02": 2, "03": 3, "04": 2, "05": 3} == {
        f"{one.day:%d}": (one.verified_at - MORNING).days for one in await days(plant)
    }
