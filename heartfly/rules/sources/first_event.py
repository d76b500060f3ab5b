"""Since when a project has events: before that nothing is known, and not nothing."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.models import events


async def first_event(usage: AsyncConnection, pid: int) -> datetime | None:
    query = sa.select(events.c.at).where(events.c.pid == pid).order_by(events.c.at).limit(1)
    return (await usage.execute(query)).scalar()
