"""When each key was last used: noted in memory at each request, written behind everybody else's writes.

A key's row changes at most once a minute, however often it is used and by however many nodes. Whoever looks sees
the first use of a quiet key after about a second. A note that cannot be written is dropped: the next use makes another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from heartfly.accounts.keys import Caller
from heartfly.clock import Clock
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.models import api_keys
from heartfly.errors import HeartflyError
from heartfly.logs import logger

log = logger("heartfly")

EVERY = timedelta(minutes=1)
GATHER_S = 1.0


class LastUse:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._noted: dict[tuple[int, int], datetime] = {}
        self._any = asyncio.Event()

    def note(self, caller: Caller, at: datetime) -> None:
        """Call in the event loop of `run`."""
        if caller.used_at is None or at - caller.used_at >= EVERY:
            self._noted[caller.pid, caller.key_id] = at
            self._any.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Write what is noted until stopped, and the rest then."""
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stopping.done():
                await _either(stopping, self._any.wait())
                await _either(stopping, self._clock.sleep(GATHER_S))
                await self.write()
        finally:
            stopping.cancel()

    async def write(self) -> None:
        noted, self._noted = self._noted, {}
        self._any.clear()
        if not noted:
            return
        try:
            await self._database.write(lambda tx: _write(tx, noted), priority=Priority.BULK)
        except HeartflyError as error:
            log.warning("last_use", error=str(error))
        except Exception as error:  # told in the log; a note is not worth the process
            log.exception("last_use", error=repr(error))


def _write(tx: Tx, noted: dict[tuple[int, int], datetime]) -> None:
    for (pid, key_id), at in sorted(noted.items()):
        # Asked again here: another node may have written since the request read the row.
        is_old = sa.or_(api_keys.c.used_at.is_(None), api_keys.c.used_at <= at - EVERY)
        tx.conn.execute(
            sa.update(api_keys).where(api_keys.c.pid == pid, api_keys.c.id == key_id, is_old).values(used_at=at)
        )


async def _either(stopping: asyncio.Future[Any], wait: Coroutine[Any, Any, Any]) -> None:
    waiting = asyncio.ensure_future(wait)
    try:
        await asyncio.wait({stopping, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
