"""A wall clock that was set back: what waits for a time by it would wait for so much longer.

The next try of a message, and the end of a lease, are instants. One that was written later than now, as the clock
shows it, was written before the clock was set back: it comes as long after now as it was to come after that.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.models import attempts, deliveries
from heartfly.notify.outbox import PENDING
from heartfly.notify.work import LEASE

NOTICED = timedelta(seconds=2)
"""Of nodes that work together the clocks differ by less."""

_tried_at = (
    sa.select(sa.func.max(attempts.c.ended_at))
    .where(attempts.c.delivery_id == deliveries.c.id)
    .scalar_subquery()
    .label("tried_at")
)


def bring_forward(tx: Tx, *, now: datetime) -> None:
    """Each delivery that was put off by a clock ahead of ours waits for as long as it was to."""
    d = deliveries.c
    query = (
        sa.select(d.id, d.next_at, d.lease_until, d.created_at, _tried_at)
        .where(d.state == PENDING, d.next_at > now + NOTICED)
        .order_by(d.id)
    )
    for row in tx.conn.execute(query.with_for_update(of=deliveries) if tx.on_postgres else query).all():
        leased_at = None if row.lease_until is None else row.lease_until - LEASE
        by = (leased_at or row.tried_at or row.created_at) - now
        if by > NOTICED:
            until = None if row.lease_until is None else row.lease_until - by
            values = {"next_at": row.next_at - by, "lease_until": until}
            tx.conn.execute(sa.update(deliveries).where(d.id == row.id).values(values))
