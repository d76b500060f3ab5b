"""How many events a project may keep: what would be more is refused as a whole, to be sent again when there is room.

An event is somebody's bill: none is thrown away to make room for another, and who sends it must hear that it was not
taken. Counted are those of hours that are not sealed, as they were folded, and what this process took since; so what
came to another node counts a few minutes later. When it is summed up, vitals/filling.py decides.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.filling import Filling
from heartfly.db.database import Access
from heartfly.db.models import windows
from heartfly.errors import OverloadedError
from heartfly.logs import logger
from heartfly.usage.apply import Outcome, Told
from heartfly.usage.fold import TIER_HOUR

AGAIN_S = 300
"""Until then nothing can have changed that this process would know of."""

log = logger("heartfly.events")


class KeptEvents:
    """`most`: in each project; 0: any."""

    def __init__(self, most: int = 0) -> None:
        self._filling = Filling(most, room_for=1)

    def demand_room(self, pid: int) -> None:
        """OverloadedError: the project keeps as many as it may."""
        filling = self._filling
        if filling.is_full(pid):
            raise OverloadedError(
                f"this project keeps as many events as it may, {filling.most:,} (limits.events): nothing was taken;"
                " send it again when there is room",
                retry_after=AGAIN_S,
            )

    def took(self, pid: int, told: Sequence[Told | None]) -> None:
        if self._filling.most:
            self._filling.add(pid, sum(one is not None and one.outcome is Outcome.ACCEPTED for one in told))

    async def look(self, database: Access) -> None:
        """Sum up what each project keeps, and say once of each in the log that it is full, or is so no more."""
        filling = self._filling
        if not filling.most:
            return
        added = filling.added()
        async with database.read() as read:
            turned = filling.sum_up(await _sums(read), added)
        for pid in turned.full:
            log.warning("events_are_full", pid=pid, most=filling.most, events="refused with 503 until there is room")
        for pid in turned.free:
            log.warning("events_have_room", pid=pid)


async def kept_in(read: AsyncConnection, pid: int) -> int:
    """Events of the project that are kept, as far as they are folded."""
    return int((await read.execute(_KEPT.where(windows.c.pid == pid))).scalar() or 0)


def fullest(connection: sa.Connection) -> int:
    """Events of the project that keeps the most."""
    return max((int(n) for n in connection.execute(_KEPT.group_by(windows.c.pid)).scalars()), default=0)


async def _sums(read: AsyncConnection) -> dict[int, int]:
    rows = await read.execute(_KEPT.add_columns(windows.c.pid).group_by(windows.c.pid))
    return {row.pid: int(row.n) for row in rows}


_KEPT = sa.select(sa.func.sum(windows.c.n_events).label("n")).where(
    windows.c.tier == TIER_HOUR, windows.c.sealed_at.is_(None)
)
