"""The two ways in: `read()` for queries, `write()` for commands. Rooms use nothing else.

Writes are queued to the group commit by priority; reads go to connections that cannot write.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import QueuePool

from heartfly.clock import Clock, SystemClock
from heartfly.db import postgres, sqlite
from heartfly.db.changes import Changes, Tx
from heartfly.db.group_commit import GroupCommitter, Handler, Priority, WriteSession, each_alone
from heartfly.db.lookup import Lookup
from heartfly.db.parts import MAIN, Part
from heartfly.db.prepared import Prepared
from heartfly.db.reserve import Reserve
from heartfly.db.snapshots import Place, keep, let_go
from heartfly.errors import OverloadedError, StoreError

Result = TypeVar("Result")


class Access(Protocol):
    """What rooms may do with the database, from whichever event loop they run in."""

    @property
    def on_postgres(self) -> bool: ...

    def listen(self, listener: Callable[[Changes], None], *, about: Callable[[Changes], bool] = bool) -> None: ...

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]: ...

    async def write(self, command: Callable[[Tx], Result], *, priority: Priority = Priority.EDITS) -> Result: ...

    async def submit(self, handler: Handler, item: Any, *, priority: Priority) -> Any: ...


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """OverloadedError: the query took longer than a read may."""
    try:
        async with engine.connect() as connection:
            yield connection
    except OperationalError as error:
        if "interrupted" in str(error.orig) or "statement timeout" in str(error.orig):
            raise OverloadedError("the question takes too long to answer") from error
        raise


_READ_LASTS_S = 6.0
"""No read of SQLite's or PostgreSQL's lasts longer: it is interrupted at 5 s."""


async def end_reading(engine: AsyncEngine) -> None:
    """Close its connections, those in use as soon as they are given back.

    One that came back to an engine that was disposed of would be closed by nobody. A read that is cancelled gives its
    connection back a few steps later, in a task of its own.
    """
    pool = engine.sync_engine.pool
    clock = SystemClock()  # real connections take real time, beside a simulation's clock that stands still, too
    ends = clock.monotonic() + _READ_LASTS_S
    while isinstance(pool, QueuePool) and pool.checkedout() and clock.monotonic() < ends:
        await clock.sleep(0.005)
    await engine.dispose()


class Database:
    """`url` empty or `sqlite:///FILE`: SQLite, by default in `data_dir`. `node_id` is this process's row in `nodes`.

    `part`: which of the two databases that belong together. The lock on their directory is MAIN's, which is opened
    first and closed last.
    """

    def __init__(
        self,
        *,
        url: str,
        data_dir: Path,
        clock: Clock,
        node_id: int = 1,
        part: Part = MAIN,
        capacity: int = 10_000,
        on_fatal: Callable[[StoreError], None] = lambda _: None,
        on_batch: Callable[[int, float], None] = lambda _n, _took_s: None,
    ) -> None:
        self.on_postgres = url.startswith("postgresql")
        self.node_id = node_id
        self.part = part
        self._clock = clock
        self._capacity = capacity
        self._on_fatal = on_fatal
        self._on_batch = on_batch
        self.n_batches = 0
        """How many this process has written, or tried to."""
        self._listeners: list[tuple[Callable[[Changes], None], Callable[[Changes], bool]]] = []
        # The lock lies beside the file: two servers on one file are two writers, whatever they call their directory.
        main = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else data_dir / MAIN.file
        self._path = main if part is MAIN else main.with_name(part.file)
        self._url = url
        self._lock: IO[str] | None = None
        self._lanes: list[GroupCommitter] = []
        self._damage: StoreError | None = None
        self.reserve: Reserve | None = None
        self._reading: AsyncEngine | None = None
        self._lookup: Lookup | None = None
        self.engine: Engine = self._writing_engine()

    def _writing_engine(self) -> Engine:
        if self.on_postgres:
            return postgres.writing_engine(self._url, self.part)
        if self.part is not MAIN:
            return sqlite.writing_engine(self._path, self.part)
        self._lock = sqlite.lock(self._path.parent)
        if (self._path.parent / sqlite.UNFINISHED).exists():
            self._lock.close()
            raise StoreError(f"a restore into {self._path.parent} did not end: run `heartfly restore --force` again")
        return sqlite.writing_engine(self._path)

    @property
    def path(self) -> Path | None:
        """The file; None: it is PostgreSQL's."""
        return None if self.on_postgres else self._path

    @property
    def place(self) -> Place:
        return Place(self._url, self.path, self.part)

    def listen(self, listener: Callable[[Changes], None], *, about: Callable[[Changes], bool] = bool) -> None:
        """Hear, in the event loop, what each committed transaction changed, if it is `about` that.

        May be called in any thread.
        """
        self._listeners.append((listener, about))

    def unlisten(self, listener: Callable[[Changes], None]) -> None:
        """Call in the event loop: when this returns, the listener is not called any more."""
        self._listeners[:] = [known for known in self._listeners if known[0] is not listener]

    def start(self) -> None:
        """Call in the event loop. The schema must be there."""
        self._reading = self.reading_engine()
        self._lookup = postgres.lookup(self._url, self.part) if self.on_postgres else None
        keep(self.place)
        for lane in self.part.lanes if self.on_postgres else self.part.lanes[:1]:
            committer = GroupCommitter(
                lambda lane=lane: self._session(lane),  # type: ignore[misc]
                clock=self._clock,
                capacity=self._capacity,
                on_commit=self._tell,
                on_fatal=self._on_fatal,
                on_batch=self._batch,
                apart=self.on_postgres,
            )
            committer.start()
            self._lanes.append(committer)

    def reading_engine(self) -> AsyncEngine:
        """Connections that cannot write, for the event loop that uses them first; its owner ends them."""
        if self.on_postgres:
            return postgres.reading_engine(self._url, self.part)
        return sqlite.reading_engine(self._path, self._clock, self.part)

    def _session(self, lane: int) -> WriteSession:
        if self.on_postgres:
            return postgres.PostgresSession(self.engine, node_id=self.node_id, lane=lane)
        return sqlite.SqliteSession(self.engine, self.part)

    def _batch(self, n: int, took_s: float) -> None:
        """In a writer's thread. Two that count at once may count one, which is still another number than before."""
        self.n_batches += 1
        self._on_batch(n, took_s)

    def _tell(self, changes: Changes) -> None:
        for listener, about in tuple(self._listeners):
            if about(changes):
                listener(changes)

    async def stop(self) -> None:
        for lane in self._lanes:
            await lane.stop()
        self._lanes.clear()
        engine, self._reading = self._reading, None
        if self._lookup is not None:
            await self._lookup.close()
            self._lookup = None
        if engine is not None:
            let_go(self.place)
            await end_reading(engine)
        self.close()

    def close(self) -> None:
        self.engine.dispose()
        if self._lock is not None:
            self._lock.close()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        if self._reading is None:
            raise StoreError("the database is not open")
        async with reading(self._reading) as connection:
            yield connection

    async def look_up(self, question: Prepared, **values: Any) -> Sequence[Any]:
        """The rows of one small question that each request asks, by columns' names; OperationalError: it is away."""
        if self._lookup is not None:
            return await self._lookup.rows(question, **values)
        async with self.read() as read:
            return (await read.execute(question.plan(read.dialect).statement, values)).all()

    async def write(self, command: Callable[[Tx], Result], *, priority: Priority = Priority.EDITS) -> Result:
        """Run the command in a transaction shared with whatever else waits; return after the commit."""
        result: Result = await self.submit(each_alone, command, priority=priority)
        return result

    async def submit(self, handler: Handler, item: Any, *, priority: Priority) -> Any:
        return await self.enter(handler, item, priority=priority)

    def enter(self, handler: Handler, item: Any, *, priority: Priority) -> asyncio.Future[Any]:
        """As GroupCommitter.enter."""
        lane = self._lanes[0 if priority <= Priority.JUDGING or len(self._lanes) == 1 else 1]
        return lane.enter(handler, item, priority=priority)

    def give_up(self, error: StoreError) -> None:
        """A page was found damaged: from now on it is `broken`, and whoever runs the process is told to end it.

        Call in the event loop. What is under way is still written, as it was until now.
        """
        self._damage = error
        self._on_fatal(error)

    def demand_room(self) -> None:
        """For what comes from outside. OverloadedError: the disk is full, and what room is left is kept for alerts."""
        if self.reserve is not None:
            self.reserve.demand()

    @property
    def broken(self) -> StoreError | None:
        return self._damage or next((lane.broken for lane in self._lanes if lane.broken is not None), None)

    @property
    def n_queued(self) -> int:
        """How many writes wait."""
        return sum(lane.n_queued for lane in self._lanes)

    @property
    def stuck_s(self) -> float:
        """How long a writer has been at the batch in its hands, at most."""
        return max((lane.stuck_s for lane in self._lanes), default=0.0)

    @property
    def refused_s(self) -> float | None:
        """How long ago a write was last refused; None: none was."""
        return min((s for lane in self._lanes if (s := lane.refused_s) is not None), default=None)

    def transaction(self, work: Callable[[Tx], Result]) -> Result:
        """One synchronous write, for commands that run without a server and for simulations.

        StoreError: there is no database to be reached; or the connection was lost, and it may be there or not.
        """
        try:
            connection = self.engine.connect()
        except (OperationalError, InterfaceError) as error:
            raise StoreError(f"the database cannot be reached; nothing was changed: {error.orig}") from error
        try:
            with connection, connection.begin():
                return work(Tx(connection))
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            raise StoreError(
                f"the database went away in the middle of a change, which may be there: {error.orig}"
            ) from error
