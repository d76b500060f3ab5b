"""Many callers, one transaction. Nobody is told "saved" before the commit has returned.

One thread owns the one writing connection. It takes whatever arrived while the last commit was on the disk and its
callers were told, in order of priority, and commits it together; an idle server commits at once, with whatever else the
event loop had in its hands: there is no fixed delay. A handler's failure rolls the batch back and each item is tried
again alone, so that a poisoned one fails by itself. Each priority has a queue of its own, which is bounded: full means
"not now", never a silent loss, and pings without end refuse no alert. What the items mean is not decided here.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby
from typing import Any, Protocol, TypeVar

from heartfly.clock import Clock
from heartfly.db.changes import Changes, Tx
from heartfly.errors import AwayError, HeartflyError, OverloadedError, StoreError
from heartfly.logs import logger

log = logger("heartfly.writer")

Item = TypeVar("Item")
Result = TypeVar("Result")


_TELL_LIMIT_S = 0.02
"""How long the writer waits for a busy event loop to tell the callers of the last batch."""


class Priority(IntEnum):
    PINGS = 0
    JUDGING = 1
    EDITS = 2
    BULK = 3


_TAKEN_ALONG = 8


class Handler(Protocol):
    """Applies items to the open transaction; one result (or exception, for that item alone) each, in order."""

    def __call__(self, tx: Tx, items: Sequence[Any], /) -> Sequence[Any]: ...


class WriteSession(Protocol):
    """The writing connection, and what its database's failures mean."""

    def attempt(self, work: Callable[[Tx], Result]) -> Result:
        """Run `work` in one transaction and commit it. An unknown commit is settled before this returns."""
        ...

    def explain(self, error: Exception) -> StoreError | OverloadedError | None:
        """What a caller should hear if the database itself failed; None if the item is to blame."""
        ...

    def tidy(self) -> None:
        """A batch is committed, and its callers are being told: what nobody shall wait for is done now."""
        ...

    def close(self) -> None: ...


class FatalStoreError(StoreError):
    """The database can no longer be trusted (a failed flush, a damaged page): the process must end."""


@dataclass(slots=True)
class _Entry:
    handler: Handler
    item: Any
    future: asyncio.Future[Any]
    expires: float  # monotonic seconds
    taken: bool = False
    """It is in the writer's hands, or was: what became of it, only the writer knows."""


