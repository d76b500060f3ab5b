"""How much each channel has carried lately, and how much of that was given up.

Counted on indexes alone, for a storm leaves a hundred thousand messages. What was merged into another one counts as
delivered; what still waits is not counted.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.models import deliveries

# Spelled out in the statement: an index over some states alone is not used when the word is a parameter.
_FAILED: sa.ColumnElement[str] = sa.literal_column("'failed'")
_PENDING: sa.ColumnElement[str] = sa.literal_column("'pending'")


@dataclass(frozen=True, slots=True)
class Carried:
    """`newest_at`: when its newest message was made, whenever that was."""

    n_ended: int = 0
    n_failed: int = 0
    newest_at: datetime | None = None


async def carried_by(
    read: AsyncConnection, pid: int, channel_ids: Collection[int], *, since: datetime
) -> dict[int, Carried]:
    """One for each of them; what was made at `since` or later is counted."""
    made = await _counted(read, pid, channel_ids, deliveries.c.created_at >= since)
    failed = await _counted(read, pid, channel_ids, deliveries.c.created_at >= since, deliveries.c.state == _FAILED)
    pending = await _counted(read, pid, channel_ids, deliveries.c.created_at >= since, deliveries.c.state == _PENDING)
    newest = {one: await _newest(read, pid, one) for one in channel_ids}
    # Made and waiting are counted one after the other, and a message may come between.
    ended = {one: max(made.get(one, 0) - pending.get(one, 0), failed.get(one, 0)) for one in channel_ids}
    return {one: Carried(ended[one], failed.get(one, 0), newest[one]) for one in channel_ids}


async def _counted(
    read: AsyncConnection, pid: int, channel_ids: Collection[int], *which: sa.ColumnElement[bool]
) -> dict[int, int]:
    query = (
        sa.select(deliveries.c.channel_id, sa.func.count())
        .where(deliveries.c.pid == pid, deliveries.c.channel_id.in_(channel_ids), *which)
        .group_by(deliveries.c.channel_id)
    )
    return {row[0]: row[1] for row in await read.execute(query)}


async def _newest(read: AsyncConnection, pid: int, channel_id: int) -> datetime | None:
    query = sa.select(sa.func.max(deliveries.c.created_at)).where(
        deliveries.c.pid == pid, deliveries.c.channel_id == channel_id
    )
    at: datetime | None = (await read.execute(query)).scalar()
    return at
