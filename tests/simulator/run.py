"""One simulated stretch of time, from a seed to a report: the loop of events, and the log that must not differ.

Everything that happens is in one heap, ordered by real time. The same seed gives the same lines of log. All of it can
be put aside and taken up again (tests/simulator/kept.py), so nothing that lasts is a function without a name.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from random import Random
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet

from heartfly.accounts.commands import create_project
from heartfly.audit.record import Actor
from heartfly.checks import commands
from heartfly.checks.config import CheckIn, of_row
from heartfly.checks.create import assign_channels, insert_check
from heartfly.checks.rows import one
from heartfly.checks.turn import AGAIN_S, NotJudgedYetError
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import channels, checks, metadata
from heartfly.db.sqlite import SqliteSession, driver_of, writing_engine
from heartfly.db.types import instant, micros
from heartfly.errors import ConflictError
from heartfly.sealing import Sealer
from tests.simulator.faults import Fault, Visit, plan_faults, plan_visits
from tests.simulator.ground_truth import DAY, MS, NEVER, SECOND, Edict, Job, Sent, make_jobs, timing_of
from tests.simulator.history import History, Plan
from tests.simulator.machine import Machine, Time
from tests.simulator.oracle import SeenFlip

SIM = Actor("sim")
N_PROJECTS = 4
EVENTS = ["check.down", "check.up", "check.degraded", "check.unverified", "check.schedule_error"]
WATCH_FLIPS = """
CREATE TEMP TABLE seen (n INTEGER PRIMARY KEY, check_id, flip_no);
CREATE TEMP TRIGGER see AFTER INSERT ON main.flips BEGIN
  INSERT INTO seen (check_id, flip_no) VALUES (new.check_id, new.flip_no);
