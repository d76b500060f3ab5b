"""Closes days that waited for a source, once it has come past their end or was retired.

Whom a day waits for is decided in core/watermarks.py. One that was waited for in vain is left to the daily aggregation,
which tells its check. That would close the others too, a night later: should this not run, they wait until then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from heartfly.clock import Clock
from heartfly.core.watermarks import standing
from heartfly.core.zones import is_zone
from heartfly.db.database import Database
from heartfly.db.models import usage_days, usage_sources
from heartfly.errors import HeartflyError
from heartfly.logs import line, logger
from heartfly.usage.close_day import Closer
from heartfly.usage.sources import source_of, standing_in

log = logger("heartfly.usage")

PAUSE_S = 60.0
MOST = 100
"""Days that are looked at in one round."""


class HeldDays:
    def __init__(
        self, usage: Database, closer: Closer, clock: Clock, *, leads: Callable[[], bool] = lambda: True
    ) -> None:
        self._usage = usage
        self._closer = closer
        self._clock = clock
        self._leads = leads

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                if self._leads():
                    await self.round()
            except HeartflyError as error:
                log.warning("held days", error=str(error))
            except Exception as error:  # told in the log; the daily aggregation closes them if this cannot
                log.exception("held days", error=repr(error))
            await self._pause(stop)

    async def round(self) -> int:
        """How many days wait no more, and were closed."""
        n = 0
        for row in await self._held():
            if not await self._waits(row):
                zone = ZoneInfo(row.zone if is_zone(row.zone) else "UTC")
                try:
                    closed = await self._closer.close(row.pid, row.day, zone)
                except Exception as error:  # noqa: BLE001 - it holds up no other; the next round tries again
                    told = str(error) if isinstance(error, HeartflyError) else repr(error)
                    log.warning("held day", pid=row.pid, day=row.day, error=told)
                    continue
                line("held day", pid=row.pid, day=row.day, state=closed.state)
                n += 1
        return n

    async def _held(self) -> Sequence[Any]:
        d = usage_days.c
        query = sa.select(d.pid, d.day, d.zone, d.to_at, d.sources).where(
            d.state == "provisional", d.mismatch == "", d.sources.is_not(None)
        )
        async with self._usage.read() as read:
            rows = (await read.execute(query.order_by(d.day.desc()).limit(MOST))).all()
        return [row for row in rows if standing_in(row.sources).waits_for]

    async def _waits(self, row: Any) -> bool:
        async with self._usage.read() as read:
            found = await read.execute(sa.select(usage_sources).where(usage_sources.c.pid == row.pid))
            now = standing(map(source_of, found), row.to_at, self._clock.now())
            return bool(now.waits_for or now.without)

    async def _pause(self, stop: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(self._clock.sleep(PAUSE_S))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
