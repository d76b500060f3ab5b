"""A watcher over a world, on a clock that the test moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from heartfly.monitor.blind import Beat, Hearing
from heartfly.monitor.judge import Judge
from heartfly.monitor.leader import Leader
from heartfly.monitor.volume_guard import Probe, VolumeGuard
from heartfly.monitor.watch import Watcher
from heartfly.pings.refusals import Refusals
from heartfly.pings.request import Target
from heartfly.pings.spool import Backlog
from heartfly.pings.tally import Tally
from tests.sim_clock import SimClock
from tests.world import World

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


class Tower:
    """It beats often enough not to be deaf. `under_way`: what is at the door and not committed yet; `spooled`: what
    lies in the node's spool; `tally`: what came. With a `probe` there is a volume guard; `outcomes`: what it told.
    """

    def __init__(
        self,
        world: World,
        clock: SimClock,
        *,
        node_id: int = 1,
        batch: int = 500,
        hearing: Hearing | None = None,
        may_lead: bool = True,
        probe: Probe | None = None,
    ) -> None:
        self.world = world
        self.clock = clock
        self.under_way: dict[Target, datetime] = {}
        self.refusals = Refusals()
        self.n_lost = 0
        """How often another one has taken the lease from it."""
        self.spooled: Backlog | None = None
        hearing = hearing or Hearing(beat=10 * MINUTE, blind_after=15 * MINUTE)
        self.beat = Beat(
            node_id=node_id,
            ids=world.ids,
            hearing=hearing,
            version="test",
            under_way=lambda: self.under_way,
            refusals=self.refusals,
            spooled=lambda: self.spooled,
        )
        self.leader = Leader(node_id=node_id, clock=clock, may_lead=may_lead)
        self.tally = Tally()
        self.outcomes: list[str] = []
        self.guard = None if probe is None else VolumeGuard(
            beat=self.beat, tally=self.tally, probe=probe, clock=clock, count=self.outcomes.append
        )  # fmt: skip
        self.watcher = Watcher(
            world.db,
            beat=self.beat,
            judge=Judge(ids=world.ids, batch=batch),
            leader=self.leader,
            clock=clock,
            hearing=hearing,
            lost=self._lose,
            guard=self.guard,
        )

    def _lose(self) -> None:
        self.n_lost += 1

    async def go(self, to: datetime) -> None:
        """Let time pass, with beats, up to an instant, and look there."""
        while self.clock.now() < to:
            self.clock.move_to(min(to, self.clock.now() + 10 * MINUTE))
            await self.watcher.round()

    async def sleep_through(self, to: datetime) -> None:
        """Nobody beats meanwhile."""
        self.clock.move_to(to)
        await self.watcher.round()