END;
"""
SEEN = """
SELECT s.n, f.check_id, f.flip_no, f.from_status, f.to_status, f.at, f.reason, f.retracts_flip_no
FROM temp.seen s JOIN main.flips f ON f.check_id = s.check_id AND f.flip_no = s.flip_no AND f.pid IN ({pids})
WHERE s.n > ? ORDER BY s.n
"""
GOES_DOWN = "SELECT goes_down_at FROM checks WHERE pid = ? AND id = ?"
FIRST_DUE = "SELECT min(id) FROM checks WHERE wake_at <= ?"
STARTS = (datetime(2026, 3, 7, tzinfo=UTC), datetime(2026, 10, 3, tzinfo=UTC))
"""A month from here sees clocks change in America, Europe and Australia, by an hour or a half."""


class Simulation:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.random = Random(f"{plan.seed}:world")
        start = micros(STARTS[plan.seed % 2])
        if plan.days < 20:
            start += 16 * DAY if plan.seed % 2 else 18 * DAY  # so that Europe's change is within
        self.end = start + int(plan.days * DAY)
        self.time = Time(start)
        self.jobs = make_jobs(plan.seed, plan.n_checks, start, busy=plan.busy)
        engine = writing_engine(None)
        metadata.create_all(engine)
        self.machine = Machine(self.time, SqliteSession(engine), Random(f"{plan.seed}:disk"), self.jobs)
        faults = plan_faults(Random(f"{plan.seed}:faults"), start, self.end, per_day=plan.faults_per_day)
        self.history = History(plan, start, self.jobs, engine, self.machine, faults, self._runs_to_come)
        self._people = IdSource(1000)
        self._heap: list[tuple[int, int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._n_planned = 0
        self._log = b""
        """Of each line and all before it: SHA-256."""
        self._seen = 0
        self._armed: int | None = None
        self._beating: int | None = None
        self._cursor: sqlite3.Cursor | None = None
        self._of_flips = ""
        self._job_of: dict[int, int] = {}
        self._waiting: list[Visit] = []
        self.at_rest: Callable[[], None] | None = None
        """Called after each window, as soon as nothing is under way: whatever was sent is stored by then, or lost."""
        self._rests_at = start
        self.dead: Callable[[], None] | None = None
        """Called where the process does not run: all that it had in memory is gone, and the rest can be put aside."""

    # --- the loop

    def run(self) -> History:
        self.begin()
        return self.go_on()

    def begin(self) -> None:
        self._furnish()
        for job in self.jobs:
            self._plan_job(job)
        for fault in self.history.faults:
            self._at(fault.at, self._fault, fault)
        visits = plan_visits(Random(f"{self.plan.seed}:visits"), self.history.start, self.end, len(self.jobs))
        for visit in visits:
            self._at(visit.at, self._visit, visit)
        self._at(self.end, self._stop_jobs)
        self._afterwards()

    def go_on(self) -> History:
        """From wherever it is to the end."""
        while self._heap:
            real, _, _, handle, args = heapq.heappop(self._heap)
            self.time.real = max(real, self.time.real)
            if not self.plan.every_beat or real > self.end:
                self.machine.pass_time()
            handle(*args)
            self._afterwards()
            # Beside the heap, so that nothing that happens depends on whether anybody looks.
            if self.at_rest is not None and self.time.real >= self._rests_at and self.machine.at_rest:
                self._rests_at = self.time.real + int(self.plan.window * DAY)
                self._rest(self.at_rest)
            if self.dead is not None and self.machine.life is None:
                self.dead()
        self._finish()
        return self.history

    def _rest(self, look: Callable[[], None]) -> None:
        with self.history.engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM temp.seen WHERE n < :seen"), {"seen": self._seen})
        look()

    def _runs_to_come(self) -> set[str]:
        return {args[0].rid for _, _, _, handle, args in self._heap if handle == self._send and args[0].rid}

    def _at(self, real: int, handle: Callable[..., None], *args: Any, urgency: int = 1) -> None:
        self._n_planned += 1
        heapq.heappush(self._heap, (real, urgency, self._n_planned, handle, args))

    def _afterwards(self) -> None:
        machine = self.machine
        if machine.wants_commit:
            machine.committing = True
            slow = machine.random.random() < 0.02
            takes = machine.random.randrange(3 * MS, 1200 * MS if slow else 150 * MS)
            self._at(self.time.real + takes, self._commit, machine.n_lives)
        if machine.round_at is not None and machine.round_at != self._armed:
            self._armed = machine.round_at
            self._at(max(machine.round_at, self.time.real), self._round, machine.round_at, urgency=2)

        beat_at = machine.idle_beat if self.plan.every_beat else None
        if beat_at is not None and beat_at != self._beating and beat_at <= self.end:
            self._beating = beat_at
            self._at(beat_at, self._beat, beat_at, urgency=3)

    def _beat(self, armed: int) -> None:
        if self.machine.idle_beat == armed:
            self.machine.look()

    def _round(self, armed: int) -> None:
        if self._armed == armed:
            self._armed = None
        if self.machine.round_at == armed and self.machine.must_look():
            self._look()

    def _look(self) -> None:
        if self._waiting:
            self._visit_what_is_due()
        looked = self.machine.look()
        if looked is not None:
            self._say("look", micros(looked.watermark))

    def _commit(self, life: int) -> None:
        if self.machine.life is not None and self.machine.life.number == life:
            self.machine.commit()
            self._say("commit")

    def _stop_jobs(self) -> None:
        for job in self.jobs:
            job.version += 1

    def _finish(self) -> None:
        if self.machine.life is None:
            self.machine.start()
        elif self.machine.state != "up":
            self.machine.go_on(door_first=True)
        self.machine.commit()
        self.machine.look()
        self.history.digest = self._log.hex()

    # --- what is there at the beginning

    def _furnish(self) -> None:
        pids = self.machine.store.apply(self._make)
        self._of_flips = SEEN.format(pids=",".join(map(str, pids)))
        self.watch_flips()
        self.machine.observe = self._see_flips
        self.machine.start()

    def watch_flips(self) -> None:
        """What is remembered of new flips stands beside the database, and begins anew with each connection to it."""
        with self.history.engine.connect() as connection:
            cursor = driver_of(connection).cursor()
        cursor.executescript(WATCH_FLIPS)
        if self._seen:
            cursor.execute("INSERT INTO temp.seen (n) VALUES (?)", (self._seen,))
        self._cursor = cursor

    def _make(self, tx: Tx) -> list[int]:
        ids, at, pids = self._people, self.time.now(), []
        sealer = Sealer([Fernet.generate_key()])
        for number in range(N_PROJECTS):
            made = create_project(tx, slug=f"p{number}", name=f"P{number}", zone="UTC", sealer=sealer, at=at, ids=ids)
            pids.append(made.pid)
            for name in ("mail", "hook"):
                tx.conn.execute(
                    sa.insert(channels).values(
                        pid=made.pid, id=ids.next(at), uuid=f"{number}-{name}", kind="webhook", name=name,
                        config_enc=b"", events=EVENTS, created_at=at, rev=1,
                    )
                )  # fmt: skip
        for job in self.jobs:
            pid = pids[job.index % N_PROJECTS]
            made_check = insert_check(tx, pid, job.config, actor="sim", at=at, ids=ids, slug_key=job.config.slug)
            assign_channels(tx, pid, made_check.id, None)
            job.row = made_check.row
            self._job_of[made_check.id] = job.index
        return pids

    # --- jobs

    def _plan_job(self, job: Job) -> None:
        job.version += 1
        at = job.next_run(self.time.real, self.time.wall)
        if at < min(self.end, NEVER):
            self._at(at, self._run_job, job, job.version)

    def _run_job(self, job: Job, version: int) -> None:
        if version != job.version:
            return
        for sent in job.run(self.time.real, self.time.wall, lambda: self._deadline(job)):
            self._at(sent.at, self._send, sent, 0, urgency=0)
        self._plan_job(job)

    def _deadline(self, job: Job) -> int | None:
        at = self.machine.store.ask(GOES_DOWN, job.row.pid, job.row.id)
        return None if at is None else at - self.time.offset

    def _send(self, sent: Sent, tries: int) -> None:
        self.history.tally["sent"] += 1
        self.jobs[sent.job].history.append(sent)
        if not self.machine.arrive(sent):
            self._refused(sent, tries)
        elif sent.takes:
            self._at(sent.at + sent.takes, self.machine.body_arrived, sent)

    def _refused(self, sent: Sent, tries: int) -> None:
        """No 2xx was heard. The client may ask again."""
        self.history.tally["refused"] += 1
        if tries < len(sent.patience):
            again = Sent(
                sent.job, sent.what, self.time.real + sent.patience[tries], 0, sent.rid, sent.exit_status, sent.patience
            )
            self._at(again.at, self._send, again, tries + 1, urgency=0)

    # --- faults

    def _fault(self, fault: Fault) -> None:
        machine = self.machine
        if machine.state != "up":
            return
        self.history.tally[fault.kind] += 1
        lasts = self._aimed(fault)
        self._say(fault.kind, lasts)
        unheard: list[Sent] = []
        match fault.kind:
            case "clock":
                machine.set_clock(fault.by)
                for job in self.jobs:
                    if job.rhythm == "calendar":
                        job.last_fire = min(job.last_fire, self.time.wall)
                        self._plan_job(job)
                return
            case "restart":
                unheard = machine.stop()
                self._at(self.time.real + lasts, self._start)
            case "crash" | "outage":
                unheard = machine.crash(stored=fault.door_first)
                self._at(self.time.real + lasts, self._start)
            case _:
                machine.stand_still({"stall": "stalled", "sleep": "asleep"}.get(fault.kind, "writing"))
                self._at(self.time.real + lasts, self._go_on, fault)
        for sent in unheard:
            self._refused(sent, 0)

    def _start(self) -> None:
        self.machine.start()
        self._say("start")

    def _go_on(self, fault: Fault) -> None:
        refused = self.machine.go_on(door_first=fault.door_first)
        self._say("go on")
        for sent in refused:
            self._refused(sent, 0)

    def _aimed(self, fault: Fault) -> int:
        """How long it lasts: now and then exactly until something is due, or opens."""
        if not fault.aimed or not fault.lasts:
            return fault.lasts
        column = self.random.choice((checks.c.goes_down_at, checks.c.expected_at))
        now = self.time.now()
        until = instant(self.time.wall + 2 * fault.lasts + SECOND)
        query = sa.select(column).where(column > now, column < until).order_by(checks.c.id).limit(20)
        due = self.machine.store.apply(lambda tx: list(tx.conn.execute(query).scalars()))
        if not due:
            return fault.lasts
        return max(1, micros(self.random.choice(due)) - self.time.wall + self.random.choice((-1, 0, 0, 1)))

    # --- people

    def _visit(self, visit: Visit) -> None:
        job = self.jobs[visit.job]
        if visit.aimed:
            self._waiting.append(visit)
            return
        if self.machine.state != "up":
            return
        if visit.what == "pause":
            self._edict(job, "pause")
            if self.random.random() < 0.6:
                job.asleep_until = visit.back_at
            self._at(visit.back_at, self._resume, job)
        else:
            factor = self.random.choice((0.5, 2, 3))
            grace = max(1, int(job.timing.grace / SECOND * factor))
            self._edict(job, "edit", CheckIn(grace=grace))

    def _visit_what_is_due(self) -> None:
        """Somebody turns to a check at its deadline, in the moment before the watcher looks."""
        due = self.machine.store.ask(FIRST_DUE, self.time.wall)
        if due is not None and self.machine.state == "up":
            self._visit(replace(self._waiting.pop(), job=self._job_of[due], aimed=False))

    def _resume(self, job: Job) -> None:
        if self.machine.state == "up":
            self._edict(job, "resume")

    def _edict_again(self, job: Job, what: str, asked: CheckIn | None) -> None:
        if self.machine.state == "up":
            self._edict(job, what, asked)

    def _edict(self, job: Job, what: str, asked: CheckIn | None = None) -> None:
        machine, at = self.machine, self.time.now()
        machine.step += 1
        judged = machine.judged.of(job.index)

        def work(tx: Tx) -> None:
            if asked is not None:
                commands.edit(tx, job.row.pid, job.row.uuid, asked, at=at, ids=self._people, actor=SIM)
            else:
                command = commands.pause if what == "pause" else commands.resume
                command(tx, job.row.pid, job.row.uuid, at=at, ids=self._people, actor=SIM)

        try:
            machine.store.apply(work)
        except ConflictError:
            return  # it is not paused any more: a ping came
        except NotJudgedYetError:
            self.history.tally["waited for the judge"] += 1
            self._at(self.time.real + int(AGAIN_S * SECOND), self._edict_again, job, what, asked)
            return
        if asked is not None:
            fresh = machine.store.apply(lambda tx: one(tx, job.row.pid, job.row.id))
            assert fresh is not None
            job.config = of_row(fresh.row._asdict())
            job.timing = timing_of(job.config)
        self._say(what, job.index)
        job.history.append(Edict(job.index, what, self.time.wall, machine.step, judged, job.timing))
        self._see_flips()

    # --- what came of it

    def _see_flips(self) -> None:
        assert self._cursor is not None
        found = list(self._cursor.execute(self._of_flips, (self._seen,)))
        for n, check_id, flip_no, from_status, to_status, at, reason, retracts in found:
            self._seen = n
            index = self._job_of[check_id]
            step = self.machine.step
            seen = SeenFlip(step, self.time.real, flip_no, from_status, to_status, at, reason, retracts)
            self.history.flips[index].append(seen)
            self._say("flip", index, flip_no, from_status, to_status, at, reason, retracts)

    def _say(self, what: str, *facts: object) -> None:
        self._log = sha256(self._log + f"{self.time.real} {self.time.offset} {what} {facts}\n".encode()).digest()
