"""When a project's usage begins, for who asks about all of it."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.tiles import Tier
from heartfly.db.models import windows


async def first_hour(read: AsyncConnection, pid: int) -> datetime | None:
    """The earliest hour that was summed up; None: none was."""
    query = (
        sa.select(windows.c.start_at)
        .where(windows.c.pid == pid, windows.c.tier == Tier.HOUR.value)
        .order_by(windows.c.start_at)
        .limit(1)
    )
    found: datetime | None = (await read.execute(query)).scalar()
    return found
