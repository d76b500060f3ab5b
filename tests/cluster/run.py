"""A simulated stretch of a cluster's life: jobs ping through whatever node answers, nodes stand, die and are cut off.

Everything that happens is in one heap. The same seed gives the same bytes of log, of which `digest` is the hash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from random import Random

import psycopg
import sqlalchemy as sa
from cryptography.fernet import Fernet

from heartfly.accounts.commands import create_project
from heartfly.checks.config import CheckConfig, CheckIn, ScheduleIn, merged
from heartfly.checks.create import assign_channels, insert_check
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import channels
from heartfly.db.types import instant, micros
from heartfly.sealing import Sealer
from tests.cluster.hub import MINUTE, MS, SECOND, Hub
from tests.cluster.node import Attempt, Node, Seen
from tests.cluster.plan import (
    CALM,
    CHANNELS,
    CUT,
    KILL,
    PAUSE,
    RESET,
    SKEW,
    WEIGHTS,
    Fault,
    Job,
    Plan,
    make_jobs,
    plan_faults,
)  # fmt: skip
from tests.cluster.wire import Line, Notes, Trap, furnish_clock

START = micros(datetime(2026, 3, 2, 10, tzinfo=UTC))
PATIENCE = 4 * SECOND
"""After that a client turns to another node."""
TRIES = 6
FALL = RISE = 2
"""So many answers of a node in a row, asked each half-second, take it out of the balancer, or back in."""
PATIENCE_OF_ALL = 30 * MINUTE
"""Once all faults were due, and twice as long as until then, each has come and gone, or something stands for ever."""
ARMED = {"beat": 5 * SECOND, "ping": 10 * SECOND, "judge": 25 * SECOND}
"""A fault that waits for such a transaction comes at the latest then."""
EVENTS = ["check.down", "check.up"]


@dataclass(frozen=True, slots=True)
class Reign:
    """A committed judging: by whom, and what the lease said in that instant."""

    at: int
    node_id: int
    epoch: int | None
    lease: tuple[int, int] | None


@dataclass(slots=True)
class History:
    """All that happened, for those who judge it. Times are real but where it is said."""

    plan: Plan
    url: str
    end: int = 0
    jobs: list[Job] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    stored: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    """(node, number of the request) → when it was committed."""
    reigns: list[Reign] = field(default_factory=list)
    leaders: list[tuple[int, int | None]] = field(default_factory=list)
    """(node, epoch) as they were seen to judge, each once."""
    beats: dict[int, list[int]] = field(default_factory=dict)
    """Node → when its beats were committed."""
    resigned: list[int] = field(default_factory=list)
    """When somebody left: the next epoch is the first again."""
    flips: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    """(check, number) → when it was committed; more than once would be doubled."""
    blind: list[tuple[int, int, int]] = field(default_factory=list)
    """(when that was committed, from, to), of which the last two are wall times."""
    well: list[tuple[int, int]] = field(default_factory=list)
    """From when to when some node stood, heard and reached the database."""
    troubled: list[tuple[int, int]] = field(default_factory=list)
    """From when to when some fault lasted."""
    wrong: list[str] = field(default_factory=list)
    """What a node met that it never should."""
    tally: Counter[str] = field(default_factory=Counter)
    digest: str = ""


class Cluster:
    def __init__(self, plan: Plan, url: str) -> None:
        self.plan = plan
        self.hub = Hub(START)
        self.random = Random(f"{plan.seed}:world")
        address = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self.admin = psycopg.connect(address, autocommit=True)
        self.history = History(plan, url, jobs=make_jobs(plan))
        self._log = sha256()
        furnish_clock(self.admin)
        self.lines = [Line(url, self.admin) for _ in range(plan.n_nodes)]
        self.nodes: list[Node | None] = [None] * plan.n_nodes
        self._skews = [self.random.randrange(-SKEW, SKEW) for _ in range(plan.n_nodes)]
        self._met = [False] * plan.n_nodes
        """Whom a fault waits for, or has."""
        self._well_since: list[int | None] = [None] * plan.n_nodes
        self._answers = [0] * plan.n_nodes
        """Of the last questions in a row: so many times ready (above zero), or not (below)."""
        self._in = [True] * plan.n_nodes
        self._n_lives = 0
        self._seen = Seen(self._committed, self._say, self.history.wrong.append)

    def run(self) -> History:
        history, hub = self.history, self.hub
        self._furnish()
        for slot in range(self.plan.n_nodes):
            self._start(slot)
            hub.at(START + SECOND + slot, self._probe, slot)
        for job in history.jobs:
            hub.at(START + SECOND + job.random.randrange(10 * SECOND), self._fire, job)
        faults = plan_faults(self.plan)
        for fault in faults:
            hub.at(START + fault.at, self._fault, fault)
        latest = START + 3 * max((fault.at for fault in faults), default=0) + PATIENCE_OF_ALL
        try:
            while sum(history.tally[kind] for kind in WEIGHTS) < len(faults) or any(self._met):
                hub.run(hub.now + SECOND)
                if hub.now > latest:
                    raise AssertionError(f"seed {self.plan.seed}: some fault never ends: {self._standing()}")
            history.end = hub.now + CALM
            hub.run(history.end)
        finally:
            self._close()
        history.digest = self._log.hexdigest()
        return history

    def _standing(self) -> str:
        states = [
            "none" if node is None else f"{'serves' if node.serves else 'does not serve'}, {node.why_not()}"
            for node in self.nodes
        ]
        return f"met {self._met}, cut {[line.cut for line in self.lines]}, nodes {states}, {dict(self.history.tally)}"

    def _close(self) -> None:
        for slot, node in enumerate(self.nodes):
            self._is_well(slot, well=False)
            if node is not None:
                node.die()
        for line in self.lines:
            line.engine.dispose()
        self.admin.close()

    def _say(self, what: str, *facts: object) -> None:
        self._log.update(f"{self.hub.now} {what} {facts}\n".encode())
        self.history.tally[f"said {what}"] += 1
        if what == "serves":
            (node_id,) = facts
            slot = next(slot for slot, node in enumerate(self.nodes) if node is not None and node.id == node_id)
            self._is_well(slot, well=True)
            self._met[slot] = False

    # --- what is there at the beginning

    def _furnish(self) -> None:
        engine = sa.create_engine(self.history.url)
        with engine.begin() as connection:
            self._make(Tx(connection))
        engine.dispose()

    def _make(self, tx: Tx) -> None:
        ids, at, sealer = IdSource(1000), instant(START), Sealer([Fernet.generate_key()])
        pid = create_project(tx, slug="cluster", name="Cluster", zone="UTC", sealer=sealer, at=at, ids=ids).pid
        for number in range(CHANNELS):
            tx.conn.execute(
                sa.insert(channels).values(
                    pid=pid, id=ids.next(at), uuid=f"c{number}", kind="webhook", name=f"c{number}",
                    config_enc=b"", events=EVENTS, created_at=at, rev=1,
                )
            )  # fmt: skip
        for job in self.history.jobs:
            period = ScheduleIn(kind="period", period=job.period // SECOND)
            schedule = period if job.period else ScheduleIn(kind="cron", expression="* * * * *", zone="UTC")
            name = f"job-{job.index}"
            asked = CheckIn(name=name, slug=name, schedule=schedule, grace=job.grace // SECOND)
            config = merged(CheckConfig(), asked, at=at)
            made = insert_check(tx, pid, config, actor="sim", at=at, ids=ids, slug_key=name)
            assign_channels(tx, pid, made.id, None)
            job.check_id, job.ping_uuid = made.id, made.row.ping_uuid

    def _start(self, slot: int) -> None:
        self._n_lives += 1
        random = Random(f"{self.plan.seed}:node:{self._n_lives}")
        line = self.lines[slot]
        node = Node(self.hub, line, node_id=self._n_lives, skew=self._skews[slot], random=random, seen=self._seen)
        self.nodes[slot] = node
        self._say("start", slot, node.id)

    # --- jobs

    def _fire(self, job: Job) -> None:
        self._send(job, job.kind(), self.random.sample(range(self.plan.n_nodes), self.plan.n_nodes), 1)
        self.hub.at(job.following(self.hub.now), self._fire, job)

    def _send(self, job: Job, kind: str, order: list[int], n_tries: int) -> None:
        """To the first that opens. One that does not answer in time, or says that it cannot, is followed by another."""
        slot = next((slot for slot in order if self._in[slot]), order[0])
        later = [*(one for one in order if one != slot), slot]
        node = self.nodes[slot]
        if node is None or not node.serves or not self._in[slot]:
            self.history.tally["nobody in the balancer"] += not any(self._in)
            if n_tries < TRIES:
                self.hub.at(self.hub.now + n_tries * 200 * MS, self._send, job, kind, later, n_tries + 1)
            return
        attempt = Attempt(job.index, kind, self.hub.now)
        self.history.attempts.append(attempt)
        is_open = True

        def answer(*, stored: bool) -> None:
            nonlocal is_open
            if not is_open:
                return
            is_open = False
            if stored:
                attempt.acked_at = self.hub.now
                self._say("acked", job.index, attempt.node_id, attempt.seq, attempt.stamp)
            elif n_tries < TRIES:
                self.hub.at(self.hub.now + 50 * MS, self._send, job, kind, later, n_tries + 1)
            else:
                self._say("gave up", job.index)

        node.arrive(attempt, job.ping_uuid, lambda stored: answer(stored=stored))
        self.hub.at(self.hub.now + PATIENCE, lambda: answer(stored=False))

    def _probe(self, slot: int) -> None:
        """A balancer asks each node whether it is ready."""
        node = self.nodes[slot]
        ready = node is not None and node.is_ready
        before = self._answers[slot]
        now = self._answers[slot] = max(before, 0) + 1 if ready else min(before, 0) - 1
        if now >= RISE:
            self._in[slot] = True
        elif now <= -FALL:
            if self._in[slot] and self._well_since[slot] is not None and node is not None:
                for why in node.why_not():
                    self.history.tally[f"well, but out: {why}"] += 1
            self._in[slot] = False
        self.hub.at(self.hub.now + SECOND // 2, self._probe, slot)

    # --- faults

    def _fault(self, fault: Fault) -> None:
        free = [
            slot for slot, node in enumerate(self.nodes) if node is not None and node.serves and not self._met[slot]
        ]
        if len(free) < 2 and not (free and self.random.random() < 0.1):
            self.hub.at(self.hub.now + SECOND, self._fault, fault)  # mostly somebody is left
            return
        leading = [slot for slot in free if (node := self.nodes[slot]) is not None and node.leader.epoch is not None]
        slot = leading[0] if leading and self.random.random() < 0.5 else self.random.choice(free)
        self._met[slot] = True
        if not fault.label:
            self._begin(fault, slot)
            return
        line = self.lines[slot]
        trap = Trap(fault.label, fault.statement, lambda: self._begin(fault, slot, sprung=True))
        line.trap = trap

        def at_last() -> None:
            if line.trap is trap:
                line.trap = None
                self._begin(fault, slot)

        self.hub.at(self.hub.now + ARMED[fault.label], at_last)

    def _begin(self, fault: Fault, slot: int, *, sprung: bool = False) -> None:
        node, until = self.nodes[slot], self.hub.now + fault.lasts
        assert node is not None
        self.history.tally[fault.kind] += 1
        self.history.tally[f"in a transaction: {fault.label}"] += sprung
        self._say(fault.kind, slot, node.id, fault.lasts, fault.label if sprung else "", fault.statement)
        self._is_well(slot, well=False)
        self.history.troubled.append((self.hub.now, until))
        if fault.kind == PAUSE:
            node.process.paused = True
            self.hub.at(until, self._end, slot, node.process.go_on)
        elif fault.kind == CUT:
            self.lines[slot].cut = True
            self.hub.at(until, self._end, slot, self.lines[slot].mend)
        elif fault.kind == RESET:
            self.lines[slot].end_connection()
            self._end(slot, lambda: None)
        elif fault.kind == KILL:
            node.die()
            self.hub.at(until, self._start, slot)
        else:
            node.leave(lambda: self.hub.at(self.hub.now, self._left, slot, fault.lasts))

    def _end(self, slot: int, mend: Callable[[], None]) -> None:
        mend()
        self._met[slot] = False
        self._is_well(slot, well=True)

    def _left(self, slot: int, lasts: int) -> None:
        node = self.nodes[slot]
        assert node is not None
        node.die()
        self.hub.at(self.hub.now + lasts, self._start, slot)

    def _is_well(self, slot: int, *, well: bool) -> None:
        since = self._well_since[slot]
        if well and since is None:
            self._well_since[slot] = self.hub.now
        elif not well and since is not None:
            self._well_since[slot] = None
            self.history.well.append((since, self.hub.now))

    # --- what was committed

    def _committed(self, node: Node, notes: Notes) -> None:
        history, now = self.history, self.hub.now
        for seq, _ in notes.pings:
            history.stored.setdefault((node.id, seq), []).append(now)
        if notes.judged:
            found = self.admin.execute("SELECT node_id, epoch FROM public.leases").fetchone()
            lease = None if found is None else (int(found[0]), int(found[1]))
            history.reigns.append(Reign(now, node.id, node.leader.epoch, lease))
            if not history.leaders or history.leaders[-1] != (node.id, node.leader.epoch):
                history.leaders.append((node.id, node.leader.epoch))
            self._say("judged", node.id, node.leader.epoch, notes.judged)
        if notes.judged or any(flipped for _, flipped in notes.pings):
            seen = self.admin.execute("DELETE FROM sim.seen RETURNING check_id, flip_no").fetchall()
            for check_id, flip_no in sorted(seen):
                history.flips.setdefault((check_id, flip_no), []).append(now)
                self._say("flip", check_id, flip_no)
        if node.line.label == "leave":
            history.resigned.append(now)
        if node.line.label == "beat":
            history.beats.setdefault(node.id, []).append(now)
        if not notes.pings and not notes.judged:
            deaf = self.admin.execute("DELETE FROM sim.deaf RETURNING from_at, to_at").fetchall()
            for from_at, to_at in sorted(deaf):
                history.blind.append((now, micros(from_at), micros(to_at)))
                self._say("blind", from_at, to_at)
