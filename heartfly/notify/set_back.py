"""A wall clock that was set back: what waits for a time by it would wait for so much longer.

The next try of a message, and the end of a lease, are instants. One that was written later than now, as the clock
shows it, was written before the clock was set back: it comes as long after now as it was to come after that.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.models import attempts, deliveries
from heartfly.notify.outbox import PENDING
from heartfly.notify.work import LEASE

NOTICED = timedelta(seconds=2)
"""Of nodes that work together the clocks differ by less."""


def bring_forward(tx: Tx, *, now: datetime) -> None:
    """Each delivery that was put off by a clock ahead of ours waits for as long as it was to, and no longer.

    However often that is done, and by how many nodes: what was put right is not late any more.
    """
    d, last = deliveries.c, attempts.c
    query = (
        sa.select(d.id, d.attempt, d.next_at, d.lease_until, d.created_at, last.ended_at, last.retry_at)
        .outerjoin(attempts, sa.and_(last.delivery_id == d.id, last.attempt == d.attempt))
        .where(d.state == PENDING, d.next_at > now + NOTICED)
        .order_by(d.id)
    )
    for row in tx.conn.execute(query.with_for_update(of=deliveries) if tx.on_postgres else query).all():
        by = row.next_at - now - _wait(row)
        if by > NOTICED:
            values: dict[str, Any] = {"next_at": row.next_at - by}
            if row.lease_until is not None:
                values["lease_until"] = row.lease_until - by
            elif not row.attempt:
                values["created_at"] = row.created_at - by  # its turn counts from there
            tx.conn.execute(sa.update(deliveries).where(d.id == row.id).values(values))


def _wait(row: Any) -> timedelta:
    """For how long it was to wait when that was decided."""
    if row.lease_until is not None:
        return LEASE
    if not row.attempt:
        waits: timedelta = row.next_at - row.created_at
        return waits
    planned = row.retry_at is not None and row.ended_at is not None
    return row.retry_at - row.ended_at if planned else timedelta()  # else somebody has it sent again, at once
