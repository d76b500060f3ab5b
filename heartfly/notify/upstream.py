"""What a check needs, as it is now: read where an alert is offered to channels, and again where it was held.

When that holds an alert, and until when, is decided in core/causes.py. A check that came back wakes what waits for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
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


def settled_needs(tx: Tx, pids: Collection[int], check_ids: Collection[int]) -> Mapping[int, Sequence[Needed]]:
    """As `needed_by`, for who writes down that he waits: what is down stays so until he has, or is marked as in hand.

    Where there are other nodes one of them may be turning such a check up at this very moment. It wakes who waits, and
    of who is not written yet it sees nothing. So we hold what is down: then it comes up after us, and finds us. To wait
    for what another holds might be to wait in a circle, so that is passed by, and looked at again soon.
    """
    needed = needed_by(tx, pids, check_ids)
    down = {one.id for those in needed.values() for one in those if one.is_down}
    if not tx.on_postgres or not down:
        return needed
    c = checks.c
    query = sa.select(c.id).where(c.pid.in_(pids), c.id.in_(down)).order_by(c.id)
    held = {*tx.conn.execute(query.with_for_update(read=True, skip_locked=True)).scalars()}
    # It may have come up between the first look and the lock.
    found = needed_by(tx, pids, check_ids)
    return {
        check: [replace(one, is_in_hand=one.is_down and one.id not in held) for one in those]
        for check, those in found.items()
    }


def wake_waiting(tx: Tx, check_ids: Collection[int], *, now: datetime) -> None:
    """These are not down any more, or gone: what waits for them is looked at again."""
    n = notifications.c
    waiting = sa.update(notifications).where(n.state == _HELD, n.held_by.in_(check_ids), n.held_until > now)
    if tx.conn.execute(waiting.values(held_until=now)).rowcount:
        tx.changes.wake(now)
