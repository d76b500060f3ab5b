"""Who leads is told by the database's clock and by how much time passed, never by the wall clock of a node."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import leases
from heartfly.monitor.leader import LEASE, TRUST, Leader
from tests.monitor.tower import Tower
from tests.sim_clock import SimClock
from tests.world import make_world

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """On SQLite there is one process, and no lease."""
    return postgres_url


@pytest.fixture
def leader() -> Leader:
    return Leader(node_id=1, clock=SimClock(T0))


async def runs_out(db: Database) -> None:
    ended = sa.func.clock_timestamp() - SECOND
    await db.write(lambda tx: tx.conn.execute(sa.update(leases).values(expires_at=ended)))


async def test_a_node_whose_clock_is_ahead_takes_no_lease_that_another_holds(db: Database, leader: Leader) -> None:
    assert await db.write(leader.campaign)

    assert not await db.write(Leader(node_id=2, clock=SimClock(T0 + HOUR)).campaign)

    assert await db.write(leader.leads)


@pytest.mark.parametrize("wrong", [-HOUR, HOUR])
async def test_a_lease_ends_by_the_databases_clock_whatever_the_leaders_own_shows(
    db: Database, wrong: timedelta
) -> None:
    def left(tx: Tx) -> timedelta:
        ends, now = tx.conn.execute(sa.select(leases.c.expires_at, sa.func.clock_timestamp())).one()
        return cast("timedelta", ends - now)

    now = await db.write(lambda tx: tx.conn.execute(sa.select(sa.func.clock_timestamp())).scalar_one())
    await db.write(Leader(node_id=1, clock=SimClock(now + wrong)).campaign)

    assert LEASE - 5 * SECOND < await db.write(left) <= LEASE


async def test_a_node_without_that_role_takes_no_lease_not_even_one_that_nobody_holds(
    db: Database, leader: Leader
) -> None:
    bystander = Leader(node_id=2, clock=SimClock(T0), may_lead=False)

    assert not await db.write(bystander.campaign)
    assert not await db.write(bystander.leads)
    assert await db.write(leader.campaign)


async def test_a_lease_that_ran_out_is_taken_and_its_former_leader_changes_nothing(
    db: Database, leader: Leader
) -> None:
    await db.write(leader.campaign)
    await runs_out(db)
    other = Leader(node_id=2, clock=SimClock(T0 - HOUR))

    assert await db.write(other.campaign)

    assert (1, 2) == (leader.epoch, other.epoch)
    assert not await db.write(leader.leads)
    assert await db.write(other.leads)
    assert not await db.write(leader.campaign)


async def test_a_lease_that_is_renewed_in_time_or_before_anybody_took_it_keeps_its_epoch(
    db: Database, leader: Leader
) -> None:
    await db.write(leader.campaign)
    await db.write(leader.campaign)
    await runs_out(db)
    await db.write(leader.campaign)

    assert 1 == leader.epoch


async def test_a_clock_that_is_put_forward_ends_no_trust(db: Database) -> None:
    clock = SimClock(T0)
    leader = Leader(node_id=1, clock=clock)
    await db.write(leader.campaign)

    clock.step_wall(HOUR)

    assert await db.write(leader.leads)


async def test_a_clock_that_is_put_back_prolongs_no_trust(db: Database) -> None:
    clock = SimClock(T0)
    leader = Leader(node_id=1, clock=clock)
    await db.write(leader.campaign)

    clock.move_to(T0 + LEASE * TRUST)
    clock.step_wall(-HOUR)

    assert not await db.write(leader.leads)


async def test_who_led_and_finds_that_another_does_counts_a_lease_that_is_lost_and_who_resigns_none(
    db: Database, ids: IdSource
) -> None:
    world = await make_world(db, ids, T0)
    one, other = (Tower(world, SimClock(T0), node_id=node) for node in (1, 2))
    for tower in (one, other):
        await tower.watcher.join()
        await tower.watcher.round()
    assert (True, False) == (one.watcher.leads, other.watcher.leads)

    await runs_out(db)
    await other.watcher.round()
    for _ in range(2):
        await one.watcher.round()
    assert (1, 0) == (one.n_lost, other.n_lost)

    await other.watcher.leave()
    await one.watcher.round()
    assert one.watcher.leads
    assert (1, 0) == (one.n_lost, other.n_lost)
