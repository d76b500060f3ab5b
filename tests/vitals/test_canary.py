"""The canary misses on purpose, tells how late that was told, and is seen nowhere else."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from heartfly.backup.marks import mark
from heartfly.config import Alerts
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import checks, flips, leases
from heartfly.net.http import OutgoingHttp
from heartfly.notify.channels.base import ChannelContext
from heartfly.notify.dispatch import Dispatcher
from heartfly.pings.ingest import Ingest
from heartfly.vitals.canary import KIND, NOBODY, Canary, CanaryChannel, Told, told
from tests.monitor.tower import HOUR, MINUTE, SECOND, T0, Tower
from tests.world import SEALER, World

pytestmark = pytest.mark.anyio


class Mine:
    """A tower with a canary, and the dispatcher that its alerts go through."""

    def __init__(self, tower: Tower, ids: IdSource, *, every: timedelta | None = HOUR, leads: bool = True) -> None:
        self.tower, self.world, self.clock = tower, tower.world, tower.clock
        self.leads = leads
        self.ids = ids
        self.canary = self.another(every)
        http = OutgoingHttp(allow=(), own_hosts=(), user_agent="Heartfly/test")
        self.dispatcher = Dispatcher(
            self.world.db,
            context=ChannelContext(http=http, mail=None, clock=tower.clock),
            sealer=SEALER,
            clock=tower.clock,
            ids=ids,
            settings=Alerts(),
            base_url="https://heartfly.example",
            node_id=1,
            kinds={KIND: CanaryChannel()},
        )  # fmt: skip

    def another(self, every: timedelta | None) -> Canary:
        return Canary(
            self.world.db,
            every=every,
            ingest=Ingest(self.world.db, self.world.applier, self.clock),
            sealer=SEALER,
            clock=self.clock,
            ids=self.ids,
            leads=lambda: self.leads,
        )

    async def to(self, at: timedelta) -> None:
        """Judge up to that instant. What is then to be sent waits."""
        await self.tower.go(T0 + at)

    async def send(self) -> None:
        await self.dispatcher.round(self.clock.now())

    async def status(self) -> str | None:
        async with self.world.db.read() as read:
            return (await read.execute(sa.select(checks.c.status).where(checks.c.pid == NOBODY))).scalar()

    async def told(self) -> list[Told]:
        async with self.world.db.read() as read:
            return [*await told(read)]


@pytest.fixture
async def mine(tower: Tower, ids: IdSource) -> Mine:
    return Mine(tower, ids)


async def test_from_its_deadline_to_the_message_is_the_alert_latency(mine: Mine) -> None:
    await mine.canary.look()
    assert "up" == await mine.status()

    await mine.to(HOUR)
    assert "down" == await mine.status()
    mine.clock.move_to(T0 + HOUR + 2 * SECOND)
    await mine.canary.look()
    assert ("down", []) == (await mine.status(), await mine.told())  # it has not been told, so it is not pinged
    await mine.send()
    await mine.canary.look()

    assert "up" == await mine.status()
    assert [Told(T0 + HOUR, 2 * SECOND)] == await mine.told()
    assert Told(T0 + HOUR, 2 * SECOND) == mine.canary.pulse.told


async def test_it_misses_again_and_again_and_the_newest_stands_first(mine: Mine) -> None:
    await mine.canary.look()
    for _ in range(3):
        async with mine.world.db.read() as read:
            due = (await read.execute(sa.select(checks.c.goes_down_at).where(checks.c.pid == NOBODY))).scalar_one()
        await mine.to(due - T0)
        await mine.send()
        await mine.canary.look()

    found = await mine.told()

    assert 3 == len(found)
    assert sorted(found, key=lambda one: one.at, reverse=True) == found
    assert {timedelta()} == {one.latency for one in found}


async def test_a_node_that_does_not_judge_reads_what_was_told_and_pings_nothing(mine: Mine) -> None:
    mine.leads = False
    await mine.canary.look()

    assert await mine.status() is None
    assert mine.canary.pulse.told is None
    assert mine.canary.pulse.outbox is not None


async def test_one_that_died_before_it_was_pinged_is_pinged_by_the_next(mine: Mine) -> None:
    def dies(*_: object) -> None:
        raise RuntimeError("killed")

    ping, mine.canary._ping = mine.canary._ping, dies  # type: ignore[method-assign, assignment]
    with pytest.raises(RuntimeError):
        await mine.canary.look()
    assert "new" == await mine.status()
    mine.canary._ping = ping  # type: ignore[method-assign]

    await mine.canary.look()

    assert "up" == await mine.status()


async def test_another_rhythm_makes_it_anew_and_none_removes_all_of_it(mine: Mine) -> None:
    await mine.canary.look()
    for every, expected in ((30 * MINUTE, [1_800]), (None, [])):
        other = mine.another(every)
        await other.look()
        await other.look()
        async with mine.world.db.read() as read:
            periods = (await read.execute(sa.select(checks.c.period_s).where(checks.c.pid == NOBODY))).scalars().all()
        assert expected == periods

    async with mine.world.db.read() as read:
        assert [] == (await read.execute(sa.select(flips).where(flips.c.pid == NOBODY))).all()


async def test_what_it_left_goes_after_a_month(mine: Mine, db: Database) -> None:
    await mine.canary.look()
    await mine.to(HOUR)
    await mine.send()
    await mine.canary.look()
    await mine.to(3 * HOUR)
    assert "down" == await mine.status()
    await mine.tower.sleep_through(T0 + 31 * 24 * HOUR)  # so long nobody looked; each slot is the same miss
    await mine.send()
    await mine.canary.look()

    async with db.read() as read:
        oldest = (await read.execute(sa.select(sa.func.min(flips.c.at)).where(flips.c.pid == NOBODY))).scalar_one()
    assert oldest > T0 + HOUR
    assert "up" == await mine.status()


async def test_nobody_sees_it_among_the_checks_of_a_project(mine: Mine, world: World) -> None:
    await mine.canary.look()

    async with world.db.read() as read:
        mine_too = sa.select(checks.c.id).where(checks.c.pid == world.project.pid)
        assert [] == (await read.execute(mine_too)).all()


async def test_a_restore_excuses_one_miss_and_then_it_misses_as_before(mine: Mine, world: World) -> None:
    await mine.canary.look()
    restored_at = T0 + HOUR + 30 * MINUTE
    mine.clock.move_to(restored_at)
    await world.db.write(lambda tx: mark(tx, at=restored_at))
    await world.db.write(lambda tx: tx.conn.execute(sa.delete(leases)) and None)  # it ran out long ago
    mine.clock.move_to(restored_at + MINUTE)
    mine.tower = Tower(world, mine.clock, node_id=2)
    await mine.tower.watcher.join()
    await mine.tower.watcher.round()
    await mine.send()
    await mine.canary.look()
    assert ("up", []) == (
        await mine.status(),
        await mine.told(),
    )  # its deadline fell into what the backup does not know

    async with world.db.read() as read:
        due = (await read.execute(sa.select(checks.c.goes_down_at).where(checks.c.pid == NOBODY))).scalar_one()
    await mine.to(due - T0)
    assert "down" == await mine.status()
    await mine.send()
    await mine.canary.look()

    assert "up" == await mine.status()
    assert [due] == [one.at for one in await mine.told()]
