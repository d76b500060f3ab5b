"""What lies in a node's spool was heard: nothing is judged past it until it is in the database, or for too long."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.db.models import blind_intervals, nodes
from heartfly.pings.spool import Backlog
from tests.monitor.tower import HOUR, MINUTE, SECOND, T0, Tower
from tests.sim_clock import SimClock
from tests.world import World

pytestmark = pytest.mark.anyio

TICK = timedelta(microseconds=1)
DEADLINE = T0 + 11 * SECOND
WAIT = 5 * MINUTE
ON_POSTGRES = pytest.mark.parametrize(
    "database_url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


def lying(oldest_at: datetime, n: int = 3) -> Backlog:
    return Backlog(n, oldest_at, 100 * n)


async def due(world: World) -> Any:
    """A check whose deadline is DEADLINE."""
    check = await world.check(T0, every=10 * SECOND, grace=SECOND)
    await world.ping(check, T0)
    return check


async def status(world: World, check: Any) -> str:
    return str((await world.row(check)).status)


async def node(world: World, node_id: int = 1) -> Any:
    async with world.db.read() as read:
        return (await read.execute(sa.select(nodes).where(nodes.c.id == node_id))).one()


async def blind(world: World) -> list[tuple[datetime, datetime]]:
    async with world.db.read() as read:
        found = await read.execute(sa.select(blind_intervals.c.from_at, blind_intervals.c.to_at))
        return sorted((row.from_at, row.to_at) for row in found)


async def test_a_deadline_waits_for_the_spool_and_the_ping_in_it_wins(world: World, tower: Tower) -> None:
    check = await due(world)
    tower.spooled = lying(DEADLINE - SECOND)

    await tower.go(DEADLINE + MINUTE)
    assert "up" == await status(world, check)
    row = await node(world)
    assert (3, DEADLINE - SECOND, DEADLINE - SECOND - TICK) == (row.spooled, row.spooled_from, row.heard_through)

    await world.ping(check, DEADLINE - SECOND)
    tower.spooled = None
    await tower.watcher.round()
    assert ["success"] == [flip.reason for flip in (await world.flips(check))[:1]]
    assert (None, None) == ((await node(world)).spooled, (await node(world)).spooled_from)


async def test_a_check_that_was_silent_all_the_same_is_down_when_the_spool_is_empty(world: World, tower: Tower) -> None:
    check = await due(world)
    tower.spooled = lying(T0 + SECOND)
    await tower.go(DEADLINE)
    assert "up" == await status(world, check)

    tower.spooled = None
    await tower.watcher.round()

    assert "down" == await status(world, check)


async def test_it_is_waited_for_so_long_and_no_longer(world: World, tower: Tower) -> None:
    check = await due(world)
    tower.spooled = lying(T0 + SECOND)
    await tower.watcher.round()  # since then

    await tower.go(T0 + WAIT - TICK)
    assert "up" == await status(world, check)
    await tower.go(T0 + WAIT)
    assert "down" == await status(world, check)


async def test_a_clock_that_is_set_back_makes_nobody_wait_for_longer(world: World, tower: Tower) -> None:
    check = await due(world)
    tower.spooled = lying(T0 - 2 * HOUR)
    await tower.watcher.round()  # since then
    tower.clock.step_wall(-HOUR)
    await tower.watcher.round()

    waited_long = T0 - HOUR + WAIT
    await tower.go(waited_long - TICK)
    assert waited_long - TICK > (await node(world)).heard_through
    await tower.go(waited_long)
    assert waited_long == (await node(world)).heard_through
    assert "up" == await status(world, check)


async def test_a_database_that_goes_away_again_is_waited_for_anew(world: World, tower: Tower) -> None:
    check = await due(world)
    tower.spooled = lying(T0 + SECOND)
    await tower.watcher.round()
    await tower.go(T0 + WAIT - SECOND)

    tower.beat.missed()
    await tower.go(T0 + WAIT + MINUTE)

    assert "up" == await status(world, check)


@ON_POSTGRES
async def test_another_node_that_leads_waits_for_it_too(world: World, tower: Tower) -> None:
    check = await due(world)
    other = Tower(world, SimClock(T0), node_id=2)
    await other.watcher.join()
    await tower.go(T0 + 5 * SECOND)  # leads
    other.spooled = lying(DEADLINE - SECOND)
    other.clock.move_to(DEADLINE)
    await other.watcher.round()

    await tower.go(DEADLINE + 5 * SECOND)
    assert "up" == await status(world, check)

    other.spooled = None
    other.clock.move_to(DEADLINE + 5 * SECOND)
    await other.watcher.round()
    await tower.watcher.round()
    assert "down" == await status(world, check)


@ON_POSTGRES
async def test_a_life_that_begins_with_the_spool_of_an_earlier_one_is_waited_for_at_once(
    world: World, tower: Tower
) -> None:
    check = await due(world)
    await tower.watcher.round()
    other = Tower(world, SimClock(DEADLINE - SECOND), node_id=2)
    other.spooled = lying(T0 + SECOND)
    await other.watcher.join()

    await tower.go(DEADLINE)

    assert "up" == await status(world, check)
    assert T0 + SECOND - TICK == (await node(world, 2)).heard_through


@ON_POSTGRES
async def test_after_we_were_away_ourselves_the_others_have_time_to_come_back(world: World, tower: Tower) -> None:
    """All were away: who writes first must not take the others for dead, and judge what lies in their spools."""
    other = Tower(world, SimClock(T0), node_id=2)
    await other.watcher.join()
    await tower.watcher.round()
    tower.beat.missed()
    back = T0 + 20 * MINUTE

    await tower.sleep_through(back)
    assert (await node(world, 2)).fenced_at is None
    assert [(T0, back)] == await blind(world)
    await tower.go(back + 10 * SECOND)
    assert (await node(world, 2)).fenced_at is None
    await tower.go(back + 10 * SECOND + TICK)
    assert back + 10 * SECOND + TICK == (await node(world, 2)).fenced_at


@ON_POSTGRES
async def test_who_stumbles_again_and_again_takes_a_dead_node_for_dead_all_the_same(world: World, tower: Tower) -> None:
    """Each time in which he could not write is taken off its silence, and no more than that."""
    other = Tower(world, SimClock(T0), node_id=2)
    await other.watcher.join()
    await tower.watcher.round()
    for n in range(105):
        tower.beat._gaps[T0 - (n + 2) * MINUTE] = T0 - (n + 1) * MINUTE
    await tower.sleep_through(T0 + 20 * MINUTE)
    await tower.go(T0 + 20 * MINUTE + 8 * SECOND)
    await tower.sleep_through(T0 + 40 * MINUTE)

    assert (await node(world, 2)).fenced_at is None
    await tower.go(T0 + 40 * MINUTE + 3 * SECOND)
    assert (await node(world, 2)).fenced_at is not None


@ON_POSTGRES
async def test_a_node_that_somebody_took_for_gone_is_heard_again(world: World, tower: Tower) -> None:
    await tower.watcher.round()
    other = Tower(world, SimClock(T0 + MINUTE), node_id=2)
    await other.watcher.join()  # nobody seemed to live
    assert (await node(world)).left_at is not None

    await tower.sleep_through(T0 + MINUTE)

    row = await node(world)
    assert (None, None) == (row.left_at, row.fenced_at)


async def test_who_leaves_says_what_he_has_not_brought_back(world: World, tower: Tower) -> None:
    tower.spooled = lying(T0 + SECOND, n=7)
    tower.clock.move_to(T0 + MINUTE)

    await tower.watcher.leave()

    row = await node(world)
    assert (7, T0 + SECOND - TICK, T0 + MINUTE) == (row.spooled, row.heard_through, row.left_at)


@ON_POSTGRES
@pytest.mark.parametrize("oldest_at", [DEADLINE - SECOND, None])
async def test_a_node_that_leaves_with_something_in_its_spool_was_deaf_to_those_who_go_on(
    world: World, tower: Tower, oldest_at: datetime | None
) -> None:
    check = await due(world)
    other = Tower(world, SimClock(T0), node_id=2)
    await other.watcher.join()
    await tower.watcher.round()  # leads
    left_at = DEADLINE - SECOND / 2
    other.spooled = None if oldest_at is None else lying(oldest_at)
    for at in (T0 + 5 * SECOND, left_at):
        for one in (other, tower):
            one.clock.move_to(at)
            await one.watcher.round()
    await other.watcher.leave()

    await tower.go(DEADLINE + SECOND)

    if oldest_at is None:
        assert ("down", []) == (await status(world, check), await blind(world))
    else:
        assert ("up", [(oldest_at - TICK, left_at)]) == (await status(world, check), await blind(world))


async def test_who_leaves_alone_leaves_it_to_the_next_life_to_say_since_when_nobody_heard(
    world: World, tower: Tower
) -> None:
    tower.spooled = lying(T0 + SECOND)
    tower.clock.move_to(T0 + MINUTE)
    await tower.watcher.leave()
    assert [] == await blind(world)

    await Tower(world, SimClock(T0 + 2 * MINUTE), node_id=2).watcher.join()

    assert [(T0 + SECOND - TICK, T0 + 2 * MINUTE)] == await blind(world)
