"""Jobs of our own: when they run, what they leave, and what their check hears, also across crashes and nodes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.accounts.commands import edit_project
from heartfly.audit.record import HEARTFLY
from heartfly.checks import commands
from heartfly.checks.config import CheckIn, ScheduleIn
from heartfly.checks.queries import ping_body
from heartfly.clock import SystemClock
from heartfly.core.schedule import Kind, next_after, parse
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import audit, job_runs, jobs, projects
from heartfly.errors import OverloadedError, StoreError
from heartfly.jobs import claims, slots
from heartfly.jobs.commands import ask_for_run
from heartfly.jobs.daily_sums import sum_days
from heartfly.jobs.kind import CatchUp, Done, LeaseLostError, Work
from heartfly.jobs.run import LOOK_AGAIN, Jobs
from heartfly.jobs.telling import tell, untold_ends
from heartfly.monitor.judge import Judge
from heartfly.pings.ingest import Ingest
from tests.jobs.workshop import DAY, HOUR, MINUTE, T0, Workshop, kind_of
from tests.sim_clock import SimClock
from tests.world import TEST, World, make_world

pytestmark = pytest.mark.anyio

NIGHT = datetime(2026, 3, 3, 3, tzinfo=UTC)


async def heard(world: World, check: Any) -> list[tuple[str, datetime]]:
    return [(ping.kind, ping.received_at) for ping in await world.pings_of(check)]


async def test_before_its_slot_a_job_has_no_check_and_has_not_run(world: World, clock: SimClock) -> None:
    shop = Workshop(world, clock, kind_of())

    assert NIGHT == await shop.look()
    await shop.go(NIGHT - MINUTE)

    assert ([], []) == (await shop.runs(), await shop.checks())


async def test_a_new_installation_is_left_alone_for_an_hour(world: World, clock: SimClock) -> None:
    shop = Workshop(world, clock, kind_of(expression="* * * * *"))

    assert T0 + HOUR + MINUTE == await shop.look()
    await shop.go(T0 + HOUR)
    assert [] == await shop.runs()
    await shop.go(T0 + HOUR + MINUTE)
    assert [T0 + HOUR + MINUTE] == [run.slot_at for run in await shop.runs()]


async def test_a_slot_runs_and_its_check_hears_start_and_success_with_the_figures(
    world: World, clock: SimClock
) -> None:
    async def work(run: Work) -> Done:
        clock.move_to(run.now + MINUTE)
        return Done(figures={"rows": 3})

    shop = Workshop(world, clock, kind_of(work))
    await shop.look()
    await shop.go(NIGHT)

    (run,), check = await shop.runs(), await shop.check()
    assert (NIGHT, "ok", {"rows": 3}, "") == (run.slot_at, run.outcome, run.figures, run.words)
    assert (NIGHT, NIGHT + MINUTE) == (run.started_at, run.ended_at)
    assert [("start", NIGHT), ("success", NIGHT + MINUTE)] == await heard(world, check)
    (ended,) = await world.runs(check)
    assert ("ok", MINUTE) == (ended.outcome, timedelta(microseconds=ended.duration_us))
    assert ("up", "sweep", NIGHT + DAY) == (check.status, check.job, check.expected_at)


async def test_a_failure_is_told_with_its_words_and_the_next_slot_runs_all_the_same(
    world: World, clock: SimClock
) -> None:
    async def work(_: Work) -> Done:
        if clock.now() < NIGHT + DAY:
            raise StoreError("a page is damaged")
        return Done()

    shop = Workshop(world, clock, kind_of(work))
    await shop.look()
    await shop.go(NIGHT)

    (run,), check = await shop.runs(), await shop.check()
    assert ("failed", "a page is damaged", "down") == (run.outcome, run.words, check.status)
    async with world.db.read() as read:
        assert b"a page is damaged" == await ping_body(read, check.pid, check.id, 2)

    await shop.go(NIGHT + DAY)
    assert "up" == (await shop.check()).status


async def test_a_fault_of_the_work_fails_the_run_and_not_the_jobs(world: World, clock: SimClock) -> None:
    async def work(_: Work) -> Done:
        raise ZeroDivisionError("nothing to divide by")

    shop = Workshop(world, clock, kind_of(work), kind_of(name="other"))
    await shop.look()
    await shop.go(NIGHT)

    assert {("failed", True), ("ok", False)} == {
        (run.outcome, "ZeroDivisionError" in run.words) for run in await shop.runs()
    }


async def test_missed_slots_are_caught_up_the_oldest_first(world: World, clock: SimClock) -> None:
    done: list[datetime] = []

    async def work(run: Work) -> Done:
        done.append(run.slot_at)
        return Done()

    shop = Workshop(world, clock, kind_of(work, catch_up=CatchUp.EACH))
    await shop.look()
    await shop.go(NIGHT + 3 * DAY)

    assert [NIGHT + day * DAY for day in range(4)] == done


async def test_one_run_makes_up_for_the_slots_of_a_job_that_needs_no_more(world: World, clock: SimClock) -> None:
    shop = Workshop(world, clock, kind_of())
    await shop.look()
    await shop.go(NIGHT + 3 * DAY + HOUR)

    assert [NIGHT + 3 * DAY] == [run.slot_at for run in await shop.runs()]
    assert NIGHT + 4 * DAY == (await shop.job()).next_at


@pytest.mark.parametrize("expression", ["* * * * *", "7 * * * *", "30 2 * * *", "0 4 * * 0", "0 0 29 2 *"])
@pytest.mark.parametrize("missed", [timedelta(0), MINUTE, 17 * HOUR, 9 * DAY, 2000 * DAY])
async def test_the_newest_missed_slot_is_the_last_that_has_come(expression: str, missed: timedelta) -> None:
    schedule = parse(Kind.CRON, expression=expression, zone="Europe/Berlin")
    first = next_after(schedule, T0)
    assert first is not None

    newest = slots._newest(schedule, first, first + missed)

    following = next_after(schedule, newest)
    assert following is not None
    assert first <= newest <= first + missed < following
    assert next_after(schedule, newest - timedelta(microseconds=1)) == newest


async def test_an_outcome_stands_together_with_what_was_written_with_it_or_not_at_all(
    world: World, clock: SimClock
) -> None:
    async def work(_: Work) -> Done:
        return Done(closing=closing)

    def closing(tx: Any) -> None:
        tx.conn.execute(sa.update(projects).values(name="Closed"))
        if clock.now() < NIGHT + DAY:
            raise StoreError("no room")

    async def name() -> str:
        return str((await world._one(sa.select(projects.c.name))).name)

    shop = Workshop(world, clock, kind_of(work))
    await shop.look()
    await shop.go(NIGHT)
    (run,) = await shop.runs()
    assert (None, "Main") == (run.outcome, await name())

    clock.move_to(NIGHT + DAY)
    await Workshop(world, clock, kind_of(work), node_id=2).look()
    assert ("ok", "Closed") == ((await shop.runs())[0].outcome, await name())


# --- crashes -----------------------------------------------------------------------------------------


async def test_a_run_whose_process_died_is_run_again_as_the_same_run(world: World, clock: SimClock) -> None:
    begun = asyncio.Event()

    async def dies(_: Work) -> Done:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    dead = Workshop(world, clock, kind_of(dies))
    await dead.look()
    clock.move_to(NIGHT)
    await dead.jobs.look()
    await begun.wait()
    for task in dead.jobs._tasks:
        task.cancel()  # as a crash: nothing is written
    await dead.jobs.idle()

    clock.move_to(NIGHT + 5 * MINUTE)
    await Workshop(world, clock, kind_of(), node_id=2).look()

    (run,), check = await dead.runs(), await dead.check()
    assert (2, 2, NIGHT, "ok") == (run.epoch, run.node_id, run.started_at, run.outcome)
    assert [("start", NIGHT), ("success", NIGHT + 5 * MINUTE)] == await heard(world, check)
    assert ["ok"] == [ended.outcome for ended in await world.runs(check)]


async def test_an_outcome_that_no_check_heard_of_is_told_after_the_crash_and_once(
    world: World, clock: SimClock
) -> None:
    shop = Workshop(world, clock, kind_of())
    await shop.look()
    await shop.go(NIGHT)
    await world.db.write(lambda tx: tx.conn.execute(sa.update(job_runs).values(end_pinged_at=None)).rowcount)
    before = len(await world.pings_of(await shop.check()))

    clock.move_to(NIGHT + MINUTE)
    for node in (2, 3):
        await Workshop(world, clock, kind_of(), node_id=node).look()

    pings = await world.pings_of(await shop.check())
    assert [("success", NIGHT + MINUTE)] == [(ping.kind, ping.received_at) for ping in pings[before:]]
    assert NIGHT == pings[-1].client_at


async def test_of_two_that_would_tell_the_same_outcome_one_does(world: World, clock: SimClock) -> None:
    shop = Workshop(world, clock, kind_of())
    await shop.look()
    await shop.go(NIGHT)
    await world.db.write(lambda tx: tx.conn.execute(sa.update(job_runs).values(end_pinged_at=None)).rowcount)
    (untold,) = await world.db.write(untold_ends)
    before = len(await world.pings_of(await shop.check()))

    told = await asyncio.gather(tell(shop.ingest, untold), tell(shop.ingest, untold))

    assert [False, True] == sorted(told)
    assert before + 1 == len(await world.pings_of(await shop.check()))


async def test_what_stopping_interrupts_the_next_start_runs_at_once(world: World, clock: SimClock) -> None:
    begun, stop = asyncio.Event(), asyncio.Event()

    async def works(_: Work) -> Done:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    shop = Workshop(world, clock, kind_of(works))
    await shop.look()
    clock.move_to(NIGHT)
    running = asyncio.ensure_future(shop.jobs.run(stop))
    await asyncio.wait_for(begun.wait(), 60)
    stop.set()
    await asyncio.wait_for(running, 60)

    await Workshop(world, clock, kind_of(), node_id=2).look()
    assert ["ok"] == [run.outcome for run in await shop.runs()]


# --- several nodes -----------------------------------------------------------------------------------


@pytest.fixture
async def nodes(postgres_url: str, tmp_path: Path) -> Any:
    """Two started databases on one PostgreSQL, as two nodes have."""
    both = [Database(url=postgres_url, data_dir=tmp_path, clock=SystemClock(), node_id=node) for node in (1, 2)]
    for database in both:
        database.start()
    yield both
    for database in both:
        await database.stop()


@pytest.mark.postgres
async def test_two_nodes_that_look_together_run_each_slot_once(nodes: list[Database], clock: SimClock) -> None:
    ran: list[tuple[int, datetime]] = []

    def on(node: int) -> Any:
        async def work(run: Work) -> Done:
            ran.append((node, run.slot_at))
            return Done()

        return kind_of(work, catch_up=CatchUp.EACH)

    worlds = [await make_world(nodes[0], IdSource(9), T0)]
    worlds.append(World(nodes[1], worlds[0].project, IdSource(8), worlds[0].applier))
    shops = [Workshop(world, clock, on(n), node_id=n) for n, world in enumerate(worlds, 1)]
    await shops[0].look()
    clock.move_to(NIGHT + 30 * DAY)
    async with asyncio.timeout(60):
        while len(await shops[0].runs()) < 31 or any(run.ended_at is None for run in await shops[0].runs()):
            await asyncio.gather(*(shop.jobs.look() for shop in shops))
            await asyncio.gather(*(shop.jobs.idle() for shop in shops))

    assert [NIGHT + day * DAY for day in range(31)] == sorted(slot for _, slot in ran)
    pings = await worlds[0].pings_of(await shops[0].check())
    assert {"start": 31, "success": 31} == {kind: [p.kind for p in pings].count(kind) for kind in ("start", "success")}


@pytest.mark.postgres
async def test_a_node_that_slept_through_its_lease_writes_nothing(nodes: list[Database], clock: SimClock) -> None:
    world = await make_world(nodes[0], IdSource(9), T0)
    begun, go_on = asyncio.Event(), asyncio.Event()
    refused: list[str] = []

    async def sleeps(run: Work) -> Done:
        begun.set()
        await go_on.wait()
        try:
            await run.write(lambda tx: tx.conn.execute(sa.update(projects).values(name="Overwritten")).rowcount)
        except LeaseLostError as error:
            refused.append(str(error))
            raise
        return Done()

    first = Workshop(world, clock, kind_of(sleeps), node_id=1)
    await first.look()
    clock._wall = NIGHT  # no time passes for whoever sleeps: the renewal sleeps too
    await first.jobs.look()
    await begun.wait()
    other = World(nodes[1], world.project, IdSource(8), world.applier)
    second = Workshop(other, clock, kind_of(), node_id=2)
    clock._wall = NIGHT + claims.LEASE
    await second.look()
    assert [None] == [run.outcome for run in await second.runs()]  # it may still live

    clock._wall = NIGHT + claims.LEASE + timedelta(microseconds=1)
    await second.look()
    go_on.set()
    await first.jobs.idle()

    (run,) = await second.runs()
    assert (["another node runs this slot"], 2, "ok") == (refused, run.epoch, run.outcome)
    assert "Main" == (await world._one(sa.select(projects.c.name))).name
    assert ["start", "success"] == [ping.kind for ping in await world.pings_of(await second.check())]


async def test_work_that_another_node_took_over_is_given_up(world: World, clock: SimClock) -> None:
    begun = asyncio.Event()

    async def works(_: Work) -> Done:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    shop = Workshop(world, clock, kind_of(works))
    await shop.look()
    clock.move_to(NIGHT)
    await shop.jobs.look()
    await begun.wait()
    await world.db.write(lambda tx: tx.conn.execute(sa.update(job_runs).values(epoch=2, node_id=2)).rowcount)

    clock.move_to(NIGHT + claims.LEASE / 4)
    await asyncio.wait_for(shop.jobs.idle(), 60)

    assert [(None, 2)] == [(run.outcome, run.epoch) for run in await shop.runs()]


async def test_a_lease_is_renewed_while_the_work_goes_on(world: World, clock: SimClock) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def works(_: Work) -> Done:
        begun.set()
        await go_on.wait()
        return Done()

    async def renewed(after: datetime) -> None:
        while (await shop.runs())[0].lease_until <= after:
            continue

    shop = Workshop(world, clock, kind_of(works))
    await shop.look()
    clock.move_to(NIGHT)
    await shop.jobs.look()
    await begun.wait()
    clock.move_to(NIGHT + claims.LEASE / 4)

    await asyncio.wait_for(renewed(NIGHT + claims.LEASE), 60)

    go_on.set()
    await shop.jobs.idle()
    assert ["ok"] == [run.outcome for run in await shop.runs()]


# --- schedules and checks ----------------------------------------------------------------------------


async def test_a_job_runs_by_the_clock_of_its_project_and_follows_it(world: World, clock: SimClock) -> None:
    pid = world.project.pid

    def move(tx: Any) -> None:
        edit_project(tx, pid, name=None, zone="Europe/Berlin", actor=TEST, at=clock.now(), ids=world.ids)

    shop = Workshop(world, clock, kind_of())
    await shop.look()
    await shop.go(NIGHT)
    await world.db.write(move)
    await shop.look()

    check = await shop.check()
    assert NIGHT + DAY - HOUR == (await shop.job()).next_at == check.expected_at
    assert "Europe/Berlin" == check.zone


async def test_a_slot_that_was_missed_is_not_lost_with_a_new_schedule(world: World, clock: SimClock) -> None:
    await Workshop(world, clock, kind_of()).look()
    shop = Workshop(world, clock, kind_of(expression="0 5 * * *"), node_id=2)
    await shop.go(NIGHT + HOUR)

    assert [NIGHT] == [run.slot_at for run in await shop.runs()]
    assert NIGHT + 2 * HOUR == (await shop.job()).next_at


async def test_a_zone_that_is_none_any_more_does_not_end_the_work(world: World, clock: SimClock) -> None:
    await world.db.write(lambda tx: tx.conn.execute(sa.update(projects).values(zone="Europe/Atlantis")).rowcount)
    shop = Workshop(world, clock, kind_of(), kind_of(sum_days, name="days"))
    await shop.look()
    await shop.go(NIGHT)

    ran = {run.outcome: run.words for run in await shop.runs()}
    assert {"ok", "failed"} == set(ran)
    assert ran["failed"].startswith("project main: 'Europe/Atlantis' is not a time zone")


async def test_a_job_in_the_autumn_night_runs_once(world: World, clock: SimClock) -> None:
    def move(tx: Any) -> None:
        tx.conn.execute(sa.update(projects).values(zone="Europe/Berlin"))

    clock.move_to(datetime(2026, 10, 24, 12, tzinfo=UTC))
    await world.db.write(move)
    shop = Workshop(world, clock, kind_of(expression="30 2 * * *", catch_up=CatchUp.EACH))
    await shop.look()
    await shop.go(datetime(2026, 10, 26, 12, tzinfo=UTC))

    slots = [run.slot_at for run in await shop.runs()]
    assert [datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 26, 1, 30, tzinfo=UTC)] == slots


async def test_the_check_of_a_job_may_be_edited_and_paused_but_not_deleted_or_rescheduled(
    world: World, clock: SimClock
) -> None:
    shop = Workshop(world, clock, kind_of())
    await shop.look()
    await shop.go(NIGHT)
    check, at = await shop.check(), NIGHT + MINUTE
    common: dict[str, Any] = {"at": at, "ids": world.ids, "actor": TEST}

    await world.db.write(lambda tx: commands.edit(tx, check.pid, check.uuid, CheckIn(grace=7200), **common))
    assert 7200 == (await shop.check()).grace_s
    asked = CheckIn(schedule=ScheduleIn(kind="period", period=60))
    with pytest.raises(commands.JobsCheckError, match="the grace may be changed"):
        await world.db.write(lambda tx: commands.edit(tx, check.pid, check.uuid, asked, **common))
    with pytest.raises(commands.JobsCheckError, match="Heartfly's own job sweep"):
        await world.db.write(lambda tx: commands.delete(tx, check.pid, check.uuid, **common))
    await world.db.write(lambda tx: commands.pause(tx, check.pid, check.uuid, **common))
    assert "paused" == (await shop.check()).status


async def test_the_check_of_a_job_that_was_turned_off_expects_nothing_and_may_be_deleted(
    world: World, clock: SimClock
) -> None:
    shop = Workshop(world, clock, kind_of())
    await shop.look()
    await shop.go(NIGHT)
    check = await shop.check()

    off = Workshop(world, clock, kind_of(off="there is nothing to sweep"), node_id=2)
    await off.go(NIGHT + HOUR)
    await off.go(NIGHT + 2 * DAY)

    job = await off.job()
    assert (None, "there is nothing to sweep", 1) == (job.next_at, job.off, len(await off.runs()))
    assert ("paused", None) == ((await world.row(check)).status, (await world.row(check)).job)

    await shop.look()
    check = await shop.check()
    assert ("new", NIGHT + 3 * DAY) == (check.status, (await shop.job()).next_at)

    await off.look()
    common: dict[str, Any] = {"at": clock.now(), "ids": world.ids, "actor": TEST}
    await world.db.write(lambda tx: commands.delete(tx, check.pid, check.uuid, **common))
    await shop.look()
    await shop.go(NIGHT + 3 * DAY)
    assert check.uuid != (await shop.check()).uuid


async def test_a_job_that_is_turned_off_while_its_check_is_due_is_off_at_once_and_its_check_once_judged(
    world: World, clock: SimClock
) -> None:
    shop = Workshop(world, clock, kind_of())
    await shop.look()
    await shop.go(NIGHT)
    check = await shop.check()

    off = Workshop(world, clock, kind_of(off="there is nothing to sweep"), node_id=2)
    await off.go(NIGHT + 2 * DAY)
    assert (1, "up") == (len(await off.runs()), (await world.row(check)).status)

    now, judge = clock.now(), Judge(ids=world.ids)
    await world.db.write(lambda tx: judge.judge(tx, through=now, now=now))
    await off.look()
    assert ("paused", None) == ((await world.row(check)).status, (await world.row(check)).job)


async def test_what_is_done_to_the_checks_of_jobs_is_in_the_audit_as_ours(world: World, clock: SimClock) -> None:
    shop = Workshop(world, clock, kind_of())
    await shop.look()
    await shop.go(NIGHT)

    entries = await world._all(sa.select(audit).where(audit.c.actor == HEARTFLY.name))
    assert ["check.create"] == [entry.action for entry in entries]


async def test_without_a_project_there_are_no_jobs_yet(db: Database, clock: SimClock) -> None:
    ids = IdSource(1)
    ingest = Ingest(db, None, clock)  # type: ignore[arg-type]
    shop = Jobs(db, kinds=[kind_of()], ingest=ingest, clock=clock, ids=ids, node_id=1)

    assert None is await shop.look()
    async with db.read() as read:
        assert [] == (await read.execute(sa.select(jobs))).all()


async def test_the_bell_rings_when_a_slot_has_come(world: World) -> None:
    """On the real clock: what waits is APScheduler."""
    ran, stop = asyncio.Event(), asyncio.Event()

    async def work(_: Work) -> Done:
        ran.set()
        return Done()

    clock = SystemClock()
    jobs_ = Jobs(
        world.db,
        kinds=[kind_of(work)],
        ingest=Ingest(world.db, world.applier, clock),
        clock=clock,
        ids=world.ids,
        node_id=1,
    )
    await jobs_.look()
    soon = clock.now() + timedelta(seconds=0.3)
    await world.db.write(lambda tx: tx.conn.execute(sa.update(jobs).values(next_at=soon)).rowcount)
    running = asyncio.ensure_future(jobs_.run(stop))

    await asyncio.wait_for(ran.wait(), 60)

    stop.set()
    await asyncio.wait_for(running, 60)
    assert clock.now() < soon + timedelta(seconds=10)


async def test_a_run_that_somebody_asks_for_begins_at_once(world: World) -> None:
    """On the real clock: the next look would come in half a minute."""
    ran, stop = asyncio.Event(), asyncio.Event()

    async def work(_: Work) -> Done:
        ran.set()
        return Done()

    shop = Workshop(world, SystemClock(), kind_of(work))  # type: ignore[arg-type]
    world.db.listen(shop.jobs.heard)
    await shop.jobs.look()
    running = asyncio.ensure_future(shop.jobs.run(stop))
    uuid, at = (await shop.job()).uuid, shop.clock.now()

    await world.db.write(lambda tx: ask_for_run(tx, world.project.pid, uuid, at=at, ids=world.ids, actor=TEST))
    await asyncio.wait_for(ran.wait(), 60)

    stop.set()
    await asyncio.wait_for(running, 60)


async def test_a_piece_for_which_the_database_has_no_time_is_tried_again(world: World, clock: SimClock) -> None:
    tries = []

    def piece(_: Any) -> str:
        tries.append(1)
        if len(tries) < 3:
            raise OverloadedError("not now", retry_after=0)
        return "written"

    async def work(run: Work) -> Done:
        assert "written" == await run.write(piece)
        return Done()

    shop = Workshop(world, clock, kind_of(work))
    await shop.look()
    await shop.go(NIGHT)

    assert (3, ["ok"]) == (len(tries), [run.outcome for run in await shop.runs()])


async def test_a_database_that_never_has_time_fails_the_run(world: World, clock: SimClock) -> None:
    def piece(_: Any) -> None:
        raise OverloadedError("not now", retry_after=0)

    async def work(run: Work) -> Done:
        await run.write(piece)
        raise AssertionError

    shop = Workshop(world, clock, kind_of(work))
    await shop.look()
    await shop.go(NIGHT)

    assert [("failed", "not now")] == [(run.outcome, run.words) for run in await shop.runs()]


async def test_a_look_that_fails_is_followed_by_another(world: World, clock: SimClock) -> None:
    async def rename(table: str, to: str) -> None:
        await world.db.write(lambda tx: tx.conn.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {to}").rowcount)

    async def asleep() -> None:
        async with asyncio.timeout(60):
            while not clock.n_asleep:
                await world.db.write(lambda _: None)

    shop, stop = Workshop(world, clock, kind_of()), asyncio.Event()
    await rename("jobs", "away")
    running = asyncio.ensure_future(shop.jobs.run(stop))
    await asleep()  # it has looked, and failed
    await rename("away", "jobs")

    clock.move_to(T0 + LOOK_AGAIN)
    async with asyncio.timeout(60):  # a look that fails once more is followed by none, as no time passes
        while not await world._all(sa.select(jobs)):
            continue

    stop.set()
    await asyncio.wait_for(running, 60)
    assert NIGHT == (await shop.job()).next_at
