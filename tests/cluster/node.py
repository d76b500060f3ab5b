"""One node: production watcher, beat, judge, leader, writer, ingest and ping batch in a process that may stand or die.

Decided here is only what surrounds them: how long a transaction takes, what the watcher's sleep is, and how a door
answers. What is written down for those who judge says what was committed, not what the node believes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from types import MappingProxyType
from typing import Any, cast

from typing_extensions import override

from heartfly.core.words import PingKind
from heartfly.db.changes import Changes, Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import GroupCommitter, Priority, each_alone
from heartfly.db.ids import IdSource
from heartfly.db.types import micros
from heartfly.errors import HeartflyError, OverloadedError, StoreError
from heartfly.monitor.blind import Beat, Hearing
from heartfly.monitor.judge import Judge, Judged
from heartfly.monitor.leader import Leader
from heartfly.monitor.watch import Looked, Watcher
from heartfly.pings.apply import PingApplier
from heartfly.pings.ingest import Ingest
from heartfly.pings.prune import Keep
from heartfly.pings.rate import RateLimiter
from heartfly.pings.request import ByUuid, PingRequest, PingResult
from heartfly.vitals.readiness import Facts, reasons
from tests.cluster.hub import MS, SECOND, Hub, Loop, NodeClock, Process, Seat
from tests.cluster.wire import Line, Notes, Session

KEEP_ALL = Keep(pings=1 << 40, runs=1 << 40, run_age=timedelta(days=36_500))
BATCH = 2
"""Checks in one judging transaction: few, so that a node can be stopped between two of them."""
_LABELS = (("_look", "beat"), ("_judge", "judge"), ("_later", "judge"), ("apply", "ping"), ("leave", "leave"))


@dataclass(slots=True, eq=False)
class Attempt:
    """One request of a job to one node, and what became of it. Real times but `stamp`; None: it never was so."""

    job: int
    kind: str
    sent_at: int
    node_id: int = 0
    seq: int = 0
    stamp: int | None = None
    """As the node's wall clock showed it."""
    acked_at: int | None = None
    """When its client heard that it is stored."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the cluster is told of a node. `committed` comes in the instant of the commit itself."""

    committed: Callable[[Node, Notes], None]
    said: Callable[..., None]
    wrong: Callable[[str], None]


class _Judge(Judge):
    def __init__(self, *, ids: IdSource, line: Line) -> None:
        super().__init__(ids=ids, batch=BATCH)
        self._line = line

    @override
    def judge(
        self,
        tx: Tx,
        *,
        through: datetime,
        now: datetime,
        held: Mapping[int, datetime] = MappingProxyType({}),
        n_before: int = 0,
        at_most: int | None = None,
    ) -> Judged:
        judged = super().judge(tx, through=through, now=now, held=held, n_before=n_before, at_most=at_most)
        self._line.notes.judged.append((judged.n, judged.flips))
        return judged


class _Applier(PingApplier):
    line: Line

    @override
    def apply(self, tx: Tx, items: Sequence[PingRequest]) -> list[PingResult]:
        results = super().apply(tx, items)
        told = zip(items, results, strict=True)
        self.line.notes.pings += [(item.seq, bool(result.flipped_to)) for item, result in told]
        return results


class _Writer(GroupCommitter):
    """The production queue and batches, without its thread."""

    def __init__(self, node: Node, line: Line) -> None:
        super().__init__(
            lambda: Session(line, node_id=node.id),
            clock=node.clock,
            apart=True,
            on_commit=lambda changes: node.watcher.heard(changes),  # noqa: PLW0108 - it is made after this
        )
        self._node, self._line = node, line
        self._loop = cast("asyncio.AbstractEventLoop", Loop(node.process))
        self._seat: Seat | None = None

    def serve(self) -> None:
        process, random = self._node.process, self._node.random
        while True:
            if not self.n_queued:
                self._resting, self._seat = True, process.seat()
                process.stand(self._seat)
                self._resting = False
                continue
            process.sleep(random.randrange(MS, 6 * MS))
            entries, changes = self._take(), Changes()
            assert entries is not None
            self._busy_since = self._node.clock.monotonic()
            results = self._write(entries, changes)
            self._busy_since = None
            for result in results:
                if isinstance(result, Exception) and not isinstance(result, HeartflyError):
                    self._node.seen.wrong(f"a transaction raised {result!r}")
            process.sleep(random.randrange(MS, 4 * MS))
            self._resolve(entries, results, changes)

    @override
    def _wake(self) -> None:
        super()._wake()
        if self._seat is not None:
            self._node.process.wake(self._seat)

    @override
    def _together(self, entries: list[Any], changes: Changes) -> list[Any]:
        command = entries[0].item if entries[0].handler is each_alone else entries[0].handler
        name = command.__qualname__
        self._line.label = next((label for part, label in _LABELS if part in name), "other")
        return super()._together(entries, changes)


class _Store:
    """As much of the database as rooms ask for."""

    on_postgres = True

    def __init__(self, writer: _Writer) -> None:
        self._writer = writer

    async def write(self, command: Callable[[Tx], Any], *, priority: Priority = Priority.EDITS) -> Any:
        return await self.submit(each_alone, command, priority=priority)

    async def submit(self, handler: Any, item: Any, *, priority: Priority) -> Any:
        return await self._writer.submit(handler, item, priority=priority)

    def demand_room(self) -> None:
        """The disk of PostgreSQL is not in this."""


