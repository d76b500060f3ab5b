"""Looks now and then at what Heartfly stands on: the room on the disk, the version of the schema, the clocks.

When room gets short, ping bodies go first: they are the bulk of what is written, and neither a status nor an alert
needs them. Well below that, readiness says that traffic should go elsewhere; on a full disk the reserve is let go. On
PostgreSQL the disk is not ours, but
the database has a clock of its own, by which the nodes' are held together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from heartfly.clock import Clock
from heartfly.db.database import Access
from heartfly.db.reserve import Reserve
from heartfly.db.room import Room
from heartfly.logs import logger

MB = 1_000_000
EVERY_S = 2.0
_SCHEMA_EVERY = 15
_CLOCK_EVERY = 3
"""Looks at the disk for each one at the schema, and at the clock."""
_ENOUGH_AGAIN = 1.1
"""So much above the threshold bodies are kept again, lest it goes to and fro with each checkpoint."""

log = logger("heartfly.disk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """In bytes. 0: that never happens."""

    low: int = 500 * MB
    floor: int = 100 * MB


class Surroundings:
    """`room` measures the disk that the database lies on; None: it is not ours to look at."""

    def __init__(
        self,
        database: Access,
        *,
        room: Callable[[], Room] | None,
        thresholds: Thresholds,
        clock: Clock,
        reserve: Reserve | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._measure = room
        self._thresholds = thresholds
        self._reserve = reserve
        self._keeps_bodies = True
        self.room: Room | None = None
        self.schema: str | None = None
        """As the database says; None: not looked yet."""
        self.skew: timedelta | None = None
        """How far our clock is ahead of the database's; None: not known, or it is the same clock."""

    def keeps_bodies(self) -> bool:
        """For any thread."""
        return self._keeps_bodies

    @property
    def is_below_floor(self) -> bool:
        return self.room is not None and self.room.free < self._thresholds.floor

    async def look(self) -> None:
        if self._measure is None:
            return
        try:
            # A disk that hangs must not hang the loop that pings come through.
            self.room = await asyncio.to_thread(self._looked, self._measure)
        except OSError as error:
            log.warning("disk", error=str(error))
            return
        low, free = self._thresholds.low, self.room.free
        keeps = free >= (low if self._keeps_bodies else low * _ENOUGH_AGAIN)
        if keeps == self._keeps_bodies:
            return
        self._keeps_bodies = keeps
        if keeps:
            log.warning("disk_has_room", free_mb=free // MB, bodies="kept again")
        else:
            log.error("disk_is_low", free_mb=free // MB, low_mb=low // MB, bodies="not kept until there is room")

    def _looked(self, measure: Callable[[], Room]) -> Room:
        found = measure()
        if self._reserve is not None:
            self._reserve.relieve(found.free)
            self._reserve.renew(found.free)
        return found

    async def look_at_schema(self) -> None:
        try:
            async with self._database.read() as read:
                self.schema = (await read.execute(sa.text("SELECT version_num FROM alembic_version"))).scalar()
        except Exception as error:  # noqa: BLE001 - a database that is away is told of by the beat; this look is lost
            log.debug("schema", error=type(error).__name__)

    async def look_at_clock(self) -> None:
        """The answer was made between the question and its receipt: what lies between the two is no skew."""
        if not self._database.on_postgres:
            return
        try:
            async with self._database.read() as read:
                asked_at = self._clock.now()
                there = (await read.execute(sa.select(sa.func.clock_timestamp()))).scalar_one()
                heard_at = self._clock.now()
        except Exception as error:  # noqa: BLE001 - as above: the beat tells of it
            log.debug("clock", error=type(error).__name__)
            return
        self.skew = max(asked_at - there, timedelta()) or min(heard_at - there, timedelta())

    async def run(self, stop: asyncio.Event) -> None:
        n = 0
        while not stop.is_set():
            await self.look()
            if n % _SCHEMA_EVERY == 0:
                await self.look_at_schema()
            if n % _CLOCK_EVERY == 0:
                await self.look_at_clock()
            n += 1
            try:
                async with asyncio.timeout(EVERY_S):
                    await stop.wait()
            except TimeoutError:
                continue
