"""Each day of each check is summed up once it is over, from history, and anew when history changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.checks import commands, history
from heartfly.core.words import PingKind
from heartfly.db.ids import IdSource
from heartfly.db.models import blind_intervals, check_days, projects, runs
from heartfly.jobs.daily_sums import sum_days
from heartfly.monitor.judge import Judge
from tests.jobs.workshop import DAY, HOUR, MINUTE, Workshop, kind_of
from tests.sim_clock import SimClock
from tests.world import TEST, World, make_world

pytestmark = pytest.mark.anyio

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
WHOLE = 86_400


class Sums:
    """The job, run when the test says so."""

    def __init__(self, world: World, clock: SimClock) -> None:
        self.shop = Workshop(world, clock, kind_of(sum_days, expression="* * * * *"))
        self.world = world
        self.clock = clock

    async def at(self, instant: datetime) -> dict[str, int]:
        """Run it then; its figures."""
        await self.shop.go(instant)
        newest = (await self.shop.runs())[-1]
        assert "ok" == newest.outcome, newest.words
        figures: dict[str, int] = newest.figures
        return figures

    async def of(self, check: Any) -> dict[str, Any]:
        query = sa.select(check_days).where(check_days.c.check_id == check.id).order_by(check_days.c.day)
        return {row.day: row for row in await self.world._all(query)}

    async def judge(self, at: datetime) -> None:
        judge = Judge(ids=self.world.ids)
        await self.world.db.write(lambda tx: judge.judge(tx, through=at, now=at))


@pytest.fixture
async def summing(world: World, clock: SimClock) -> Sums:
    summing = Sums(world, clock)
    await summing.shop.look()
    return summing


async def test_a_day_is_summed_up_when_it_is_over(world: World, summing: Sums) -> None:
    check = await world.check(MIDNIGHT, grace=HOUR, every=HOUR)
    await world.ping(check, MIDNIGHT + 6 * HOUR)
    await world.ping(check, MIDNIGHT + 12 * HOUR, PingKind.FAIL)
    await world.ping(check, MIDNIGHT + 13 * HOUR)
    gap = {"id": 1, "node_id": 1, "from_at": MIDNIGHT + 14 * HOUR, "to_at": MIDNIGHT + 14 * HOUR + MINUTE, "cause": "x"}
    await world.db.write(lambda tx: tx.conn.execute(sa.insert(blind_intervals).values(gap)).rowcount)
    await summing.judge(MIDNIGHT + 15 * HOUR)  # missed at its end

    await summing.at(MIDNIGHT + DAY - MINUTE)
    assert {} == await summing.of(check)
    await summing.at(MIDNIGHT + DAY + MINUTE)

    ((day, row),) = (await summing.of(check)).items()
    assert ("2026-03-02", MIDNIGHT, MIDNIGHT + DAY) == (day, row.from_at, row.to_at)
    assert (2, 1, 1) == (row.n_ok, row.n_failed, row.n_missed + row.n_unverified)
    assert 3600 <= row.down_s
    assert 60 == row.blind_s
    # From its first success on it is watched.
    assert WHOLE - 6 * 3600 == row.up_s + row.down_s + row.blind_s


async def test_days_are_those_of_the_project(world: World, summing: Sums) -> None:
    check = await world.check(MIDNIGHT, grace=300 * DAY)
    await world.ping(check, MIDNIGHT)
    await world.db.write(lambda tx: tx.conn.execute(sa.update(projects).values(zone="Europe/Berlin")).rowcount)

    await summing.at(datetime(2026, 3, 30, tzinfo=UTC))

    found = await summing.of(check)
    assert [f"2026-03-{day:02}" for day in range(2, 30)] == list(found)
    # It was made at one in the morning.
    assert (23 * 3600, WHOLE, 23 * 3600) == tuple(found[f"2026-03-{day}"].up_s for day in ("02", "03", "29"))


async def test_what_was_missed_is_made_up_for_the_oldest_first(world: World, summing: Sums) -> None:
    check = await world.check(MIDNIGHT, grace=300 * DAY)
    await world.ping(check, MIDNIGHT)
    await summing.at(MIDNIGHT + DAY + HOUR)

    figures = await summing.at(MIDNIGHT + 40 * DAY)

    days = [(date(2026, 3, 2) + timedelta(days=n)).isoformat() for n in range(40)]
    assert days == list(await summing.of(check))
    assert 2 == figures["checks"]  # and that of the job itself


async def test_a_second_run_changes_nothing(world: World, summing: Sums) -> None:
    check = await world.check(MIDNIGHT)
    await world.ping(check, MIDNIGHT)
    await summing.at(MIDNIGHT + DAY + HOUR)
    before = await summing.of(check)

    figures = await summing.at(MIDNIGHT + DAY + 2 * HOUR)

    # The check of the job itself was made today.
    assert {"projects": 0, "checks": 0, "days": 0} == figures
    assert before == await summing.of(check)


async def test_a_signal_that_came_late_is_in_its_day_by_the_next(world: World, summing: Sums) -> None:
    check = await world.check(MIDNIGHT, every=DAY, grace=300 * DAY)
    await world.ping(check, MIDNIGHT)
    await summing.at(MIDNIGHT + DAY + HOUR)
    await world.ping(check, MIDNIGHT + 20 * HOUR, PingKind.FAIL)
    assert 0 == (await summing.of(check))["2026-03-02"].n_failed

    await summing.at(MIDNIGHT + 2 * DAY + HOUR)

    day = (await summing.of(check))["2026-03-02"]
    assert (1, 20 * 3600, 4 * 3600) == (day.n_failed, day.up_s, day.down_s)


async def test_runs_that_were_pruned_are_not_forgotten(world: World, summing: Sums) -> None:
    check = await world.check(MIDNIGHT, grace=300 * DAY)
    for hour in range(5):
        await world.ping(check, MIDNIGHT + hour * HOUR)
    await summing.at(MIDNIGHT + DAY + HOUR)
    await world.db.write(lambda tx: tx.conn.execute(sa.delete(runs).where(runs.c.at < MIDNIGHT + 3 * HOUR)).rowcount)

    await summing.at(MIDNIGHT + 2 * DAY + HOUR)

    assert 5 == (await summing.of(check))["2026-03-02"].n_ok


async def test_an_alarm_that_was_disproved_is_taken_back_from_the_days_that_it_was_in(
    world: World, summing: Sums
) -> None:
    check = await world.check(MIDNIGHT, every=HOUR, grace=HOUR)
    await world.ping(check, MIDNIGHT)
    await summing.judge(MIDNIGHT + 3 * HOUR)
    assert "down" == (await world.row(check)).status
    await summing.at(MIDNIGHT + 20 * DAY)
    assert [22 * 3600, WHOLE] == [(await summing.of(check))[f"2026-03-0{day}"].down_s for day in (2, 3)]
    # Received in time, committed late: a spool that came back.
    await world.ping(check, MIDNIGHT + HOUR)
    assert "up" == (await world.row(check)).status

    await summing.at(MIDNIGHT + 21 * DAY)

    assert [0, 0] == [(await summing.of(check))[f"2026-03-0{day}"].down_s for day in (2, 3)]


async def test_a_check_that_is_deleted_takes_its_days_along(world: World, summing: Sums) -> None:
    check = await world.check(MIDNIGHT)
    await world.ping(check, MIDNIGHT)
    await summing.at(MIDNIGHT + DAY + HOUR)
    assert 1 == len(await summing.of(check))

    at = summing.clock.now()
    gone = await world.db.write(lambda tx: commands.delete(tx, check.pid, check.uuid, at=at, ids=world.ids, actor=TEST))
    await history.remove(world.db, check.pid, gone)

    assert {} == await summing.of(check)


async def test_many_checks_are_summed_up_in_pieces(world: World, summing: Sums) -> None:
    made = [await world.check(MIDNIGHT) for _ in range(45)]
    await summing.at(MIDNIGHT + 10 * DAY)

    assert {10} == {len(await summing.of(check)) for check in made}


async def test_a_day_that_the_zone_skipped_is_not_listed(world: World, summing: Sums) -> None:
    check = await world.check(datetime(2011, 12, 28, 20, tzinfo=UTC))
    await world.db.write(lambda tx: tx.conn.execute(sa.update(projects).values(zone="Pacific/Apia")).rowcount)

    await summing.at(MIDNIGHT + DAY)

    assert ["2011-12-28", "2011-12-29", "2011-12-31", "2012-01-01"] == list(await summing.of(check))[:4]


async def test_a_project_whose_zone_is_none_any_more_does_not_keep_others_waiting(
    world: World, summing: Sums, ids: IdSource
) -> None:
    await world.db.write(lambda tx: tx.conn.execute(sa.update(projects).values(zone="Europe/Atlantis")).rowcount)
    other = await make_world(world.db, ids, MIDNIGHT, slug="other")
    check = await other.check(MIDNIGHT)
    await summing.shop.look()

    await summing.shop.go(MIDNIGHT + DAY + HOUR)

    (run,) = await summing.shop.runs()
    assert ("failed", True) == (run.outcome, "project main: " in run.words)
    assert ["2026-03-02"] == list(await summing.of(check))
