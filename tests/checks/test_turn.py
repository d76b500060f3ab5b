"""Between a deadline and its judging nobody excuses a slot by chance: people's commands wait for the judge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.checks import commands
from heartfly.checks.config import CheckIn
from heartfly.checks.turn import NotJudgedYetError, in_turn
from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import check_versions, checks
from heartfly.errors import ConflictError, NotFoundError
from heartfly.monitor.judge import Judge
from tests.sim_clock import SimClock
from tests.world import TEST, World, make_world

pytestmark = pytest.mark.anyio

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
TICK, MINUTE, HOUR = timedelta(microseconds=1), timedelta(minutes=1), timedelta(hours=1)
DEADLINE = T0 + HOUR + 10 * MINUTE

Command = Callable[[Tx, datetime], Any]


@pytest.fixture
async def world(db: Database, ids: IdSource) -> World:
    return await make_world(db, ids, T0)


@pytest.fixture
async def clock() -> SimClock:
    return SimClock(DEADLINE)


def edit(world: World, check: Any, **asked: Any) -> Command:
    what = CheckIn(**(asked or {"grace": 86_400}))
    return lambda tx, at: commands.edit(tx, check.pid, check.uuid, what, at=at, ids=world.ids, actor=TEST)


def pause(world: World, check: Any) -> Command:
    return lambda tx, at: commands.pause(tx, check.pid, check.uuid, at=at, ids=world.ids, actor=TEST)


def resume(world: World, check: Any) -> Command:
    return lambda tx, at: commands.resume(tx, check.pid, check.uuid, at=at, ids=world.ids, actor=TEST)


async def judged(world: World, through: datetime) -> None:
    judge = Judge(ids=world.ids)
    await world.db.write(lambda tx: judge.judge(tx, through=through, now=through))


async def waiting(world: World, clock: SimClock, command: Command) -> asyncio.Future[Any]:
    """Somebody asks, and was told once already that it is not his turn."""
    asked = asyncio.ensure_future(in_turn(world.db, clock, command))
    async with asyncio.timeout(60):
        while not clock.n_asleep:
            assert not asked.done()
            await world.db.write(lambda _: None)
    return asked


async def outcome(world: World, clock: SimClock, asked: asyncio.Future[Any]) -> Any:
    """What he hears in the end; time passes until he does."""
    async with asyncio.timeout(60):
        while not asked.done():
            clock.move_to(clock.now() + 0.05 * timedelta(seconds=1))
            await world.db.write(lambda _: None)
    return asked.exception() or asked.result()


@pytest.mark.parametrize("command", [edit, pause])
async def test_a_check_at_its_deadline_is_left_as_it_is_and_a_moment_earlier_it_is_not(
    world: World, command: Callable[[World, Any], Command]
) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)
    before = await world.row(check)

    with pytest.raises(NotJudgedYetError):
        await world.db.write(lambda tx: command(world, check)(tx, DEADLINE))
    assert before == await world.row(check)
    async with world.db.read() as read:
        kept = (await read.execute(sa.select(sa.func.count()).select_from(check_versions))).scalar_one()
    assert 1 == kept

    await world.db.write(lambda tx: command(world, check)(tx, DEADLINE - TICK))
    assert DEADLINE != (await world.row(check)).goes_down_at


async def test_an_edit_at_the_deadline_changes_a_check_that_is_down(world: World, clock: SimClock) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)
    asked = await waiting(world, clock, edit(world, check))

    await judged(world, DEADLINE)

    assert await outcome(world, clock, asked) is None
    row = await world.row(check)
    assert ("down", 86_400) == (row.status, row.grace_s)
    assert [("missed", DEADLINE)] == [(flip.reason, flip.at) for flip in (await world.flips(check))[1:]]


async def test_an_edit_waits_for_a_signal_under_way_and_the_check_stays_up(world: World, clock: SimClock) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)
    asked = await waiting(world, clock, edit(world, check))

    await world.ping(check, DEADLINE - TICK)

    assert await outcome(world, clock, asked) is None
    assert ("up", 86_400) == ((row := await world.row(check)).status, row.grace_s)


async def test_a_pause_at_the_deadline_follows_on_the_alarm(world: World, clock: SimClock) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)
    asked = await waiting(world, clock, pause(world, check))

    await judged(world, DEADLINE)

    assert await outcome(world, clock, asked) is None
    assert ["success", "missed", "paused"] == [flip.reason for flip in await world.flips(check)]


async def test_a_resume_hides_no_run_that_hung_in_the_pause(world: World, clock: SimClock) -> None:
    check = await world.check(T0, max_run=10 * MINUTE)
    await world.db.write(lambda tx: pause(world, check)(tx, T0))
    await world.ping(check, DEADLINE - 10 * MINUTE, PingKind.START)
    asked = await waiting(world, clock, resume(world, check))

    await judged(world, DEADLINE)

    assert isinstance(await outcome(world, clock, asked), ConflictError)  # it is down, not paused any more
    assert ["paused", "hung"] == [flip.reason for flip in await world.flips(check)]


async def test_who_waits_while_nobody_judges_is_told_to_come_again(world: World, clock: SimClock) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)
    asked = await waiting(world, clock, edit(world, check))

    told = await outcome(world, clock, asked)

    assert isinstance(told, NotJudgedYetError)
    assert 2 == told.retry_after
    assert 10 <= clock.monotonic() < 10.2


async def test_a_check_is_deleted_at_its_deadline_and_whoever_waits_for_it_hears_that_it_is_gone(
    world: World, clock: SimClock
) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)
    asked = await waiting(world, clock, edit(world, check))

    await world.db.write(lambda tx: commands.delete(tx, check.pid, check.uuid, at=DEADLINE, ids=world.ids, actor=TEST))

    assert isinstance(await outcome(world, clock, asked), NotFoundError)


async def test_what_the_judge_could_not_judge_is_not_waited_for(world: World) -> None:
    """He looks again in an hour; its owner may mend it before."""
    check = await world.check(T0)
    await world.ping(check, T0)
    later = sa.update(checks).where(checks.c.id == check.id).values(wake_at=DEADLINE + HOUR)
    await world.db.write(lambda tx: tx.conn.execute(later))

    await world.db.write(lambda tx: edit(world, check)(tx, DEADLINE))

    assert 86_400 == (await world.row(check)).grace_s
