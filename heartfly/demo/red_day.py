"""One day of the demo's usage that is not what it was proved to be: a stored figure was changed behind Heartfly's back,
and the look that is taken at old days has found it. *Close it anew* sets it right, and so does the next night.

Which figure is changed is decided here; how that is found and told, in usage/verify_days.py.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from heartfly.accounts.commands import NewProject
from heartfly.clock import Clock
from heartfly.core.days import ONE, day_of
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.models import rollups, usage_days
from heartfly.demo.fill import ZONE
from heartfly.errors import HeartflyError
from heartfly.logs import logger
from heartfly.usage.fold import TIER_DAY
from heartfly.usage.hands import Hands
from heartfly.usage.verify_days import verify_day

log = logger("heartfly.demo")

DAYS_AGO = 6
_MORE = 7
_LOOK_S = 1.0


class RedDay:
    """Beside the server: waits for the run that closes the days, and has nothing to do after that."""

    def __init__(self, project: NewProject, usage: Database, hands: Hands, clock: Clock) -> None:
        self._pid, self._usage, self._hands, self._clock = project.pid, usage, hands, clock
        self._is_wrong = False

    async def run(self, stop: asyncio.Event) -> None:
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set() and not await self.made():
                await asyncio.wait([stopping], timeout=_LOOK_S)
        except HeartflyError as error:
            log.warning("demo", error=str(error))
        try:
            await stopping
        finally:
            stopping.cancel()

    async def made(self) -> bool:
        """False: that day is not closed yet, or events came in while it was looked at."""
        day = day_of(ZoneInfo(ZONE), self._clock.now()) - DAYS_AGO * ONE
        query = sa.select(usage_days).where(
            usage_days.c.pid == self._pid, usage_days.c.day == day, usage_days.c.state == "final"
        )
        async with self._usage.read() as read:
            row = (await read.execute(query)).one_or_none()
        if row is None:
            return False
        if not self._is_wrong:
            await self._usage.write(lambda tx: _changed(tx, row))
            self._is_wrong = True
        return await verify_day(self._usage, self._hands, row, now=self._clock.now()) is not None


def _changed(tx: Tx, day: Any) -> int:
    """Some more of what was counted most, as if a disk had kept it wrong."""
    start_at: datetime = day.from_at
    mine = (rollups.c.pid == day.pid, rollups.c.tier == TIER_DAY, rollups.c.start_at == start_at)
    columns = list(rollups.primary_key.columns)
    query = sa.select(*columns).where(*mine).order_by(rollups.c.n.desc(), *columns).limit(1)
    key = tx.conn.execute(query).one()
    where = [column == value for column, value in zip(columns, key, strict=True)]
    return tx.conn.execute(sa.update(rollups).where(*where).values(n=rollups.c.n + _MORE)).rowcount
