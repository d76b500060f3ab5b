"""The machine under Heartfly: its clock, its door, its disk, and the production code that runs on it.

Watcher, beat, judge, leader, ingest, the ping batch and people's commands are the production ones, called
synchronously on a database in memory. Decided here is only what the surroundings do: when the disk is
done, which requests a crash loses, and (told a second time, without a look at the code under test) up to
which instant silence may be judged and when nobody could hear.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any, TypeVar, cast

from typing_extensions import override

from heartfly.clock import Clock
from heartfly.core.words import PingKind
from heartfly.db.changes import Changes, Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority, WriteSession, each_alone
from heartfly.db.ids import IdSource
from heartfly.db.sqlite import SqliteSession, driver_of
from heartfly.db.types import instant, micros
from heartfly.errors import HeartflyError
from heartfly.monitor.blind import Beat, Hearing
from heartfly.monitor.judge import Judge
from heartfly.monitor.leader import Leader
from heartfly.monitor.watch import Looked, Watcher
from heartfly.pings.apply import PingApplier
from heartfly.pings.ingest import Ingest
from heartfly.pings.prune import Keep
from heartfly.pings.rate import RateLimiter
from heartfly.pings.request import ByUuid, PingOutcome, PingRequest, PingResult
from tests.simulator.ground_truth import MS, NEVER, SECOND, Job, Sent

Result = TypeVar("Result")

HEARING = Hearing()
BEAT, DEAF, HOLD = SECOND, 2 * SECOND, 2 * SECOND
"""What the promises say: beats each second, gaps over 2 s are deafness, a request holds judging back for up to 2 s."""
PATIENT = 10 * SECOND
"""A request that is not stored by then was answered with 503."""
MAX_BATCH = 512
KEEP_ALL = Keep(pings=1 << 40, runs=1 << 40, run_age=timedelta(days=36_500))
KINDS = {"start": PingKind.START, "log": PingKind.LOG, "fail": PingKind.FAIL}
_NEXT_WAKE = "SELECT min(wake_at) FROM checks WHERE wake_at IS NOT NULL"
_NEXT_WAKE_AFTER = "SELECT min(wake_at) FROM checks WHERE wake_at > ?"
FIGURES = {"warn": b"rows=0", "broken": b"rows=0", "success": b"rows=7"}


class Time(Clock):
    """Real time, and a wall clock that may be set."""

    def __init__(self, start: int) -> None:
        self.real = start
        self.offset = 0
        self._offsets = [(0, 0)]

    @property
    def wall(self) -> int:
        return self.real + self.offset

    def set_back_or_forward(self, by: int) -> None:
        self.offset += by
        self._offsets.append((self.real, self.offset))

    def wall_of(self, real: int) -> int:
        """What the clock showed then."""
        return real + self._offsets[bisect_right(self._offsets, (real, NEVER)) - 1][1]

    @override
    def now(self) -> Any:
        return instant(self.wall)

    @override
    def monotonic(self) -> float:
        return self.real / SECOND

    @override
    def boottime(self) -> float:
        return self.real / SECOND

    @override
    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError("nobody sleeps here")

    @override
    def rest(self, seconds: float) -> None:
        raise NotImplementedError("nobody rests here")


class Store:
    """The database as rooms see it, each write at once and alone. Tells what each committed write changed."""

    def __init__(self, session: WriteSession) -> None:
        self._session = session
        self._driver: sqlite3.Connection | None = None
        self.committed: Callable[[Changes], None] | None = None

    def apply(self, work: Callable[[Tx], Result]) -> Result:
        def both(tx: Tx) -> tuple[Result, Changes]:
            return work(tx), tx.changes

        result, changes = self._session.attempt(both)
        if changes and self.committed is not None:
            self.committed(changes)
        return result

    def ask(self, question: str, *values: int) -> int | None:
        """A number, or microseconds; of SQLite only. Straight to the driver: the surroundings ask most often."""
        if self._driver is None:
            self._driver = self._session.attempt(lambda tx: driver_of(tx.conn))  # there is but one, in memory
        row = self._driver.execute(question, values).fetchone()
        return None if row is None else cast("int | None", row[0])

    async def write(self, command: Callable[[Tx], Result], *, priority: Priority = Priority.EDITS) -> Result:
        del priority
        (result,) = self.apply(lambda tx: each_alone(tx, [command]))
        if isinstance(result, HeartflyError):
            raise result
        return cast("Result", result)


def at_once(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as stopped:
        return cast("Result", stopped.value)
    raise AssertionError("it waits for something that nobody does")


@dataclass(frozen=True, slots=True)
class Blindness:
    """Wall times between which nobody could hear. `step`: when this was found."""

    step: int
    from_at: int
    to_at: int


@dataclass(frozen=True, slots=True)
class Reach:
    """Up to which wall time silence was judged; less far for a job of which a request was under way."""

    wall: int
    held: Mapping[int, int] = field(default_factory=dict)

    def of(self, job: int) -> int:
        return self.held.get(job, self.wall)

    @property
    def heard(self) -> int:
        """Up to when everything was in the database."""
        return min([self.wall, *self.held.values()])


@dataclass(slots=True, eq=False)
class _Life:
    """One life of the process. What it has in memory dies with it."""

    number: int
    ingest: Ingest
    applier: PingApplier
    watcher: Watcher
    ids: IdSource
    under_way: dict[int, Sent] = field(default_factory=dict)
    ready: list[tuple[int, Sent]] = field(default_factory=list)


class Machine:
    """`up`: the process runs. `frozen`: it does not judge now (stalled, asleep, or its clock was just set)."""

    def __init__(self, time: Time, session: SqliteSession, random: Random, jobs: Sequence[Job]) -> None:
        self.time = time
        self.store = Store(session)
        self.random = random
        self.jobs = jobs
        self.step = 0
        self.life: _Life | None = None
        self.n_lives = 0
        self.state = "down"
        """down, up, stalled (the process stands), asleep (the machine does), writing (only the disk stands)."""
        self.waiting: list[Sent] = []
        """At the door of a process that stands."""
        self.blind: list[Blindness] = []
        self.turns: list[tuple[int, Reach]] = []
        """(step, judged): how far judging had come when the clock was set, or when we found that we had been deaf."""
        self.steps: list[tuple[int, int]] = []
        """(step, by) of each setting of the clock."""
        self.observe: Callable[[], None] | None = None
        """Called after each transaction that may have brought flips."""
        self.committing = False
        self.n_limited = 0
        self.n_batches = 0
        self.round_at: int | None = None
        """Real: when the watcher will look next."""
        self._frozen: Reach | None = Reach(time.wall)
        self._looked: Reach | None = None
        """Up to when the last look of this life judged, on the clock of today."""
        self._heard = time.wall
        """Wall: the last instant up to which all was heard, as far as anybody wrote down."""
        self._beat_real = time.real
        self._beat_wall = time.wall
        self._beat_dirty = False
        self._ever = False

    @property
    def at_rest(self) -> bool:
        """Whether nothing is under way: neither heard nor at the door."""
        return not self.waiting and (self.life is None or not self.life.under_way)

    # --- up to which instant silence has been judged, told independently

    @property
    def judged(self) -> Reach:
        return self._frozen if self._frozen is not None else self._may_judge()

    def _may_judge(self) -> Reach:
        return self._reach(self.time.wall)

    def _reach(self, wall: int) -> Reach:
        oldest: dict[int, int] = {}
        for sent in self.life.under_way.values() if self.life is not None else ():
            oldest[sent.job] = min(sent.wall, oldest.get(sent.job, sent.wall))
        return Reach(wall, {job: min(wall, max(at - 1, wall - HOLD)) for job, at in oldest.items()})

    def _observed(self) -> None:
        if self.observe is not None:
            self.observe()

    def freeze(self) -> None:
        if self._frozen is None:
            self._frozen = self._may_judge()

    # --- beats

    def pass_time(self) -> None:
        """The beats since the last step, of which each would have found nothing to do, as the last of them."""
        if self.life is None or self.state != "up" or self._frozen is not None:
            return
        n = (self.time.real - self._beat_real) // BEAT
        if n:
            self._beat_real += n * BEAT
            wall = self._beat_real + self.time.offset
            self._heard = self._reach(wall).heard
            self._beat_wall = wall
            self._beat_dirty = True

    def _flush_beat(self) -> None:
        if self._beat_dirty and self.life is not None:
            values = (self._beat_wall, self._heard, self.life.number)
            self.store.apply(
                lambda tx: tx.conn.exec_driver_sql(
                    "UPDATE nodes SET beat_at = ?, heard_through = ? WHERE id = ?", values
                )
            )
            self.life.watcher._beat._boottime = self._beat_real / SECOND
            self._beat_dirty = False

    def _deaf_since(self, from_at: int, *, always: bool = False) -> None:
        if self.time.wall - from_at > (0 if always else DEAF):
            self.turns.append((self.step, self.judged))
            self.blind.append(Blindness(self.step, from_at, self.time.wall))

    @property
    def idle_beat(self) -> int | None:
        """Real: the beat that follows if nothing happens before."""
        idle = self.life is not None and self.state == "up" and self._frozen is None
        return self._beat_real + BEAT if idle else None

    def next_beat(self) -> int:
        """Real: the next whole beat."""
        return self._beat_real + BEAT * ((self.time.real - self._beat_real) // BEAT + 1)

    # --- the process

    def start(self) -> None:
        self.step += 1
        self.n_lives += 1
        number = self.n_lives
        ids = IdSource(number)
        ingest = Ingest(cast("Database", self.store), cast("PingApplier", None), self.time)
        beat = Beat(node_id=number, ids=ids, hearing=HEARING, version="sim", under_way=ingest.under_way)
        watcher = Watcher(
            cast("Database", self.store),
            beat=beat,
            judge=Judge(ids=ids),
            leader=Leader(node_id=number, clock=self.time),
            clock=self.time,
            hearing=HEARING,
        )
        applier = PingApplier(ids=ids, node_id=number, rate=RateLimiter(per_minute=1200), keep=KEEP_ALL)
        self.life = _Life(number, ingest, applier, watcher, ids)
        self.store.committed = self._committed
        self.state = "up"
        at_once(watcher.join())
        if self._ever:
            self._deaf_since(self._heard, always=True)
        self._ever = True
        self._beaten()
        self.look()

    def _beaten(self) -> None:
        self._beat_real, self._beat_wall = self.time.real, self.time.wall
        self._beat_dirty = False

    def look(self) -> Looked | None:
        """One round of the watcher."""
        self.step += 1
        self.round_at = None
        if self.life is None or self.state in {"stalled", "asleep", "writing"}:
            return None
        self._flush_beat()
        self._deaf_since(self._beat_wall)
        self._frozen = None
        may = self._may_judge()
        looked = at_once(self.life.watcher.round())
        assert instant(may.wall) == looked.watermark, f"judged through {looked.watermark}, but may {instant(may.wall)}"
        self._beaten()
        self._heard, self._looked = may.heard, may
        for sent in self.life.under_way.values():
            sent.slow = sent.slow or may.of(sent.job) >= sent.wall
        self._observed()
        self.life.watcher._next_wake_at = looked.next_wake_at
        self._arm(looked.next_wake_at)
        return looked

    def must_look(self) -> bool:
        """Whether what the watcher waits for is still due: a beat since may have told it of a later deadline."""
        if self.life is None or self.state != "up" or self._frozen is not None:
            return True
        wake = self.store.ask(_NEXT_WAKE)
        if wake is not None and wake <= self.time.wall:
            return True
        self.round_at = None
        wake_at = None if wake is None else instant(wake)
        self.life.watcher._next_wake_at = wake_at
        self._arm(wake_at)
        return False

    def _arm(self, wake_at: Any) -> None:
        """When to look next: at the deadline, or when what holds it back is over."""
        if wake_at is None or self.state != "up" or self._frozen is not None:
            return
        wake = micros(wake_at)
        if wake <= self.time.wall:
            # Held back by a request under way. Others are judged meanwhile.
            following = self.store.ask(_NEXT_WAKE_AFTER, self.time.wall)
            wake = max(wake + HOLD, self.time.wall + MS)
            wake = wake if following is None else min(wake, following)
        self.round_at = wake - self.time.offset

    def _committed(self, changes: Changes) -> None:
        assert self.life is not None
        watcher = self.life.watcher
        watcher.heard(changes)
        if watcher._nearer.is_set():
            watcher._nearer.clear()
            self._arm(watcher._next_wake_at)

    def crash(self, *, stored: bool) -> list[Sent]:
        """Power off. `stored`: what was ready is in the database, but nobody was told. Returns who heard no 2xx."""
        assert self.life is not None
        unheard = [*self.life.under_way.values(), *self.waiting]
        if stored and self.state == "up":
            self.commit()
        self.freeze()
        self._flush_beat()
        return self._die(unheard)

    def stop(self) -> list[Sent]:
        """A clean end: what is ready is committed and answered, what is still on the wire is not."""
        assert self.life is not None
        for sent in self.life.under_way.values():
            sent.takes = min(sent.takes, self.time.real - sent.at)  # it is waited for
        self.life.ready = list(self.life.under_way.items())
        while self.life.ready:
            self.commit()
        self.freeze()
        unheard = list(self.waiting)
        at_once(self.life.watcher.leave())
        self._heard = self.time.wall
        return self._die(unheard)

    def _die(self, unheard: list[Sent]) -> list[Sent]:
        self.life, self.state, self.round_at, self.committing = None, "down", None, False
        self._looked = None
        self.waiting = []
        return unheard

    def stand_still(self, state: str) -> None:
        self.freeze()
        self.state = state

    def go_on(self, *, door_first: bool) -> list[Sent]:
        """After standing still. Returns the requests that were answered with 503 meanwhile."""
        assert self.life is not None
        wrote = self.state == "writing"
        self.state = "up"
        refused = self._expired() if wrote else []
        arrivals, self.waiting = self.waiting, []
        if door_first or wrote:
            for sent in arrivals:
                self.arrive(sent)
            self.commit()
            self.look()
        else:
            self.look()
            for sent in arrivals:
                self.arrive(sent)
        return refused

    def _expired(self) -> list[Sent]:
        assert self.life is not None
        late = [(seq, sent) for seq, sent in self.life.ready if self.time.real - sent.sent_at >= PATIENT]
        self.life.ready = [one for one in self.life.ready if one not in late]
        for seq, _ in late:
            self._gone(seq)
        return [sent for _, sent in late]

    # --- the door and the disk

    def arrive(self, sent: Sent) -> bool:
        """A request is at the door. False: nobody opened."""
        if self.life is None or self.state == "asleep":
            return False
        if self.state == "stalled":
            self.waiting.append(sent)
            return True
        self.step += 1
        seq, stamp = self.life.ingest.arrived(ByUuid(self.jobs[sent.job].row.ping_uuid))
        sent.arrived, sent.wall, sent.life = self.step, micros(stamp), self.life.number
        if self._looked is not None and self._looked.wall == sent.wall:
            # It stood at the door while the very microsecond of its stamp was judged: of those two that was first.
            sent.judged = self._looked.of(sent.job)
        self.life.under_way[seq] = sent
        if sent.sent_at <= self.time.real:
            self.life.ready.append((seq, sent))
        return True

    def body_arrived(self, sent: Sent) -> None:
        if self.life is None:
            return
        for seq, other in self.life.under_way.items():
            if other is sent:
                self.life.ready.append((seq, sent))
                return

    @property
    def wants_commit(self) -> bool:
        return self.life is not None and self.state == "up" and bool(self.life.ready) and not self.committing

    def commit(self) -> None:
        """All that is ready, as one transaction."""
        self.committing = False
        if self.life is None or self.state != "up":
            return
        batch, self.life.ready = self.life.ready[:MAX_BATCH], self.life.ready[MAX_BATCH:]
        if not batch:
            return
        self.step += 1
        requests = [self._request(seq, sent) for seq, sent in batch]
        applier, judged = self.life.applier, self.judged
        for (seq, sent), result in zip(batch, self.store.apply(lambda tx: applier.apply(tx, requests)), strict=True):
            assert result.outcome in {PingOutcome.OK, PingOutcome.LIMITED}, result
            sent.committed, sent.judged = self.step, max(sent.judged, judged.of(sent.job))
            self.n_limited += _left_no_row(result)
            self._gone(seq)
        self.n_batches += 1
        self._observed()
        wake = self.life.watcher._next_wake_at
        if wake is not None and micros(wake) <= self.time.wall and self._frozen is None:
            self.round_at = self.time.real  # what held the deadline back may be gone

    def _gone(self, seq: int) -> None:
        assert self.life is not None
        self.life.ingest.gone(seq)
        del self.life.under_way[seq]

    def _request(self, seq: int, sent: Sent) -> PingRequest:
        body = FIGURES.get(sent.what, b"") if self.jobs[sent.job].config.gates else b""
        return PingRequest(
            target=ByUuid(self.jobs[sent.job].row.ping_uuid),
            kind=KINDS.get(sent.what, PingKind.SUCCESS),
            received_at=instant(sent.wall),
            seq=seq,
            exit_status=sent.exit_status,
            rid=sent.rid,
            body=body,
            body_size=len(body),
        )

    # --- the clock

    def set_clock(self, by: int) -> None:
        """Somebody sets the wall clock. The watcher notices with its next beat."""
        self.freeze()
        self.step += 1
        self.turns.append((self.step, self.judged))
        self.steps.append((self.step, by))
        self._looked = None
        self.time.set_back_or_forward(by)
        if self.state == "up":
            self.round_at = self.next_beat()


def _left_no_row(result: PingResult) -> bool:
    return result.outcome is PingOutcome.LIMITED and not result.flipped_to