class GroupCommitter:
    """`submit` waits for the commit; at most `capacity` items of each priority wait, at most `timeout_s` each."""

    def __init__(
        self,
        open_session: Callable[[], WriteSession],
        *,
        clock: Clock,
        capacity: int = 10_000,
        max_batch: int = 512,
        timeout_s: float = 10.0,
        on_commit: Callable[[Changes], None] = lambda _: None,
        on_fatal: Callable[[StoreError], None] = lambda _: None,
        on_batch: Callable[[int, float], None] = lambda _n, _took_s: None,
        apart: bool = False,
    ) -> None:
        """`apart`: there are other writers, and whoever locks row after row must do so in one order. Commands lock what
        they please, so each of them gets a transaction of its own; a handler's many items are its own to order.

        `on_batch` is told in the writer's thread how many items were written together, and how long that took.
        """
        self._open_session = open_session
        self._clock = clock
        self._capacity = capacity
        self._max_batch = max_batch
        self._timeout_s = timeout_s
        self._on_commit = on_commit
        self._on_fatal = on_fatal
        self._on_batch = on_batch
        self._apart = apart
        self._queues: tuple[deque[_Entry], ...] = tuple(deque() for _ in Priority)
        self._waiting: deque[_Entry] = deque()
        self._ready = threading.Condition()
        self._told = threading.Event()
        self._n_queued = 0
        self._resting = False
        self._waking = False
        self._stopping = False
        self._session: WriteSession | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._thread: threading.Thread | None = None
        self._busy_since: float | None = None  # monotonic, as are all below
        self._refused_at: float | None = None
        self.broken: StoreError | None = None

    def start(self) -> None:
        """Call in the event loop that will submit."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work_until_stopped, name="heartfly-writer", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Commit what is queued, then end the thread and close its connection."""
        with self._ready:
            self._stopping = True
            self._ready.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    async def submit(self, handler: Handler, item: Any, *, priority: Priority) -> Any:
        """Return the handler's result for this item, after the commit that holds it.

        OverloadedError: not stored, try later. StoreError: the database is unusable.
        """
        return await self.enter(handler, item, priority=priority)

    def enter(self, handler: Handler, item: Any, *, priority: Priority) -> asyncio.Future[Any]:
        """As `submit`, for who has not so much patience: what is done with before its turn is not stored."""
        future: asyncio.Future[Any] = self._loop.create_future()
        entry = _Entry(handler, item, future, self._clock.monotonic() + self._timeout_s)
        with self._ready:
            if self.broken is not None:
                raise self.broken
            if self._stopping:
                raise OverloadedError("Heartfly is stopping")
            if len(self._queues[priority]) >= self._capacity:
                self._refused_at = self._clock.monotonic()
                raise OverloadedError("too many writes are waiting", retry_after=2)
            self._queues[priority].append(entry)
            self._n_queued += 1
            if self._resting and not self._waking:
                self._waking = True
                self._loop.call_soon(self._wake)
        self._waiting.append(entry)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._timeout_s, self._sweep)
        return future

    @property
    def n_queued(self) -> int:
        return self._n_queued

    @property
    def stuck_s(self) -> float:
        """How long the writer has been at the batch in its hands; 0 when it has none."""
        since = self._busy_since
        return 0.0 if since is None else self._clock.monotonic() - since

    @property
    def refused_s(self) -> float | None:
        """How long ago the database or a full queue last refused somebody; None: nobody was refused."""
        at = self._refused_at
        return None if at is None else self._clock.monotonic() - at

    # --- in the event loop

    def _wake(self) -> None:
        """Once the loop has had its turn: who came together is committed together, where the first would go alone, and
        the others would wait for two commits. Of 64 callers that each asked again at once, 25 shared a commit, not 6.
        """
        with self._ready:
            self._waking = False
            self._ready.notify()

    def _sweep(self) -> None:
        """Fail the waits that took too long. All limits are equal, so the oldest stands first."""
        now = self._clock.monotonic()
        while self._waiting and (self._waiting[0].future.done() or self._waiting[0].expires <= now):
            entry = self._waiting.popleft()
            if not entry.future.done():
                self._refused_at = now
                entry.future.set_exception(self._late(entry))
        self._sweeper = (
            self._loop.call_later(max(0.0, self._waiting[0].expires - now), self._sweep) if self._waiting else None
        )

    def _late(self, entry: _Entry) -> OverloadedError:
        with self._ready:  # while we look, the writer takes nothing
            taken = entry.taken
        return OverloadedError("the database did not answer in time") if taken else AwayError("its turn did not come")

    def _resolve(self, entries: Sequence[_Entry], results: Sequence[Any], changes: Changes) -> None:
        if changes:
            self._on_commit(changes)
        for entry, result in zip(entries, results, strict=True):
            if entry.future.done():
                continue
            if isinstance(result, Exception):
                entry.future.set_exception(result)
            else:
                entry.future.set_result(result)
        while self._waiting and self._waiting[0].future.done():
            self._waiting.popleft()
        self._loop.call_soon(self._told.set)  # behind those who were just woken

    # --- in the writer thread

    def _work_until_stopped(self) -> None:
        working = True
        while working:
            try:
                working = self._cycle()
            except Exception:
                # A fault of our own. Whoever waits hears "not stored" when his time is up; the writer itself lives on.
                log.exception("writer")
        self._close_session()

    def _cycle(self) -> bool:
        """Take a batch, commit it, tell its callers. False when there is nothing left to do."""
        entries = self._take()
        if entries is None:
            return False
        changes = Changes()
        began = self._busy_since = self._clock.monotonic()
        try:
            results = self._write(entries, changes)
        except FatalStoreError as error:
            results = [error] * len(entries)
            self._break(error)
        finally:
            self._busy_since = None
        if entries:
            self._on_batch(len(entries), self._clock.monotonic() - began)
        self._told.clear()
        self._loop.call_soon_threadsafe(self._resolve, entries, results, changes)
        self._tidy()
        # Without this the writer takes the few items that came during the commit, and both threads fight over the
        # interpreter; whoever is told makes room for the next: a quarter more pings come through.
        self._told.wait(_TELL_LIMIT_S)
        return True

    def _tidy(self) -> None:
        if self._session is not None:
            self._busy_since = self._clock.monotonic()  # a disk that hangs hangs here, too
            try:
                self._session.tidy()
            finally:
                self._busy_since = None

    def _take(self) -> list[_Entry] | None:
        """The next batch, highest priority first; None when stopped and empty."""
        with self._ready:
            while not self._n_queued:
                if self._stopping:
                    return None
                self._resting = True
                self._ready.wait()
                self._resting = False
            now = self._clock.monotonic()
            batch: list[_Entry] = []
            room = self._max_batch
            for queue in self._queues:
                # However many pings wait, some of every other kind are taken along: the beat must not starve.
                room = max(room, len(batch) + _TAKEN_ALONG) if batch else room
                while queue and len(batch) < room:
                    entry = queue.popleft()
                    self._n_queued -= 1
                    # Its caller has been told "not stored" (or went away): it must not be stored now.
                    if entry.expires > now and not entry.future.done():
                        entry.taken = True
                        batch.append(entry)
            return batch

    def _write(self, entries: list[_Entry], changes: Changes) -> list[Any]:
        if not self._apart:
            return self._share(entries, changes)
        results: list[Any] = []
        for handler, group in groupby(entries, key=lambda entry: entry.handler):
            some = list(group)
            for one in [[entry] for entry in some] if handler is each_alone else [some]:
                # Those before it may have taken long.
                wanted = not results or all(map(self._is_wanted, one))
                results += self._share(one, changes) if wanted else self._one_by_one(one, changes)
        return results

    def _share(self, entries: list[_Entry], changes: Changes) -> list[Any]:
        """One transaction for all of them."""
        if not entries:
            return []
        if self.broken is not None:
            return [self.broken] * len(entries)
        try:
            return self._together(entries, changes)
        except FatalStoreError:
            raise
        except Exception as error:  # noqa: BLE001 - told to its caller, or tried again one by one
            if isinstance(error, StoreError | OverloadedError):
                self._refused_at = self._clock.monotonic()
                return [error] * len(entries)
            if len(entries) == 1:
                return [error]
            log.warning("batch", error=repr(error), n=len(entries), next="one by one")
        return self._one_by_one(entries, changes)

    def _one_by_one(self, entries: list[_Entry], changes: Changes) -> list[Any]:
        return [
            self._alone(entry, changes) if self._is_wanted(entry) else OverloadedError("not stored in time")
            for entry in entries
        ]

    def _is_wanted(self, entry: _Entry) -> bool:
        """Its caller waits still. Who was told "not stored" must find nothing stored."""
        return entry.expires > self._clock.monotonic() and not entry.future.done()

    def _together(self, entries: list[_Entry], changes: Changes) -> list[Any]:
        if self._session is None:
            self._session = self._open_session()
        session = self._session

        def work(tx: Tx) -> tuple[list[Any], Tx]:
            results: list[Any] = []
            for handler, group in groupby(entries, key=lambda entry: entry.handler):
                results += handler(tx, [entry.item for entry in group])
            if len(results) != len(entries):
                raise RuntimeError(f"{len(entries)} items were applied, but {len(results)} answers came of it")
            return results, tx

        try:
            results, tx = session.attempt(work)
        except FatalStoreError:
            raise
        except Exception as error:
            if (told := session.explain(error)) is not None:
                raise told from error
            raise
        changes.add(tx.changes)
        for call in tx.after:
            call()
        return results

    def _alone(self, entry: _Entry, changes: Changes) -> Any:
        try:
            return self._together([entry], changes)[0]
        except FatalStoreError:
            raise
        except Exception as error:  # noqa: BLE001 - this caller is told, its neighbours are not touched
            return error

    def _break(self, error: StoreError) -> None:
        self.broken = error
        self._loop.call_soon_threadsafe(self._on_fatal, error)

    def _close_session(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            session.close()


def each_alone(tx: Tx, commands: Sequence[Callable[[Tx], Any]]) -> list[Any]:
    """Handler for commands of any kind: each in a savepoint, so that a refused one undoes only itself."""
    results: list[Any] = []
    for command in commands:
        try:
            with tx.conn.begin_nested():
                results.append(command(tx))
        except HeartflyError as error:
            results.append(error)
    return results
