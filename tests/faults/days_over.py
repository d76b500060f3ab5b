"""The days of a run that has just ended, summed up as if they were over, by the server's own job on its database."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.jobs.daily_sums import sum_days
from tests.faults.clients import CLOCK
from tests.server_process import Server
from tests.sim_clock import SimClock

Result = TypeVar("Result")


async def sum_up_days(server: Server) -> None:
    """As the server, which has stopped, would once the days of its checks are over in every zone."""
    data_dir = server.folder / "heartfly-data"
    later = SimClock(CLOCK.now() + timedelta(days=2))
    database = Database(url=server.settings.get("DATABASE__URL", ""), data_dir=data_dir, clock=later)
    database.start()
    try:
        done = await sum_days(_Work(database, later.now()))
    finally:
        await database.stop()
    assert "" == done.failure


@dataclass(frozen=True, slots=True)
class _Work:
    """A run of a job that nobody else runs."""

    database: Database
    now: datetime
    pid: int = 0

    @property
    def slot_at(self) -> datetime:
        return self.now

    @property
    def on_postgres(self) -> bool:
        return self.database.on_postgres

    def stopping(self) -> bool:
        return False

    async def write(self, piece: Callable[[Tx], Result]) -> Result:
        return await self.database.write(piece)

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self.database.read()
