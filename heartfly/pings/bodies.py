"""Whether what a ping said is kept: not while the disk has little room, and of a project only so much.

How much that is, stands with each check (`checks.body_bytes`), in the transaction of the ping that says it, so that the
sum of a project is right after any crash. It is summed up now and then; what this process stores meanwhile is counted
here, what other nodes store is known with the next look. Where a project has no room left, the newest still comes in:
what the same check said before makes room (`apply.py` asks, `prune.py` removes), so that no check takes another's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.clock import Clock
from heartfly.db.database import Access
from heartfly.db.models import checks
from heartfly.errors import HeartflyError
from heartfly.logs import logger

MB = 1_000_000
EVERY = timedelta(minutes=5)
"""The sum reads all checks: a tenth of a second for 100,000."""

log = logger("heartfly.bodies")


@dataclass(frozen=True, slots=True)
class _Seen:
    stored: int
    """In bytes, when the project was looked at."""
    added: int
    """What this process had stored in it by then, all in all."""


class Bodies:
    """`most`: bytes in each project; 0: any. `disk_has_room`: if not, none is kept, and `dropped` hears of each."""

    def __init__(
        self,
        most: int = 0,
        disk_has_room: Callable[[], bool] = lambda: True,
        dropped: Callable[[], None] = lambda: None,
    ) -> None:
        self._most = most
        self._disk_has_room = disk_has_room
        self._dropped = dropped
        self._seen: dict[int, _Seen] = {}
        self._added: Counter[int] = Counter()
        self._full: frozenset[int] = frozenset()

    def are_kept(self) -> bool:
        """Asked for each that comes; in any thread."""
        if self._disk_has_room():
            return True
        self._dropped()
        return False

    def add(self, pid: int, n: int) -> None:
        """So many bytes were stored; negative: removed. Should their transaction fail, the next look knows."""
        if self._most:
            self._added[pid] += n

    def is_full(self, pid: int) -> bool:
        """As far as this process knows. Before its first look it knows of nothing that others have stored."""
        if not self._most:
            return False
        seen = self._seen.get(pid, _Seen(0, 0))
        return seen.stored + self._added[pid] - seen.added > self._most

    async def look(self, database: Access) -> None:
        """Sum up what each project has stored, and say once of each in the log that it is full, or is so no more."""
        if not self._most:
            return
        added = dict(self._added)  # before it is read: what is stored meanwhile may count twice, until the next look
        async with database.read() as read:
            rows = (await read.execute(_SUMS)).all()
        self._seen = {row.pid: _Seen(int(row.stored), added.get(row.pid, 0)) for row in rows}
        full = frozenset(pid for pid in self._seen if self.is_full(pid))
        for pid in full - self._full:
            log.warning("bodies_are_full", pid=pid, most_mb=self._most // MB, bodies="the oldest of a check make room")
        for pid in self._full - full:
            log.warning("bodies_have_room", pid=pid)
        self._full = full

    async def run(self, stop: asyncio.Event, database: Access, clock: Clock) -> None:
        """Look, now and each five minutes, until stopped."""
        while not stop.is_set():
            try:
                await self.look(database)
            except (HeartflyError, sa.exc.SQLAlchemyError, OSError) as error:
                log.info("bodies", error=type(error).__name__)  # not now; what was seen before still counts
            waits = [asyncio.ensure_future(wait) for wait in (stop.wait(), clock.sleep(EVERY.total_seconds()))]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()


async def stored_in(read: AsyncConnection, pid: int) -> int:
    """Bytes of what the pings of a project said, as it is kept."""
    query = sa.select(sa.func.coalesce(sa.func.sum(checks.c.body_bytes), 0)).where(checks.c.pid == pid)
    return int((await read.execute(query)).scalar_one())


async def fullest(read: AsyncConnection) -> tuple[int, int]:
    """The bytes of the project that has stored the most, and of how many projects any are stored."""
    rows = (await read.execute(_SUMS)).all()
    return max((int(row.stored) for row in rows), default=0), sum(1 for row in rows if row.stored)


_SUMS = sa.select(checks.c.pid, sa.func.sum(checks.c.body_bytes).label("stored")).group_by(checks.c.pid)
