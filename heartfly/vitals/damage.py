"""Looks beside the server whether SQLite's files are whole: what the start had no time for, and all of it once a day.

In a thread, table by table, with a rest after each piece of work while somebody writes. What is found ends the process:
who goes on writes more onto what is broken, and answers out of it, and nobody would know since when.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from heartfly.clock import Clock
from heartfly.db.damage import damaged_tables, mark_damaged
from heartfly.db.database import Database
from heartfly.db.pace import Pace, behind_others, wal_of
from heartfly.errors import StoreError
from heartfly.logs import line, logger

EVERY = timedelta(days=1)

log = logger("heartfly.damage")


class DamageWatch:
    """`paths`: of both files, none on PostgreSQL; `left`: those that the start did not come to the end of."""

    def __init__(self, main: Database, paths: Sequence[Path], clock: Clock, *, left: Sequence[Path]) -> None:
        self._main = main
        self._paths = paths
        self._clock = clock
        self._left = left

    async def run(self, stop: asyncio.Event) -> None:
        paths = self._left
        while not stop.is_set():
            for path in paths:
                await self._look(path, stop)
            paths = self._paths
            try:
                async with asyncio.timeout(EVERY.total_seconds()):
                    await stop.wait()
            except TimeoutError:
                continue

    async def _look(self, path: Path, stop: asyncio.Event) -> None:
        """Return early when told to stop. What cannot be looked at now is looked at tomorrow."""
        began, pace = self._clock.monotonic(), Pace([wal_of(one) for one in self._paths], self._clock)
        try:
            n, found = await behind_others(lambda: damaged_tables(path, stop=stop.is_set, quick=True, step=pace.step))
        except StoreError as error:
            if not stop.is_set():
                log.warning("damage", file=path.name, error=str(error))
            return
        took_s = round(self._clock.monotonic() - began, 1)
        line("look", file=path.name, looked_at=n, faults=len(found), took_s=took_s)
        if found:
            self._main.give_up(mark_damaged(self._paths[0], found))
