"""What is due to be told and cannot be, whatever is wrong with it: left for an hour, so that it stops no other.

Called for the one that raised when it was told by itself (monitor/watch.py). It stays as it is: who can read it again
tells it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.models import cause_tellings, notifications, reminders
from heartfly.db.types import UtcInstant
from heartfly.logs import logger
from heartfly.notify import reminding, together
from heartfly.notify.later import FIRST_HELD, Later
from heartfly.notify.peace import HELD

log = logger("heartfly.notify")

AGAIN = timedelta(hours=1)


def leave(tx: Tx, what: Later, *, now: datetime, error: str) -> bool:
    """Put off the first that is due. False: there is none any more."""
    until = now + AGAIN
    if what is Later.HELD:
        row = next(iter(FIRST_HELD.rows(tx, now=now, most=1)), None)
        if row is None:
            return False
        n = notifications.c
        due = (n.state == HELD, n.held_until <= sa.literal(now, UtcInstant))
        its = (n.pid == row.pid, n.channel_id == row.channel_id, n.source == row.source)
        tx.conn.execute(sa.update(notifications).where(*due, *its).values(held_until=until))
        told = row.source
    else:
        table, first = (
            (cause_tellings, together.FIRST_DUE) if what is Later.TOGETHER else (reminders, reminding.FIRST_DUE)
        )
        row = next(iter(first.rows(tx, now=now, most=1)), None)
        if row is None:
            return False
        c = table.c
        its = (c.pid == row.pid, c.incident_id == row.incident_id, c.channel_id == row.channel_id)
        again = {"due_at" if what is Later.TOGETHER else "next_at": until}
        tx.conn.execute(sa.update(table).where(*its).values(again))
        told = f"incident:{row.incident_id}"
    tx.changes.wake(until)
    log.error("later", what=what.value, of=told, channel=row.channel_id, error=error, next="told in an hour")
    return True
