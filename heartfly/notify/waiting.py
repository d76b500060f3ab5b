"""What waits to be sent, channel by channel. Only looked at here; claim.py takes it.

Asked after each change, so it must stay cheap however much waits: it steps down an index from channel to
channel and never walks the rows between.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.models import channels
from heartfly.db.types import UtcInstant


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    pid: int
    channel_id: int
    kind: str | None
    """None: the channel was deleted."""
    fresh: bool
    """There are notifications that could go out at once."""
    due_at: datetime | None
    """When the next of its deliveries must be looked at: a retry, or the end of a lease."""

    def is_due(self, now: datetime) -> bool:
        return self.fresh or (self.due_at is not None and self.due_at <= now)


# A source that a delivery is under way for waits for its end, so its other notifications are not fresh.
_FRESH = sa.text("""
    WITH RECURSIVE fresh(id) AS (
        SELECT min(channel_id) FROM notifications WHERE state = 'pending' AND delivery_id IS NULL
        UNION ALL
        SELECT (SELECT min(n.channel_id) FROM notifications n
                WHERE n.state = 'pending' AND n.delivery_id IS NULL AND n.channel_id > fresh.id)
        FROM fresh WHERE fresh.id IS NOT NULL
    )
    SELECT id, (SELECT n.pid FROM notifications n
                WHERE n.state = 'pending' AND n.delivery_id IS NULL AND n.channel_id = fresh.id
                AND NOT EXISTS (SELECT 1 FROM notifications e
                                WHERE e.state = 'pending' AND e.channel_id = n.channel_id AND e.source = n.source
                                AND e.delivery_id IS NOT NULL)
                LIMIT 1) AS pid
    FROM fresh WHERE id IS NOT NULL
""")

_CARRIED = sa.text("""
    WITH RECURSIVE carried(id) AS (
        SELECT min(channel_id) FROM deliveries WHERE state = 'pending'
        UNION ALL
        SELECT (SELECT min(d.channel_id) FROM deliveries d WHERE d.state = 'pending' AND d.channel_id > carried.id)
        FROM carried WHERE carried.id IS NOT NULL
    )
    SELECT id,
           (SELECT d.pid FROM deliveries d WHERE d.state = 'pending' AND d.channel_id = carried.id LIMIT 1) AS pid,
           (SELECT min(d.next_at) FROM deliveries d WHERE d.state = 'pending' AND d.channel_id = carried.id) AS due_at
    FROM carried WHERE id IS NOT NULL
""").columns(due_at=UtcInstant)


async def waiting(conn: AsyncConnection) -> list[Waiting]:
    """Each channel with something to send, now or later, in order of their ids."""
    fresh = {row.id: row.pid for row in await conn.execute(_FRESH) if row.pid is not None}
    carried = {row.id: row for row in await conn.execute(_CARRIED)}
    pids = fresh | {row.id: row.pid for row in carried.values()}
    kinds = await _kinds(conn, pids)
    return [
        Waiting(
            pid=pids[channel_id],
            channel_id=channel_id,
            kind=kinds.get(channel_id),
            fresh=channel_id in fresh,
            due_at=carried[channel_id].due_at if channel_id in carried else None,
        )
        for channel_id in sorted(pids)
    ]


async def _kinds(conn: AsyncConnection, pids: dict[int, int]) -> dict[int, str]:
    if not pids:
        return {}
    query = sa.select(channels.c.id, channels.c.kind).where(
        channels.c.pid.in_(set(pids.values())), channels.c.id.in_(pids)
    )
    return {row.id: row.kind for row in await conn.execute(query)}
