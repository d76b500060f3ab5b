"""Whether what a ping said is kept: not while the disk has little room, and of a project only so much.

How much that is, stands with each check (`checks.body_bytes`), in the transaction of the ping that says it, so that the
sum of a project is right after any crash. Where a project has no room left, the newest still comes in: what the same
check said before makes room (`apply.py` asks, `prune.py` removes), so that no check takes another's. When it is summed
up, vitals/filling.py decides.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.filling import Filling
from heartfly.db.database import Access
from heartfly.db.models import checks
from heartfly.logs import logger

MB = 1_000_000

log = logger("heartfly.bodies")


class Bodies:
    """`most`: bytes in each project; 0: any. `disk_has_room`: if not, none is kept, and `dropped` hears of each."""

    def __init__(
        self,
        most: int = 0,
        disk_has_room: Callable[[], bool] = lambda: True,
        dropped: Callable[[], None] = lambda: None,
    ) -> None:
        self._filling = Filling(most)
        self._disk_has_room = disk_has_room
        self._dropped = dropped
        self.add = self._filling.add
        self.is_full = self._filling.is_full

    def are_kept(self) -> bool:
        """Asked for each that comes; in any thread."""
        if self._disk_has_room():
            return True
        self._dropped()
        return False

    async def look(self, database: Access) -> None:
        """Sum up what each project has stored, and say once of each in the log that it is full, or is so no more."""
        filling = self._filling
        if not filling.most:
            return
        added = filling.added()
        async with database.read() as read:
            turned = filling.sum_up(await _sums(read), added)
        for pid in turned.full:
            log.warning("bodies_are_full", pid=pid, most_mb=filling.most // MB, bodies="a check's oldest make room")
        for pid in turned.free:
            log.warning("bodies_have_room", pid=pid)


async def stored_in(read: AsyncConnection, pid: int) -> int:
    """Bytes of what the pings of a project said, as it is kept."""
    query = sa.select(sa.func.coalesce(sa.func.sum(checks.c.body_bytes), 0)).where(checks.c.pid == pid)
    return int((await read.execute(query)).scalar_one())


async def fullest(read: AsyncConnection) -> tuple[int, int]:
    """The bytes of the project that has stored the most, and of how many projects any are stored."""
    sums = (await _sums(read)).values()
    return max(sums, default=0), sum(map(bool, sums))


async def _sums(read: AsyncConnection) -> dict[int, int]:
    """Bytes by project. Reads all checks: a tenth of a second for 100,000."""
    query = sa.select(checks.c.pid, sa.func.sum(checks.c.body_bytes).label("stored")).group_by(checks.c.pid)
    return {row.pid: int(row.stored) for row in await read.execute(query)}
