"""How long people have been waiting for what they should know: the oldest notification that did not arrive yet.

Apart for channels that are in order and for those in trouble (failing.py): the first says how we do, the second how the
receivers do, of whom others were told. Cheap however much waits: it steps from channel to channel down an index.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.types import UtcInstant


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered:
    """Since when the oldest has been waiting; None: nothing waits."""

    in_order: datetime | None = None
    in_trouble: datetime | None = None


_OLDEST = sa.text("""
    WITH RECURSIVE
    waits(id) AS (
        SELECT min(channel_id) FROM notifications WHERE state = 'pending'
        UNION ALL
        SELECT (SELECT min(n.channel_id) FROM notifications n WHERE n.state = 'pending' AND n.channel_id > waits.id)
        FROM waits WHERE waits.id IS NOT NULL
    ),
    oldest(id, pid, alert_id) AS (
        SELECT id,
               (SELECT n.pid FROM notifications n WHERE n.state = 'pending' AND n.channel_id = waits.id LIMIT 1),
               (SELECT min(n.alert_id) FROM notifications n WHERE n.state = 'pending' AND n.channel_id = waits.id)
        FROM waits WHERE id IS NOT NULL
    )
    SELECT channels.retrying_since IS NULL AS in_order, min(n.created_at) AS since
    FROM oldest
    JOIN channels ON channels.pid = oldest.pid AND channels.id = oldest.id
    JOIN notifications n ON n.pid = oldest.pid AND n.alert_id = oldest.alert_id AND n.channel_id = oldest.id
    GROUP BY 1
""").columns(since=UtcInstant)


async def undelivered(conn: AsyncConnection) -> Undelivered:
    found = {bool(row.in_order): row.since for row in await conn.execute(_OLDEST)}
    return Undelivered(in_order=found.get(True), in_trouble=found.get(False))
