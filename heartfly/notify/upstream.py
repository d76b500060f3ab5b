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
    n, c = check_needs.c, checks.c
    query = (
        sa.select(n.pid, n.check_id, c.id, c.name, c.status)
        .join(checks, sa.and_(c.pid == n.pid, c.id == n.needed_id))
        .where(n.pid.in_(pids), n.check_id.in_(check_ids))
        .order_by(n.check_id, c.id)
    )
    rows = tx.conn.execute(query).all()
    back = _back(tx, {row.pid for row in rows}, {row.id for row in rows if row.status != Status.DOWN.value})
    found: dict[int, list[Needed]] = {}
    for row in rows:
        needed = Needed(id=row.id, name=row.name, is_down=row.status == Status.DOWN.value, back_at=back.get(row.id))
        found.setdefault(row.check_id, []).append(needed)
    return found


def _back(tx: Tx, pids: Collection[int], check_ids: Collection[int]) -> Mapping[int, datetime]:
    """When the newest incident of each ended."""
    if not check_ids:
        return {}
    i = incidents.c
    query = (
        sa.select(i.source_id, sa.func.max(i.closed_at).label("at"))
        .where(i.pid.in_(pids), i.source_kind == "check", i.source_id.in_(check_ids))
        .group_by(i.source_id)
    )
    return {row.source_id: row.at for row in tx.conn.execute(query) if row.at is not None}


def wake_waiting(tx: Tx, check_ids: Collection[int], *, now: datetime) -> None:
    """These are not down any more, or gone: what waits for them is looked at again."""
    n = notifications.c
    waiting = sa.update(notifications).where(n.state == _HELD, n.held_by.in_(check_ids), n.held_until > now)
    if tx.conn.execute(waiting.values(held_until=now)).rowcount:
        tx.changes.wake(now)
