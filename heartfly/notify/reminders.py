"""Reminders: of an incident that is open and that nobody has acknowledged, a channel that asks for it hears again.

One row for each incident and channel says when the next is due. It begins with the alert that told the channel, in
its transaction; what becomes of it is decided in reminding.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.changes import Tx
from heartfly.db.models import incidents, reminders


@dataclass(frozen=True, slots=True)
class Begun:
    """`incident`: its public id."""

    pid: int
    incident: str
    channel_id: int
    next_at: datetime


def begin(tx: Tx, begun: Sequence[Begun]) -> None:
    """The incidents are written in the same transaction, or were before."""
    if not begun:
        return
    i = incidents.c
    query = sa.select(i.pid, i.uuid, i.id).where(
        i.pid.in_({one.pid for one in begun}), i.uuid.in_({one.incident for one in begun})
    )
    ids = {(row.pid, row.uuid): row.id for row in tx.conn.execute(query)}
    rows = [
        {
            "pid": one.pid,
            "incident_id": ids[one.pid, one.incident],
            "channel_id": one.channel_id,
            "n": 0,
            "next_at": one.next_at,
        }
        for one in begun
        if (one.pid, one.incident) in ids
    ]
    if rows:
        tx.conn.execute(tx.insert(reminders).on_conflict_do_nothing(), rows)
        tx.changes.wake(min(one.next_at for one in begun))


def keys_of(incident: str, channel_id: int, n: int) -> list[str]:
    """Of the alerts by which the channel was reminded of that incident, `n` times."""
    return [f"remind:{incident}:{channel_id}:{nth}" for nth in range(1, n + 1)]


async def keys_of_incident(read: AsyncConnection, pid: int, incident_id: int, uuid: str) -> list[str]:
    """Of all reminders of an incident; of each channel the newest few."""
    r = reminders.c
    query = sa.select(r.channel_id, r.n).where(r.pid == pid, r.incident_id == incident_id, r.n > 0)
    return [key for row in await read.execute(query) for key in keys_of(uuid, row.channel_id, row.n)[-_MOST_SHOWN:]]


_MOST_SHOWN = 50
