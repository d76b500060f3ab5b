"""Runs Heartfly's own jobs: takes the slots that have come, does the work, writes the outcome, tells the check.

    look     which slots have come, which of them nobody runs, and what no check was told yet
    carry    start told → work, its lease renewed meanwhile → outcome committed → end told

On SQLite there is one process. On PostgreSQL any node may run a slot, and one does: see claims.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.clock import Clock
from heartfly.db.changes import Changes, Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.ids import IdSource
from heartfly.errors import HeartflyError, OverloadedError
from heartfly.jobs.bell import Bell
from heartfly.jobs.claims import LEASE, Claim, claim, finish, holds, release, renew
from heartfly.jobs.kind import Done, JobKind, LeaseLostError
from heartfly.jobs.slots import list_jobs, next_slot, take_slots
from heartfly.jobs.telling import Untold, tell, untold_ends, untold_starts
from heartfly.logs import line, logger
from heartfly.pings.ingest import Ingest

log = logger("heartfly.jobs")

Result = TypeVar("Result")

LOOK_AGAIN = timedelta(seconds=30)
"""However far the next slot is: another node may have died, and a clock may have been set."""
PATIENCE = 5
"""How often a piece of work is tried while the database has no time for it."""
MOST_WORDS = 1000


@dataclass(frozen=True, slots=True)
class Looked:
    claims: list[Claim]
    starts: list[Untold]
    ends: list[Untold]
    next_at: datetime | None


class Jobs:
    def __init__(
        self,
        database: Database,
        *,
        kinds: Iterable[JobKind],
        ingest: Ingest,
        clock: Clock,
        ids: IdSource,
        node_id: int,
    ) -> None:
        self._database = database
        self._kinds = {kind.name: kind for kind in kinds}
        self._ingest = ingest
        self._clock = clock
        self._ids = ids
        self._node_id = node_id
        self._ringing = asyncio.Event()
        self._bell = Bell(self._ringing.set)
        self._tasks: dict[asyncio.Task[None], Running] = {}

    def heard(self, changes: Changes) -> None:
        """Somebody asked for a run: look at once."""
        if changes.jobs:
            self._ringing.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Look and carry until stopped; what is under way then is left for whoever comes next."""
        self._bell.start()
        try:
            while not stop.is_set():
                self._ringing.clear()
                try:
                    self._bell.set(await self.look())
                except HeartflyError as error:
                    log.warning("jobs", error=str(error))
                except Exception as error:  # told in the log; the next look tries again
                    log.exception("jobs", error=repr(error))
                await self._rest(stop)
        finally:
            self._bell.stop()
            await self._leave()

    async def look(self) -> datetime | None:
        """Begin what has come, tell what was not told, and return when the next slot comes."""
        having = {kind.name: await kind.projects() for kind in self._kinds.values() if kind.projects is not None}
        looked = await self._database.write(lambda tx: self._look(tx, having))
        await self._tell([*looked.starts, *looked.ends])
        for mine in looked.claims:
            running = Running(self._database, mine, self._clock)
            task = asyncio.ensure_future(self._carry(running))
            self._tasks[task] = running
            task.add_done_callback(self._carried)
        return looked.next_at

    def _look(self, tx: Tx, having: Mapping[str, Collection[int]]) -> Looked:
        now = self._clock.now()
        list_jobs(tx, self._kinds.values(), now=now, ids=self._ids, having=having)
        take_slots(tx, self._kinds, now=now)
        claims = claim(tx, self._kinds, node_id=self._node_id, now=now, ids=self._ids)
        starts = untold_starts(tx, node_id=self._node_id)
        return Looked(claims, starts, untold_ends(tx), next_slot(tx))

    async def _tell(self, untold: Iterable[Untold]) -> None:
        """What cannot be told now is told by a later look: the work does not wait for it."""
        for one in untold:
            try:
                await tell(self._ingest, one)
            except HeartflyError as error:
                log.warning("job", told=one.kind.value, error=str(error))

    async def idle(self) -> None:
        """Return when nothing is under way."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    def _carried(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("job", error=repr(error))
        self._ringing.set()  # the job's next slot may be waiting

    async def _carry(self, running: Running) -> None:
        mine, began = running.claim, self._clock.monotonic()
        renewing = asyncio.ensure_future(self._renew(running, asyncio.current_task()))
        try:
            done = await self._work(running)
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
        if done is None:
            return
        kept = await running.settle(lambda tx: finish(tx, mine, done, now=self._clock.now()))
        facts: dict[str, Any] = {
            "job": mine.kind,
            "slot": mine.slot_at,
            "outcome": ("failed" if done.failure else "ok") if kept else "lost",
            "error": done.failure or None,
            "took_ms": round((self._clock.monotonic() - began) * 1000, 1),
        }
        line("job", **(facts | dict(done.figures)))
        if kept:
            await self._tell(await self._database.write(untold_ends))
        if done.damage is not None:
            self._database.give_up(done.damage)  # the alert goes out while the server drains

    async def _work(self, running: Running) -> Done | None:
        try:
            return await self._kinds[running.claim.kind].work(running)
        except LeaseLostError:
            log.warning("job", job=running.claim.kind, error="another node took it over")
            return None
        except HeartflyError as error:
            return Done(failure=str(error)[:MOST_WORDS])
        except Exception as error:
            log.exception("job", job=running.claim.kind, error=repr(error))
            return Done(failure=f"a fault of Heartfly's own: {error!r}"[:MOST_WORDS])

    async def _renew(self, running: Running, work: asyncio.Task[None] | None) -> None:
        """Say that we live. Whoever lost his lease stops at once; he could not write anything any more."""
        while True:
            await self._clock.sleep(LEASE.total_seconds() / 4)
            try:
                kept = await self._database.write(
                    lambda tx: renew(tx, running.claim, now=self._clock.now()), priority=Priority.JUDGING
                )
            except HeartflyError as error:
                log.warning("job", job=running.claim.kind, error=str(error))
                continue
            if not kept and work is not None:
                log.warning("job", job=running.claim.kind, error="another node took it over")
                running.give_up()
                work.cancel()
                return

    async def _rest(self, stop: asyncio.Event) -> None:
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(stop.wait())]
        waits.append(asyncio.ensure_future(self._ringing.wait()))
        waits.append(asyncio.ensure_future(self._clock.sleep(LOOK_AGAIN.total_seconds())))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _leave(self) -> None:
        for task, running in list(self._tasks.items()):
            running.give_up()
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._database.write(lambda tx: release(tx, node_id=self._node_id, now=self._clock.now()))
        except HeartflyError as error:
            # The lease ends by itself.
            log.warning("jobs", error=str(error))


class Running:
    """A run under way, as its work sees it."""

    def __init__(self, database: Database, mine: Claim, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._stopping = threading.Event()
        self.claim = mine

    @property
    def pid(self) -> int:
        return self.claim.pid

    @property
    def slot_at(self) -> datetime:
        return self.claim.slot_at

    @property
    def now(self) -> datetime:
        return self._clock.now()

    @property
    def on_postgres(self) -> bool:
        return self._database.on_postgres

    def stopping(self) -> bool:
        return self._stopping.is_set()

    def give_up(self) -> None:
        self._stopping.set()

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._database.read()

    async def write(self, piece: Callable[[Tx], Result]) -> Result:
        def fenced(tx: Tx) -> Result:
            if not holds(tx, self.claim):
                raise LeaseLostError("another node runs this slot")
            return piece(tx)

        return await self.settle(fenced)

    async def settle(self, command: Callable[[Tx], Result]) -> Result:
        """A transaction behind everybody else's, tried again while the database has no time for it."""
        for attempt in range(1, PATIENCE + 1):
            try:
                return await self._database.write(command, priority=Priority.BULK)
            except OverloadedError as error:
                if attempt == PATIENCE:
                    raise
                await self._clock.sleep(error.retry_after)
        raise AssertionError("unreachable")
