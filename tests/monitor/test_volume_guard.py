"""All pings stop at once: is it the jobs, or does nothing reach us? Stories of the volume guard, on both databases."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly import logs
from heartfly.accounts.commands import create_project
from heartfly.clock import SystemClock
from heartfly.config import Log, Server, Settings
from heartfly.config.settings import Monitor
from heartfly.core.guard import FORGOTTEN_AFTER, HOLD
from heartfly.core.volume import DAY, minute_of
from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
from heartfly.db.models import blind_intervals, checks, ping_minutes
from heartfly.monitor.blind import Hearing
from heartfly.monitor.volume_guard import CAUSE, FEWEST_CHECKS, VolumeGuard
from tests.monitor.test_watch import channel, told
from tests.monitor.tower import HOUR, MINUTE, SECOND, T0, Tower
from tests.one_database import on_postgres, on_sqlite, postgres_if_slow
from tests.sim_clock import SimClock
from tests.world import SEALER, World

pytestmark = pytest.mark.anyio

STEP = 10 * SECOND
USUAL = 5
"""Pings in each ten seconds, thirty in a minute."""
HEARING = Hearing(beat=STEP, blind_after=15 * SECOND)


async def furnish(world: World, *, n_projects: int = 3, n_checks: int = FEWEST_CHECKS) -> None:
    """An installation that is large enough, of checks that were never pinged."""
    first = await world.check(T0)

    def command(tx: Tx) -> None:
        for n in range(n_projects - 1):
            create_project(tx, slug=f"p{n}", name=f"P{n}", zone="UTC", sealer=SEALER, at=T0, ids=world.ids)
        names = ("uuid", "ping_uuid", "name", "slug", "slug_key")
        alike = [dict.fromkeys(names, f"job-{n}") | {"id": world.ids.next(T0)} for n in range(n_checks - 1)]
        tx.conn.execute(sa.insert(checks), [{**first._mapping, **each} for each in alike])

    await world.db.write(command)


async def remember(
    world: World,
    usual: Sequence[int] = (USUAL,) * 7,
    *,
    at: datetime = T0,
    span: timedelta = HOUR,
    today: timedelta = 2 * MINUTE,
    reachable: bool = True,
) -> None:
    """What came in each ten seconds of the days before, yesterday's first; none: it was not counted then. And for
    `today` as much as usual just before.
    """
    rows: list[dict[str, Any]] = [
        {"at": at - (n + 1) * DAY + minute * MINUTE, "node_id": 99, "parts": [parts] * 6, "reachable": None}
        for n, parts in enumerate(usual)
        for minute in range(-2, span // MINUTE)
    ]
    just_before = {"node_id": 99, "parts": [USUAL] * 6, "reachable": reachable}
    rows += [just_before | {"at": at - n * MINUTE} for n in range(1, 1 + today // MINUTE)]

    def command(tx: Tx) -> None:
        tx.conn.execute(tx.insert(ping_minutes).on_conflict_do_nothing(), rows)

    await world.db.write(command)


class Plant(Tower):
    """An installation as others ping it. `lost`: why what is sent to our own address does not arrive."""

    def __init__(self, world: World, clock: SimClock, *, node_id: int = 1) -> None:
        self.lost: str | None = None
        self.n_asked = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self.fault: Exception | None = None
        super().__init__(world, clock, node_id=node_id, hearing=HEARING, probe=self._asked)

    async def _asked(self) -> str | None:
        self.n_asked += 1
        await self.answers.wait()
        if self.fault is not None:
            raise self.fault
        return self.lost

    async def live(self, to: datetime, pings: int | Callable[[datetime], int] = USUAL) -> None:
        """So many pings come in each ten seconds until then."""
        while self.clock.now() < to:
            for _ in range(pings if isinstance(pings, int) else pings(self.clock.now())):
                self.tally.note("https", self.clock.now())
            self.clock.move_to(min(to, self.clock.now() + STEP))
            await self.look()

    async def look(self) -> None:
        """A beat, and another as soon as there is an answer."""
        await self.watcher.round()
        assert self.guard is not None
        if self.answers.is_set():
            n_asked = self.n_asked
            await self.guard.answered()
            if n_asked < self.n_asked or self.guard._answer is not None:
                await self.watcher.round()

    def cut_off_since(self) -> datetime | None:
        looked = self.watcher.last_beat
        assert looked is not None
        return looked.cut_off_since

    def hold(self) -> datetime | None:
        looked = self.watcher.last_beat
        assert looked is not None
        return looked.hold


@pytest.fixture
async def plant(world: World) -> Plant:
    await furnish(world)
    await remember(world)
    plant = Plant(world, SimClock(T0))
    await plant.watcher.join()
    return plant


@pytest.fixture
def log() -> io.StringIO:
    stream = io.StringIO()
    logs.configure(Log(format="json"), stream, now=SystemClock().now)
    return stream


def said(log: io.StringIO, event: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, log.getvalue().splitlines()) if line["event"] == event]


async def gaps(world: World) -> list[tuple[datetime, datetime, str]]:
    return [(row.from_at, row.to_at, row.cause) for row in await world._all(sa.select(blind_intervals))]


async def job(world: World, *, due: datetime, every: timedelta = HOUR) -> Any:
    """Somebody hears of it if it does not ping by then."""
    check = await world.check(T0, every=every, grace=MINUTE)
    await channel(world, check)
    await world.ping(check, due - every - MINUTE)
    return check


async def test_a_proxy_that_loses_all_pings_is_our_deafness_and_no_alarm(
    world: World, plant: Plant, log: io.StringIO
) -> None:
    check = await job(world, due=T0 + 3 * MINUTE)
    await plant.live(T0 + MINUTE)

    plant.lost = "heartfly.example: TLS: the certificate was refused (certificate has expired)"
    await plant.live(T0 + 6 * MINUTE, 0)

    # The minute until 1:40 had ten pings of thirty: what may have been lost began within it.
    since = T0 + 40 * SECOND
    assert since == plant.cut_off_since()
    assert [(since, T0 + 6 * MINUTE, CAUSE)] == await gaps(world)
    row = await world.row(check)
    assert ("up", 1) == (row.status, row.unverified_in_row)
    (kind, payload), *others = await told(world)
    assert ("check.unverified", []) == (kind, others)
    assert check.uuid in json.dumps(payload)
    (line,) = said(log, "cut_off")
    assert ("error", plant.lost) == (line["level"], line["why"])
    assert ["held", "cut_off"] == plant.outcomes

    plant.lost = None
    await plant.live(T0 + 8 * MINUTE)

    assert plant.cut_off_since() is None
    assert [(since, T0 + 6 * MINUTE + STEP, CAUSE)] == await gaps(world)
    assert {"ended": True}.items() <= said(log, "cut_off")[-1].items()


async def test_being_cut_off_for_long_excuses_each_job_once(world: World, plant: Plant) -> None:
    check = await job(world, due=T0 + 3 * MINUTE, every=5 * MINUTE)
    await plant.live(T0 + MINUTE)
    plant.lost = "the connection was refused"

    await plant.live(T0 + 16 * MINUTE, 0)

    assert "missed_twice_unverified" == (await world.flips(check))[-1].reason
    assert ["check.unverified", "check.down"] == [kind for kind, _ in await told(world)]


async def test_when_all_jobs_fall_silent_it_is_told_as_soon_as_the_probe_has_answered(
    world: World, plant: Plant
) -> None:
    await plant.live(T0 + MINUTE)
    plant.answers.clear()
    await plant.live(T0 + MINUTE + 40 * SECOND, 0)
    assert T0 + MINUTE + 40 * SECOND == plant.hold()
    check = await job(world, due=T0 + MINUTE + 45 * SECOND)

    await plant.live(T0 + 2 * MINUTE, 0)
    assert "up" == (await world.row(check)).status
    plant.answers.set()
    await plant.look()

    flip = (await world.flips(check))[-1]
    assert (T0 + MINUTE + 45 * SECOND, T0 + 2 * MINUTE) == (flip.at, flip.decided_at)
    assert ["check.down"] == [kind for kind, _ in await told(world)]
    assert ["held", "released"] == plant.outcomes
    assert [] == await gaps(world)


async def test_nobody_waits_for_longer_than_two_minutes_whatever_the_probe_does(world: World, plant: Plant) -> None:
    await plant.live(T0 + MINUTE)
    plant.answers.clear()
    held_at = T0 + MINUTE + 40 * SECOND
    await plant.live(held_at, 0)
    soon, last = await job(world, due=held_at + STEP), await job(world, due=held_at + HOLD - STEP)

    await plant.live(held_at + HOLD - STEP, 0)
    assert ("up", "up") == ((await world.row(soon)).status, (await world.row(last)).status)
    await plant.live(held_at + HOLD, 0)

    assert [held_at + HOLD] * 2 == [(await world.flips(one))[-1].decided_at for one in (soon, last)]
    assert ["held", "released"] == plant.outcomes
    await plant.watcher._guard.aclose()  # type: ignore[union-attr]


async def test_what_was_due_before_the_drop_is_not_held_and_a_failure_never_is(world: World, plant: Plant) -> None:
    await plant.live(T0 + MINUTE)
    plant.answers.clear()
    before, fails = await job(world, due=T0 + MINUTE + 39 * SECOND), await job(world, due=T0 + HOUR)

    await plant.live(T0 + MINUTE + 40 * SECOND, 0)
    await world.ping(fails, plant.clock.now(), PingKind.FAIL)

    assert plant.hold() is not None
    assert ["down", "down"] == [(await world.row(one)).status for one in (before, fails)]
    assert plant.watcher._is_held_back(plant.clock.now())  # no tight loop, though something is due
    plant.answers.set()
    await plant.look()


async def test_a_probe_that_is_lost_once_is_asked_again(world: World, plant: Plant) -> None:
    await plant.live(T0 + MINUTE)
    plant.lost = "no reply within 5 s"
    await plant.live(T0 + MINUTE + 40 * SECOND, 0)
    assert (None, True) == (plant.cut_off_since(), plant.hold() is not None)

    plant.lost = None
    await plant.live(T0 + 3 * MINUTE, 0)

    assert ["held", "released"] == plant.outcomes
    assert [] == await gaps(world)


async def test_pings_that_come_again_end_it_although_the_probe_does_not_arrive(world: World, plant: Plant) -> None:
    """Our own address may be out of our own reach: its loss then says nothing the next time."""
    await plant.live(T0 + MINUTE)
    plant.lost = "the connection was refused"
    await plant.live(T0 + 3 * MINUTE, 0)
    assert plant.cut_off_since() is not None

    await plant.live(T0 + 5 * MINUTE)
    assert plant.cut_off_since() is None
    await plant.live(T0 + 11 * MINUTE)
    await plant.live(T0 + 16 * MINUTE, 0)

    assert ["held", "cut_off", "unknown"] == plant.outcomes
    assert 1 == len(await gaps(world))


async def test_where_no_probe_ever_arrived_nothing_is_held(world: World, log: io.StringIO) -> None:
    await furnish(world)
    await remember(world, reachable=False)
    plant = Plant(world, SimClock(T0))
    await plant.watcher.join()
    plant.lost = "no connection within the time limit"
    await plant.live(T0 + MINUTE)
    check = await job(world, due=T0 + MINUTE + 45 * SECOND)

    await plant.live(T0 + 4 * MINUTE, 0)

    assert T0 + MINUTE + 50 * SECOND == (await world.flips(check))[-1].decided_at
    assert ["unknown"] == plant.outcomes
    assert plant.lost == said(log, "own_address")[0]["why"]


async def test_a_fault_of_the_probe_holds_nothing(world: World, plant: Plant) -> None:
    await plant.live(T0 + MINUTE)
    plant.fault = RuntimeError("planted")

    await plant.live(T0 + 2 * MINUTE, 0)

    assert plant.hold() is None
    assert ["held", "released"] == plant.outcomes


@postgres_if_slow
async def test_a_slow_drop_is_seen_when_half_is_gone(world: World, plant: Plant) -> None:
    def fewer(at: datetime) -> int:
        return max(0, USUAL - int((at - T0) / (4 * MINUTE)))

    plant.lost = None
    await plant.live(T0 + 12 * MINUTE, fewer)  # two of five are gone by then
    assert [] == plant.outcomes
    plant.lost = "the connection was refused"
    await plant.live(T0 + 14 * MINUTE, fewer)

    assert ["held", "cut_off"] == plant.outcomes
    assert T0 + 11 * MINUTE + 40 * SECOND == plant.cut_off_since()


@postgres_if_slow
async def test_a_saturday_of_jobs_that_rest_then_holds_once(world: World) -> None:
    """Weekdays are five of the seven days before. Jobs that ping on the hour, or now and then, make no drop of each."""
    saturday = T0 + 5 * DAY
    await furnish(world)
    await remember(world, (USUAL,) * 5 + (1, 1), at=saturday, span=2 * HOUR)
    plant = Plant(world, SimClock(saturday))
    await plant.watcher.join()
    await plant.live(saturday + 5 * MINUTE)
    n_asked = plant.n_asked

    def now_and_then(at: datetime) -> int:
        return USUAL if at.minute % 10 < 3 else 1

    await plant.live(saturday + 95 * MINUTE, now_and_then)

    assert ["held", "released"] == plant.outcomes
    assert 85 <= plant.n_asked - n_asked <= 110


@postgres_if_slow
async def test_when_the_proxy_breaks_on_such_a_saturday_it_is_noticed(world: World, plant: Plant) -> None:
    await plant.live(T0 + MINUTE)
    await plant.live(T0 + 11 * MINUTE, 1)
    check = await job(world, due=T0 + 13 * MINUTE)

    plant.lost = "the name could not be resolved"
    await plant.live(T0 + 14 * MINUTE, 0)

    assert ["held", "released", "held", "cut_off"] == plant.outcomes
    assert "up" == (await world.row(check)).status
    ((from_at, _, _),) = await gaps(world)
    assert T0 + 10 * MINUTE <= from_at <= T0 + 11 * MINUTE  # when a probe arrived last


@postgres_if_slow
async def test_an_hour_later_a_drop_is_another_one(world: World) -> None:
    await furnish(world)
    await remember(world, span=3 * HOUR)
    plant = Plant(world, SimClock(T0))
    await plant.watcher.join()
    await plant.live(T0 + MINUTE)
    await plant.live(T0 + 2 * MINUTE, 0)
    await plant.live(T0 + 4 * MINUTE + FORGOTTEN_AFTER)
    await plant.live(T0 + 5 * MINUTE + FORGOTTEN_AFTER, 0)

    assert ["held", "released"] * 2 == plant.outcomes


async def test_a_new_installation_has_no_guard(world: World) -> None:
    await furnish(world)
    await remember(world, (USUAL,) * 3)
    plant = Plant(world, SimClock(T0))
    await plant.watcher.join()
    await plant.live(T0 + MINUTE)

    await plant.live(T0 + 4 * MINUTE, 0)

    assert ([], 0) == (plant.outcomes, plant.n_asked)


@pytest.mark.parametrize(("n_projects", "n_checks"), [(3, FEWEST_CHECKS - 1), (2, FEWEST_CHECKS)])
async def test_a_small_installation_counts_nothing_and_asks_nobody(
    world: World, n_projects: int, n_checks: int
) -> None:
    await furnish(world, n_projects=n_projects, n_checks=n_checks)
    await remember(world)
    plant = Plant(world, SimClock(T0))
    await plant.watcher.join()
    await plant.live(T0 + MINUTE)
    await plant.live(T0 + 4 * MINUTE, 0)
    await plant.watcher.leave()

    assert ([], 0) == (plant.outcomes, plant.n_asked)
    assert {99} == {row.node_id for row in await world._all(sa.select(ping_minutes.c.node_id))}


async def test_one_that_grows_is_seen_within_a_minute(world: World) -> None:
    await furnish(world, n_checks=FEWEST_CHECKS - 1)
    plant = Plant(world, SimClock(T0))
    await plant.watcher.join()
    await plant.live(T0 + MINUTE)
    await world.check(T0)

    await plant.live(T0 + 3 * MINUTE)

    rows = await world._all(sa.select(ping_minutes.c.at, ping_minutes.c.parts).order_by(ping_minutes.c.at))
    assert [(T0 + n * MINUTE, [USUAL] * 6) for n in range(3)] == [(row.at, row.parts) for row in rows]


async def test_days_on_which_we_were_deaf_do_not_count(world: World, plant: Plant) -> None:
    """Of four of the days nothing is known: three are too few to judge by."""

    def deaf(tx: Tx) -> None:
        for n in range(4):
            gap = {"id": n + 1, "node_id": 99, "cause": "x", "from_at": T0 - (n + 1) * DAY}
            tx.conn.execute(sa.insert(blind_intervals).values(gap | {"to_at": T0 - (n + 1) * DAY + HOUR}))

    await world.db.write(deaf)
    await plant.live(T0 + MINUTE)
    await plant.live(T0 + 4 * MINUTE, 0)

    assert [] == plant.outcomes


async def test_a_restart_is_no_drop_and_what_came_before_it_is_kept(world: World, plant: Plant) -> None:
    await plant.live(T0 + MINUTE + 5 * SECOND)
    await plant.watcher.leave()
    plant.clock.move_to(T0 + 4 * MINUTE)
    after = Plant(world, plant.clock, node_id=2)
    await after.watcher.join()

    await after.live(T0 + 11 * MINUTE)

    assert [] == after.outcomes
    rows = await world._all(sa.select(ping_minutes.c.at, ping_minutes.c.parts).where(ping_minutes.c.node_id == 1))
    assert {T0 + n * MINUTE for n in range(2)} == {row.at for row in rows}
    assert [USUAL, 0, 0, 0, 0, 0] == next(row.parts for row in rows if row.at == T0 + MINUTE)


async def test_who_is_restarted_while_cut_off_finds_out_anew(world: World, plant: Plant) -> None:
    """A probe that was lost just before the drop was seen says nothing against the one that arrived before."""
    await plant.live(T0 + 5 * MINUTE)
    plant.lost = "the connection was refused"
    await plant.live(T0 + 5 * MINUTE + STEP, 0)
    assert (2, []) == (plant.n_asked, plant.outcomes)  # it was time to ask, and not few yet
    await plant.live(T0 + 7 * MINUTE, 0)
    await plant.watcher.leave()
    after = Plant(world, plant.clock, node_id=2)
    after.lost = plant.lost
    await after.watcher.join()

    await after.live(T0 + 9 * MINUTE, 0)

    assert ["held", "cut_off"] == after.outcomes


async def test_being_cut_off_lasts_until_it_is_known_that_it_is_over(world: World, plant: Plant) -> None:
    await plant.live(T0 + MINUTE)
    plant.lost = "the connection was refused"
    await plant.live(T0 + 3 * MINUTE, 0)
    plant.lost = None
    plant.answers.clear()
    await plant.live(T0 + 3 * MINUTE + STEP, 0)
    plant.clock.move_to(T0 + 3 * MINUTE + STEP + 5 * SECOND)
    plant.answers.set()
    assert plant.guard is not None
    await plant.guard.answered()

    await plant.watcher.round()

    assert plant.cut_off_since() is None
    assert [T0 + 3 * MINUTE + STEP + 5 * SECOND] == [to_at for _, to_at, _ in await gaps(world)]


@pytest.mark.parametrize("by", [-HOUR, -10 * MINUTE, HOUR], ids=str)
async def test_a_clock_that_is_set_is_no_drop(world: World, plant: Plant, by: timedelta) -> None:
    await remember(world, at=T0 - HOUR, today=MINUTE)
    await remember(world, at=T0 + HOUR, today=MINUTE)
    await remember(world, today=2 * HOUR)
    await plant.live(T0 + MINUTE)
    plant.clock.step_wall(by)

    await plant.live(plant.clock.now() + 15 * MINUTE)

    assert [] == plant.outcomes


async def test_a_beat_that_is_not_committed_is_not_remembered(world: World, plant: Plant) -> None:
    await plant.live(T0 + MINUTE)
    plant.tally.note("https", T0 + MINUTE)
    plant.clock.move_to(T0 + MINUTE + STEP)

    def look_and_fail(tx: object) -> None:
        plant.watcher._look(tx)  # type: ignore[arg-type]
        raise ZeroDivisionError("planted")

    with pytest.raises(ZeroDivisionError):
        await world.db.write(look_and_fail)
    await plant.look()

    rows = await world._all(sa.select(ping_minutes.c.parts).where(ping_minutes.c.at == minute_of(plant.clock.now())))
    assert [[1, 0, 0, 0, 0, 0]] == [row.parts for row in rows]


@on_postgres
async def test_the_pings_of_all_nodes_count_together_and_the_leader_holds(world: World, plant: Plant) -> None:
    other = Plant(world, plant.clock, node_id=2)
    await other.watcher.join()

    async def both(to: datetime, mine: int, its: int) -> None:
        while plant.clock.now() < to:
            for tally, n in ((plant.tally, mine), (other.tally, its)):
                for _ in range(n):
                    tally.note("https", plant.clock.now())
            plant.clock.move_to(plant.clock.now() + STEP)
            await other.look()
            await plant.look()

    await both(T0 + 3 * MINUTE, 4, 1)  # whoever beats first leads
    await both(T0 + 6 * MINUTE, 0, 3)
    assert ([], []) == (plant.outcomes, other.outcomes)

    await both(T0 + 8 * MINUTE, 2, 0)

    leader, follower = (other, plant) if (await other.watcher.round()).leads else (plant, other)
    assert (["held", "released"], []) == (leader.outcomes, follower.outcomes)
    assert 0 == follower.n_asked


@on_postgres
async def test_who_takes_over_finds_out_anew_and_who_lost_the_lead_holds_nothing(world: World, plant: Plant) -> None:
    await plant.live(T0 + MINUTE)
    plant.lost = "the connection was refused"
    await plant.live(T0 + 3 * MINUTE, 0)
    assert plant.cut_off_since() is not None
    await world.db.write(plant.leader.resign)
    after = Plant(world, plant.clock, node_id=2)
    after.lost = plant.lost
    await after.watcher.join()
    assert (await after.watcher.round()).leads

    await plant.watcher.round()

    assert (None, None) == (plant.cut_off_since(), plant.hold())
    assert T0 + 3 * MINUTE == after.hold()
    await after.look()


@on_sqlite
async def test_the_loop_looks_again_as_soon_as_there_is_an_answer(world: World, plant: Plant) -> None:
    await plant.live(T0 + MINUTE)
    plant.answers.clear()
    await plant.live(T0 + MINUTE + 40 * SECOND, 0)
    check = await job(world, due=T0 + MINUTE + 40 * SECOND + timedelta(microseconds=1))
    stop = asyncio.Event()
    plant.clock.move_to(T0 + MINUTE + 41 * SECOND)
    running = asyncio.ensure_future(plant.watcher.run(stop))
    async with asyncio.timeout(60):
        while not plant.clock.n_asleep:
            assert "up" == (await world.row(check)).status

        plant.answers.set()  # no time passes from here on

        while (await world.row(check)).status != "down":
            continue
    stop.set()
    await running


@on_sqlite
async def test_whom_nobody_answers_is_not_waited_for_at_the_end(plant: Plant) -> None:
    await plant.live(T0 + 2 * MINUTE)
    plant.answers.clear()
    await plant.live(T0 + 3 * MINUTE, 0)
    assert plant.guard is not None
    asking = plant.guard._asking
    stop = asyncio.Event()
    stop.set()

    await plant.watcher.run(stop)

    assert asking is not None
    assert asking.cancelled()


@on_sqlite
@pytest.mark.parametrize(
    ("on", "base_url", "there"),
    [(True, "https://beat.example.org", True), (True, "", False), (False, "https://beat.example.org", False)],
)
async def test_there_is_one_where_our_address_is_known_and_it_is_not_switched_off(
    plant: Plant, *, on: bool, base_url: str, there: bool
) -> None:
    settings = Settings(server=Server(base_url=base_url), monitor=Monitor(volume_guard=on))

    made = VolumeGuard.of(settings, beat=plant.beat, tally=plant.tally, clock=plant.clock, count=plant.outcomes.append)

    assert there == (made is not None)
