"""Saying that hours must be folded anew, for other reasons than a new event: a meter that changed, events that went."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.models import dirty_hours, windows
from heartfly.usage.fold import TIER_HOUR


def mark_folded(tx: Tx, pid: int, *, from_at: datetime | None, to_at: datetime | None, seq: int) -> None:
    """All hours with a part in [from_at, to_at) that were folded before; None: without an end there.

    `seq`: a new id. Hours that were never folded are dirty already.
    """
    where = [windows.c.pid == pid, windows.c.tier == TIER_HOUR, windows.c.sealed_at.is_(None)]
    if from_at is not None:
        where.append(windows.c.end_at > from_at)
    if to_at is not None:
        where.append(windows.c.start_at < to_at)
    hours = sa.select(windows.c.pid, windows.c.start_at, sa.literal(seq, sa.BigInteger)).where(*where)
    insert = tx.insert(dirty_hours).from_select(["pid", "hour", "seq"], hours)
    tx.conn.execute(insert.on_conflict_do_update(index_elements=["pid", "hour"], set_={"seq": seq}))


def mark_hour(tx: Tx, pid: int, hour: datetime, *, seq: int) -> None:
    insert = tx.insert(dirty_hours).values(pid=pid, hour=hour, seq=seq)
    tx.conn.execute(insert.on_conflict_do_update(index_elements=["pid", "hour"], set_={"seq": seq}))
