"""One node of Heartfly on a real database and a virtual clock: its doors, and what a kill leaves.

Watcher, beat, judge, leader, ingest, the ping batch and people's commands are the production ones, called one after
another. Decided here is only when the process dies and what it had in memory then; nothing of what must come of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import msgspec
import sqlalchemy as sa
from cryptography.fernet import Fernet

from heartfly.accounts.commands import create_project
from heartfly.audit.record import Actor
from heartfly.checks import commands
from heartfly.checks.config import CheckIn, ScheduleIn, ToleranceIn
from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import WriteSession
from heartfly.db.ids import IdSource
from heartfly.db.models import channels, checks, leases, metadata
from heartfly.db.types import instant, micros
from heartfly.monitor.blind import Beat
from heartfly.monitor.judge import Judge
from heartfly.monitor.leader import Leader
from heartfly.monitor.watch import Watcher
from heartfly.pings.apply import PingApplier
from heartfly.pings.ingest import Ingest
from heartfly.pings.rate import RateLimiter
from heartfly.pings.request import ByUuid, PingOutcome, PingRequest
from heartfly.sealing import Sealer
from tests.core.check_oracle import SECOND, Rules
from tests.simulator.machine import KEEP_ALL, Store, Time, at_once
from tests.states.told import HEARING, HOUR, START

Result = TypeVar("Result")

SOMEBODY = Actor("somebody")
N_CHANNELS = 2
EVENTS = ["check.down", "check.up", "check.degraded", "check.unverified", "check.schedule_error"]
GATES = ["rows > 0 warn", "bytes > 0"]
FIGURES = {"warn": b"rows=0\nbytes=1", "broken": b"rows=1\nbytes=0"}
KINDS = {
    "fail": PingKind.FAIL,
    "exit 3": PingKind.FAIL,
    "start": PingKind.START,
    "progress": PingKind.PROGRESS,
    "log": PingKind.LOG,
}
_START = micros(START)
_PEOPLE = 1_000
"""The node that ids of projects and checks are of."""


def asked(rules: Rules) -> CheckIn:
    """As somebody asks for a check that is expected so."""
    hours, bounds = rules.period // HOUR, []
    cron = ScheduleIn("cron", expression="0 * * * *" if hours == 1 else f"0 */{hours} * * *")
    if rules.start_within is not None:
        bounds.append(f"start within {rules.start_within // SECOND}s")
    if rules.early is not None:
        bounds.append(f"early {rules.early // SECOND}s")
    if rules.min_run is not None:
        bounds.append(f"run >= {rules.min_run // SECOND}s")
    share, last = (None, None) if rules.share is None else (100 * rules.share[0] // rules.share[1], rules.share[1])
    tolerance = ToleranceIn(failures=rules.failures, share=share, last=last, recover=rules.recover)
    return CheckIn(
        schedule=cron if rules.calendar else ScheduleIn("period", period=rules.period // SECOND),
        grace=rules.grace // SECOND,
        max_run=None if rules.max_run is None else rules.max_run // SECOND,
        gates=list(GATES),
        tolerance=tolerance if rules.counts else None,
        bounds=bounds,
        sticky=rules.sticky,
        unverified_is_down=rules.unverified_is_down,
    )


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request that is under way."""

    seq: int
    at: int
    request: PingRequest


@dataclass(slots=True)
class _Life:
    number: int
    ids: IdSource
    ingest: Ingest
    applier: PingApplier
    watcher: Watcher


