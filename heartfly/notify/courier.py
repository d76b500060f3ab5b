"""The thread that alerts go out by, with an event loop of its own.

To word and send a thousand alerts takes seconds of computing. In the loop that pings come through, each of a
ping's half dozen steps would wait for whatever is ready of that; beside it, a ping waits for the interpreter
alone. What is sent, and when, is decided in dispatch.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from heartfly.db.afar import Afar
from heartfly.db.database import Database
from heartfly.notify.dispatch import Dispatcher


class Courier:
    """`make` is asked for the dispatcher in the thread; `leave` is called there when the last send has ended."""

    def __init__(
        self, database: Database, *, make: Callable[[Afar], Dispatcher], leave: Callable[[], Awaitable[None]]
    ) -> None:
        self._database = database
        self._make = make
        self._leave = leave
        self._stop_asked = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Carry what comes until told to stop; raise what ended the thread before."""
        home = asyncio.get_running_loop()
        threads = ThreadPoolExecutor(1, thread_name_prefix="heartfly-courier")
        working = home.run_in_executor(threads, self._work, home)
        working.add_done_callback(lambda _: stopping.cancel())
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({stopping})
        finally:
            stopping.cancel()
            self._ask_to_stop()
            threads.shutdown(wait=False)  # to wait here would stop the loop that the thread's last writes wait for
            await working

    def _ask_to_stop(self) -> None:
        self._stop_asked = True  # first: the thread looks at it when it has made its event
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    def _work(self, home: asyncio.AbstractEventLoop) -> None:
        with asyncio.Runner(loop_factory=type(home)) as runner:
            runner.run(self._carry(home))

    async def _carry(self, home: asyncio.AbstractEventLoop) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        if self._stop_asked:
            self._stop.set()
        database = Afar(self._database, home)
        try:
            await self._make(database).run(self._stop)
        finally:
            try:
                await self._leave()
            finally:
                await database.close()