class _Watcher(Watcher):
    """Its loop is the production one; only to sleep is another thing here."""

    node: Node
    seat: Seat | None = None

    @override
    def heard(self, changes: Changes) -> None:
        super().heard(changes)
        if self._nearer.is_set():
            self.rouse()

    def rouse(self) -> None:
        if self.seat is not None:
            self.node.process.wake(self.seat)

    @override
    async def round(self) -> Looked:
        try:
            return await super().round()
        except HeartflyError:
            raise
        except Exception as error:
            self.node.seen.wrong(f"a round raised {error!r}")
            raise

    @override
    async def _sleep(self, stop: asyncio.Event) -> None:
        now = self._clock.now()
        until = now + self._hearing.beat
        if self._next_wake_at is not None and not self._is_held_back(now):
            until = min(until, max(self._next_wake_at, now + timedelta(milliseconds=20)))
        if stop.is_set() or self._nearer.is_set():
            return
        process = self.node.process
        self.seat = process.seat()
        process.stand(self.seat, until=process.hub.now + micros(until) - micros(now))


class Node:
    """`id` is that of one life. A new one begins with a new node."""

    def __init__(self, hub: Hub, line: Line, *, node_id: int, skew: int, random: Random, seen: Seen) -> None:
        self.id = node_id
        self.hub = hub
        self.line = line
        self.random = random
        self.seen = seen
        self.process = line.process = Process(hub)
        self.clock = NodeClock(hub, skew)
        self.serves = False
        self.open: list[tuple[Attempt, Callable[[bool], None]]] = []
        """Requests that were not answered yet."""
        line.committed = lambda notes: seen.committed(self, notes)
        line.trap, line.label = None, ""
        ids, hearing = IdSource(node_id), Hearing()
        self.writer = _Writer(self, line)
        store = cast("Database", _Store(self.writer))
        applier = _Applier(ids=ids, node_id=node_id, rate=RateLimiter(per_minute=1200), keep=KEEP_ALL)
        applier.line = line
        self.ingest = Ingest(store, applier, self.clock)
        self.leader = Leader(node_id=node_id, clock=self.clock)
        beat = Beat(
            node_id=node_id,
            ids=ids,
            hearing=hearing,
            version="sim",
            under_way=self.ingest.under_way,
            refusals=self.ingest.refusals,
        )
        self.watcher = _Watcher(
            store,
            beat=beat,
            judge=_Judge(ids=ids, line=line),
            leader=self.leader,
            clock=self.clock,
            hearing=hearing,
        )
        self.watcher.node = self
        self._stop = asyncio.Event()
        self.process.spawn(self.writer.serve)
        self.process.spawn(self._run)
        self._left: Callable[[], None] = lambda: None

    def _run(self) -> None:
        while True:
            try:
                self.process.drive(self.watcher.join())
                break
            except HeartflyError:
                self.process.sleep(SECOND)
        self.serves = True
        self.seen.said("serves", self.id)
        self.process.drive(self.watcher.run(self._stop))
        try:
            self.process.drive(self.watcher.leave())
        except HeartflyError:
            self.seen.said("left without a word", self.id)
        self._left()

    @property
    def is_ready(self) -> bool:
        """As /readyz says, to whoever asks before sending requests here. One that stands does not answer."""
        if not self.serves or self.process.paused or self.process.dead:
            return False
        return not self.why_not()

    def why_not(self) -> list[str]:
        watcher, writer = self.watcher, self.writer
        facts = Facts(
            now=self.clock.now(),
            last_beat_at=watcher.last_beat_at,
            watermark=watcher.last_beat.watermark if watcher.last_beat is not None else None,
            broken=writer.broken,
            refused_s=writer.refused_s,
            stuck_s=writer.stuck_s,
        )
        return [found.reason for found in reasons(facts)]

    # --- ends

    def leave(self, left: Callable[[], None]) -> None:
        """A clean end: no new requests, those under way are answered, then the last beat."""
        self.serves, self._left = False, left
        self.process.spawn(self._drain)

    def _drain(self) -> None:
        until = self.hub.now + 5 * SECOND
        while self.open and self.hub.now < until:
            self.process.sleep(20 * MS)
        self._stop.set()
        self.watcher.rouse()

    def die(self) -> None:
        """Whoever waits for an answer hears that the connection is gone."""
        self.serves = False
        self.line.trap = None
        self.line.end_connection()
        self.process.kill()
        self.writer._close_session()
        for _, answer in self.open:
            self.hub.at(self.hub.now + MS, answer, False)  # noqa: FBT003 - stored or not
        self.open = []

    # --- the door

    def arrive(self, attempt: Attempt, ping_uuid: str, answer: Callable[[bool], None]) -> None:
        """A request waits before the door of a node that stands, until that goes on."""
        pair = attempt, answer
        self.open.append(pair)
        self.process.at(self.hub.now + MS, self.process.spawn, lambda: self._handle(pair, ping_uuid))

    def _handle(self, pair: tuple[Attempt, Callable[[bool], None]], ping_uuid: str) -> None:
        attempt, answer = pair
        attempt.node_id = self.id
        attempt.seq, stamp = self.ingest.arrived(ByUuid(ping_uuid))
        attempt.stamp = micros(stamp)
        try:
            slow = self.random.random() < 0.03
            self.process.sleep(self.random.randrange(MS, 3 * SECOND if slow else 20 * MS))
            kind = PingKind.FAIL if attempt.kind == "fail" else PingKind.SUCCESS
            request = PingRequest(target=ByUuid(ping_uuid), kind=kind, received_at=stamp, seq=attempt.seq)
            self.process.drive(self.ingest.submit(request))
        except (OverloadedError, StoreError) as error:
            self.ingest.refused(stamp)
            self.seen.said("refused", self.id, attempt.job, str(error))
            stored = False
        else:
            stored = True
        finally:
            self.ingest.gone(attempt.seq)
        if pair in self.open:
            self.open.remove(pair)
        self.hub.at(self.hub.now + MS, answer, stored)