class House:
    def __init__(self, session: WriteSession, beside: sa.Connection | None) -> None:
        """`beside`: PostgreSQL's, to look in without a commit; None: it is SQLite, which has one connection."""
        self.on_postgres = beside is not None
        self._beside = beside
        self.store = Store(session)
        self.time = Time(_START)
        self._n_lives = 0
        self._life: _Life | None = None
        self._people = IdSource(_PEOPLE)
        self.pid = self.store.apply(self._furnish)
        used = self.store.apply(_used)
        self._empty = [f"DELETE FROM {table}" for table in reversed(metadata.sorted_tables) if table.name not in used]

    # --- the house

    def _furnish(self, tx: Tx) -> int:
        at, ids, sealer = self.time.now(), self._people, Sealer([Fernet.generate_key()])
        made = create_project(tx, slug="main", name="Main", zone="UTC", sealer=sealer, at=at, ids=ids)
        tx.conn.execute(sa.delete(metadata.tables["audit"]))
        for number in range(N_CHANNELS):
            row = {
                "pid": made.pid,
                "id": ids.next(at),
                "uuid": f"channel-{number}",
                "kind": "webhook",
                "config_enc": b"",
            }
            row |= {"name": f"c{number}", "events": EVENTS, "created_at": at, "rev": 1}
            tx.conn.execute(sa.insert(channels).values(row))
        return made.pid

    def begin(self) -> None:
        """Nothing has happened yet."""

        def work(tx: Tx) -> None:
            for statement in ["; ".join(self._empty)] if tx.on_postgres else self._empty:
                tx.conn.exec_driver_sql(statement)

        self.store.apply(work)
        self.time = Time(_START)
        self._people, self._n_lives = IdSource(_PEOPLE), 0
        self.start()

    def tidy(self) -> None:
        """What stories before have deleted goes; the tests' PostgreSQL does not do so by itself."""
        if self._beside is not None:
            with self._beside.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM")

    def read(self, look: Callable[[Tx], None]) -> None:
        if self._beside is None:
            self.store.apply(look)
            return
        with self._beside.begin():
            look(Tx(self._beside))

    @property
    def now(self) -> int:
        return self.time.real - _START

    def move_to(self, at: int) -> None:
        assert at >= self.now
        self.time.real = _START + at

    # --- the process

    def start(self) -> None:
        self._n_lives += 1
        number, store = self._n_lives, cast("Database", self.store)
        ids = IdSource(number)
        applier = PingApplier(ids=ids, node_id=number, rate=RateLimiter(per_minute=1_000_000), keep=KEEP_ALL)
        ingest = Ingest(store, applier, self.time)
        beat = Beat(node_id=number, ids=ids, hearing=HEARING, version="states", under_way=ingest.under_way)
        watcher = Watcher(
            store,
            beat=beat,
            judge=Judge(ids=ids),
            leader=Leader(node_id=number, clock=self.time),
            clock=self.time,
            hearing=HEARING,
        )
        self._life = _Life(number, ids, ingest, applier, watcher)
        at_once(watcher.join())

    @property
    def life(self) -> _Life:
        assert self._life is not None
        return self._life

    def die(self) -> None:
        """Whatever is in memory is gone. The lease is, too, by the time of the database, which is no virtual one."""
        self._life = None
        if self.on_postgres:
            self.store.apply(lambda tx: tx.conn.execute(sa.update(leases).values(expires_at=START - timedelta(days=1))))

    def leave(self) -> None:
        at_once(self.life.watcher.leave())
        self._life = None

    def look(self) -> None:
        """A round of the watcher."""
        assert at_once(self.life.watcher.round()).leads

    # --- the door

    def arrive(self, row: Any, what: str, *, rid: str | None, happened: int | None = None) -> Arrived:
        target = ByUuid(row.ping_uuid)
        seq, at = self.life.ingest.arrived(target)
        body = FIGURES.get(what, b"rows=1\nbytes=1")
        request = PingRequest(
            target=target,
            kind=KINDS.get(what, PingKind.SUCCESS),
            received_at=at,
            seq=seq,
            exit_status=3 if what == "exit 3" else None,
            rid=rid,
            body=body,
            body_size=len(body),
            happened_at=None if happened is None else instant(_START + happened),
        )
        return Arrived(seq, micros(at) - _START, request)

    def commit(self, arrived: Sequence[Arrived]) -> list[PingOutcome]:
        """As one batch."""
        applier, requests = self.life.applier, [one.request for one in arrived]
        results = self.store.apply(lambda tx: applier.apply(tx, requests))
        for one in arrived:
            self.life.ingest.gone(one.seq)
        return [result.outcome for result in results]

    # --- people

    def create(self, name: str, rules: Rules) -> Any:
        wanted, at, ids = msgspec.structs.replace(asked(rules), name=name), self.time.now(), self._people
        columns = sa.select(checks.c.pid, checks.c.id, checks.c.uuid, checks.c.ping_uuid)

        def work(tx: Tx) -> Any:
            uuid = commands.create(tx, self.pid, wanted, at=at, ids=ids, actor=SOMEBODY)
            return tx.conn.execute(columns.where(checks.c.uuid == uuid)).one()

        return self._done(work)

    def edit(self, row: Any, wanted: CheckIn) -> None:
        at, ids = self.time.now(), self._people
        self._done(lambda tx: commands.edit(tx, row.pid, row.uuid, wanted, at=at, ids=ids, actor=SOMEBODY))

    def act(self, row: Any, what: str) -> None:
        """pause, resume or delete."""
        at, ids = self.time.now(), self._people
        command: Any = getattr(commands, what)
        self._done(lambda tx: command(tx, row.pid, row.uuid, at=at, ids=ids, actor=SOMEBODY))

    def _done(self, work: Callable[[Tx], Result]) -> Result:
        """HeartflyError: it was refused, and nothing was changed."""
        return at_once(self.store.write(work))


def _used(tx: Tx) -> set[str]:
    """Tables that hold something."""
    query = "SELECT 1 FROM {} LIMIT 1"
    return {name for name in metadata.tables if tx.conn.exec_driver_sql(query.format(name)).first() is not None}
