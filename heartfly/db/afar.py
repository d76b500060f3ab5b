"""The same database, used from another thread's event loop.

Writes travel to the loop that the database was started in and wait there with all others, so that there is
still one queue and one writer. Reads have connections of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.changes import Changes, Tx
from heartfly.db.database import Database, end_reading, reading
from heartfly.db.group_commit import Handler, Priority

Result = TypeVar("Result")


class Afar:
    """Make and close it in the loop that uses it. `home`: the loop in which the database was started."""

    def __init__(self, database: Database, home: asyncio.AbstractEventLoop) -> None:
        self._database = database
        self._home = home
        self._here = asyncio.get_running_loop()
        self._reading = database.reading_engine()
        self._heard: list[Callable[[Changes], None]] = []

    @property
    def on_postgres(self) -> bool:
        return self._database.on_postgres

    def listen(self, listener: Callable[[Changes], None], *, about: Callable[[Changes], bool] = bool) -> None:
        """Hear, in this loop, what each transaction that commits from now on changed, if it is `about` that.

        `about` is asked in the other loop: each time that this one is woken, it takes the interpreter from a ping.
        """

        def tell(changes: Changes) -> None:
            self._here.call_soon_threadsafe(listener, changes)

        self._heard.append(tell)
        self._database.listen(tell, about=about)  # at once, from this thread: what commits after this line is heard

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        async with reading(self._reading) as connection:
            yield connection

    async def write(self, command: Callable[[Tx], Result], *, priority: Priority = Priority.EDITS) -> Result:
        return await self._at_home(self._database.write(command, priority=priority))

    async def submit(self, handler: Handler, item: Any, *, priority: Priority) -> Any:
        return await self._at_home(self._database.submit(handler, item, priority=priority))

    async def _at_home(self, work: Coroutine[Any, Any, Result]) -> Result:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._home))

    async def close(self) -> None:
        """Hear nothing more, and leave no connection."""
        for tell in self._heard:
            await self._at_home(self._deafen(tell))
        await end_reading(self._reading)

    async def _deafen(self, tell: Callable[[Changes], None]) -> None:
        self._database.unlisten(tell)
