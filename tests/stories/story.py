"""A story: a timeline on a simulated clock, told with real parts.

The database, the ping batch, the watcher and the dispatcher are those of production; alerts arrive at
a real HTTP receiver. Only time is ours. `want` lets time pass, looking at every deadline on the way,
and says what must have arrived since the last `want`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from heartfly.checks.create import refresh_wants_late
from heartfly.config import Alerts
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import checks, leases
from heartfly.monitor.blind import Beat, Hearing
from heartfly.monitor.judge import Judge
from heartfly.monitor.leader import Leader
from heartfly.monitor.watch import Watcher
from heartfly.net.addresses import parse_allow_private
from heartfly.net.http import OutgoingHttp
from heartfly.notify.channels.base import ChannelContext
from heartfly.notify.commands import create_channel
from heartfly.notify.dispatch import Dispatcher
from tests.notify.receivers import HttpReceiver
from tests.sim_clock import SimClock
from tests.world import SEALER, World, make_world

DAY = datetime(2026, 3, 2, tzinfo=UTC)
BEAT = timedelta(minutes=5)
"""In stories Heartfly beats every five minutes and is deaf after ten without: real parameters, so that days fit."""


def span(text: str) -> timedelta:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    return timedelta(seconds=int(text[:-1]) * units[text[-1]])


@dataclass
class Story:
    world: World
    clock: SimClock
    receiver: HttpReceiver
    http: OutgoingHttp
    watcher: Watcher
    dispatcher: Dispatcher
    told: int = 0
    node: int = 1
    beat: timedelta = BEAT
    day: datetime = DAY
    due: list[datetime] = field(default_factory=list)

    def at(self, time: str) -> datetime:
        """`02:30`, `02:30:15`, or with days: `3d 02:30`."""
        days, _, clock = time.rpartition("d ")
        hours, minutes, *seconds = (int(part) for part in clock.split(":"))
        return self.day + timedelta(days=int(days or 0), hours=hours, minutes=minutes, seconds=sum(seconds))

    async def check(self, name: str, *, every: str = "1h", grace: str = "10m", **config: Any) -> Any:
        if "max_run" in config:
            config["max_run"] = span(config["max_run"])
        return await self.world.check(self.clock.now(), name=name, every=span(every), grace=span(grace), **config)

    async def channel(self, name: str, *, kind: str = "webhook", events: list[str] | None = None) -> Any:
        """Somebody who listens to every check there is."""
        path = {"webhook": "/hook", "slack": "/services/T/B/x"}[kind]
        config = {"url": f"{self.receiver.url}{path}"}
        now = self.clock.now()

        def work(tx: Any) -> Any:
            made = create_channel(
                tx, self.world.project.pid, kind=kind, name=name, config=config, events=events, at=now,
                ids=self.world.ids, sealer=SEALER, assign="all",
            )  # fmt: skip
            known = set(tx.conn.execute(sa.select(checks.c.id)).scalars())
            refresh_wants_late(tx, self.world.project.pid, known)
            return made

        return await self.world.db.write(work)

    async def ping(self, time: str, check: Any, kind: PingKind = PingKind.SUCCESS, **rest: Any) -> None:
        """A signal that is received now. Everything due before it has been seen to."""
        await self.pass_to(self.at(time) - timedelta(microseconds=1))
        self.clock.move_to(self.at(time))
        await self.world.ping(check, self.at(time), kind, **rest)
        await self.look()

    async def spooled(
        self, time: str, received: str, check: Any, kind: PingKind = PingKind.SUCCESS, **rest: Any
    ) -> None:
        """A signal that was received earlier and is committed only now."""
        await self.pass_to(self.at(time))
        await self.world.ping(check, self.at(received), kind, **rest)
        await self.look()

    async def want(self, time: str, *expected: str) -> None:
        """By this time exactly these have arrived since the last `want`, as `check.down backup (missed)`."""
        await self.pass_to(self.at(time))
        events = [self._short(json.loads(request.body)) for request in self.receiver.requests[self.told :]]
        self.told = len(self.receiver.requests)
        assert list(expected) == events

    @staticmethod
    def _short(event: dict[str, Any]) -> str:
        if "type" not in event:
            return str(event["text"])
        about = event.get("check") or {}
        reason = event.get("reason")
        return " ".join(filter(None, [event["type"], about.get("name"), f"({reason})" if reason else ""]))

    async def pass_to(self, to: datetime) -> None:
        while self.clock.now() < to:
            looked = self.watcher.last_beat
            nearest = [to, self.clock.now() + self.beat, *(at for at in self.due if at > self.clock.now())]
            if looked is not None and looked.next_wake_at is not None and looked.next_wake_at > self.clock.now():
                nearest.append(looked.next_wake_at)
            self.clock.move_to(min(nearest))
            await self.look()

    async def look(self) -> None:
        await self.watcher.round()
        next_at = await self.dispatcher.round(self.clock.now())
        self.due = [next_at] if next_at is not None else []

    async def stride(self, beat: timedelta) -> None:
        """From now on Heartfly beats so seldom: for stories of weeks, of which not each five minutes tell anything."""
        await self.watcher.leave()
        self.beat = beat
        await self._next_life()

    async def crash(self, time: str, *, until: str) -> None:
        """The process dies at one time and another starts later: nobody hears or sends in between."""
        await self.pass_to(self.at(time))
        self.clock.move_to(self.at(until))
        # Leases end by the database's clock, for which no time has passed.
        await self.world.db.write(lambda tx: tx.conn.execute(sa.delete(leases)))
        await self._next_life()
        await self.look()

    async def _next_life(self) -> None:
        self.node += 1
        self.watcher = _watcher(self.world, self.clock, self.node, self.beat)
        self.dispatcher = _dispatcher(self.world, self.http, self.clock, self.node)
        await self.watcher.join()

    async def status(self, check: Any) -> str:
        return str((await self.world.row(check)).status)


def _watcher(world: World, clock: SimClock, node: int, beat: timedelta = BEAT) -> Watcher:
    hearing = Hearing(beat=beat, blind_after=2 * beat)
    return Watcher(
        world.db,
        beat=Beat(node_id=node, ids=world.ids, hearing=hearing, version="story"),
        judge=Judge(ids=world.ids),
        leader=Leader(node_id=node, clock=clock),
        clock=clock,
        hearing=hearing,
    )


def _dispatcher(world: World, http: OutgoingHttp, clock: SimClock, node: int) -> Dispatcher:
    return Dispatcher(
        world.db,
        context=ChannelContext(http=http, mail=None, clock=clock),
        sealer=SEALER,
        clock=clock,
        ids=world.ids,
        settings=Alerts(),
        base_url="https://heartfly.example",
        node_id=node,
    )


async def begin(db: Database, ids: IdSource, receiver: HttpReceiver, *, day: datetime = DAY) -> Story:
    clock = SimClock(day)
    world = await make_world(db, ids, day)
    http = OutgoingHttp(
        allow=parse_allow_private(value=True),
        own_hosts=frozenset(),
        allowed_ports=(80, 443),
        user_agent="Heartfly/story",
    )
    story = Story(world, clock, receiver, http, _watcher(world, clock, 1), _dispatcher(world, http, clock, 1), day=day)
    await story.watcher.join()
    return story
