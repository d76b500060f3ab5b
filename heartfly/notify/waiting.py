"""What waits to be sent, channel by channel. Only looked at here; claim.py takes it.

Asked after each change, so it must stay cheap however much waits: it steps down an index from channel to
channel and never walks the rows between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

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
        return self.due_at is not None and self.due_at <= now


# Walks in one statement, for each statement costs more than what it does. A source that a delivery is under way for
# waits for its end, so its other notifications are not fresh: the walk goes from source to source, and looks at the
# first of each alone, until one is free. So a channel that fails for hours costs as much as it has sources, however
# much has come for them since.
_FIRST_IS_FREE = """
    (SELECT n.delivery_id IS NULL FROM notifications n
     WHERE n.state = 'pending' AND n.channel_id = head.id AND n.source = head.source
     ORDER BY n.alert_id LIMIT 1)
"""
_WAITING = sa.text(f"""
    WITH RECURSIVE
    unclaimed(id) AS (
        SELECT min(channel_id) FROM notifications WHERE state = 'pending' AND delivery_id IS NULL
        UNION ALL
        SELECT (SELECT min(n.channel_id) FROM notifications n
                WHERE n.state = 'pending' AND n.delivery_id IS NULL AND n.channel_id > unclaimed.id)
        FROM unclaimed WHERE unclaimed.id IS NOT NULL
    ),
    head(id, source) AS (
        SELECT id, (SELECT min(n.source) FROM notifications n WHERE n.state = 'pending' AND n.channel_id = unclaimed.id)
        FROM unclaimed WHERE unclaimed.id IS NOT NULL
        UNION ALL
        SELECT head.id, (SELECT min(n.source) FROM notifications n
                         WHERE n.state = 'pending' AND n.channel_id = head.id AND n.source > head.source)
        FROM head WHERE head.source IS NOT NULL AND NOT {_FIRST_IS_FREE}
    ),
    carried(id) AS (
        SELECT min(channel_id) FROM deliveries WHERE state = 'pending'
        UNION ALL
        SELECT (SELECT min(d.channel_id) FROM deliveries d WHERE d.state = 'pending' AND d.channel_id > carried.id)
        FROM carried WHERE carried.id IS NOT NULL
    ),
    found(id, pid, due_at) AS (
        SELECT id,
               (SELECT n.pid FROM notifications n
                WHERE n.state = 'pending' AND n.channel_id = head.id AND n.source = head.source
                ORDER BY n.alert_id LIMIT 1),
               CAST(NULL AS timestamptz)
        FROM head WHERE head.source IS NOT NULL AND {_FIRST_IS_FREE}
        UNION ALL
        SELECT id,
               (SELECT d.pid FROM deliveries d WHERE d.state = 'pending' AND d.channel_id = carried.id LIMIT 1),
               (SELECT min(d.next_at) FROM deliveries d WHERE d.state = 'pending' AND d.channel_id = carried.id)
        FROM carried
    )
    SELECT found.id, found.pid, found.due_at, channels.kind
    FROM found LEFT JOIN channels ON channels.pid = found.pid AND channels.id = found.id
    WHERE found.pid IS NOT NULL ORDER BY found.id
""").columns(due_at=UtcInstant)  # noqa: S608 - made of our own words alone


async def waiting(conn: AsyncConnection) -> list[Waiting]:
    """Each channel with something to send, now or later, in order of their ids."""
    found: dict[int, Waiting] = {}
    for row in await conn.execute(_WAITING):
        one = found.get(row.id) or Waiting(pid=row.pid, channel_id=row.id, kind=row.kind, fresh=False, due_at=None)
        found[row.id] = replace(one, fresh=True) if row.due_at is None else replace(one, due_at=row.due_at)
    return list(found.values())
