"""What a check needs, as it is now: read where an alert is offered to channels, and again where it was held.

When that holds an alert, and until when, is decided in core/causes.py. A check that came back wakes what waits for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from heartfly.core.causes import Needed
from heartfly.core.words import Status
from heartfly.db.changes import Tx
from heartfly.db.models import check_needs, checks, incidents, notifications

_HELD: sa.ColumnElement[str] = sa.literal_column("'held'")  # as in peace.py, for the index


def needed_by(tx: Tx, pids: Collection[int], check_ids: Collection[int]) -> Mapping[int, Sequence[Needed]]:
    """What each of these checks needs. One that needs nothing is not in it."""
    if not check_ids:
        return {}
    n, c, i = check_needs.c, checks.c, incidents.c
    newest_end = (
        sa.select(i.closed_at)
        .where(i.pid == c.pid, i.source_kind == sa.literal_column("'check'"), i.source_id == c.id)
        .order_by(i.opened_at.desc())
        .limit(1)
        .correlate(checks)
        .scalar_subquery()
    )
    query = (
        sa.select(n.check_id, c.id, c.name, c.status, newest_end.label("back_at"))
        .join(checks, sa.and_(c.pid == n.pid, c.id == n.needed_id))
        .where(n.pid.in_(pids), n.check_id.in_(check_ids))
        .order_by(n.check_id, c.id)
    )
    found: dict[int, list[Needed]] = {}
    for row in tx.conn.execute(query):
        is_down = row.status == Status.DOWN.value
        needed = Needed(id=row.id, name=row.name, is_down=is_down, back_at=None if is_down else row.back_at)
        found.setdefault(row.check_id, []).append(needed)
    return found


def wake_waiting(tx: Tx, check_ids: Collection[int], *, now: datetime) -> None:
    """These are not down any more, or gone: what waits for them is looked at again."""
    n = notifications.c
    waiting = sa.update(notifications).where(n.state == _HELD, n.held_by.in_(check_ids), n.held_until > now)
    if tx.conn.execute(waiting.values(held_until=now)).rowcount:
        tx.changes.wake(now)
