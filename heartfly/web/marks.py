"""What the navigation tells on every page of a project: how many incidents are open, and how many channels fail.

Each is one look at an index that holds the few rows in question. An open page hears of another number by the stream
(feed.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.models import channels, incidents


@dataclass(frozen=True, slots=True)
class Marks:
    incidents: int = 0
    channels: int = 0

    def told(self) -> dict[str, int]:
        return {"incidents": self.incidents, "channels": self.channels}


async def marks_of(read: AsyncConnection, pid: int) -> Marks:
    # As the list has them: of a cause one.
    are_open = (incidents.c.pid == pid, incidents.c.closed_at.is_(None), incidents.c.part_of.is_(None))
    n_open = sa.select(sa.func.count()).where(*are_open)
    n_failing = sa.select(sa.func.count()).where(channels.c.pid == pid, channels.c.failing_since.is_not(None))
    both = sa.select(n_open.scalar_subquery(), n_failing.scalar_subquery())
    return Marks(*(await read.execute(both)).one())
