"""A change of prices: which hours are folded anew for it. Which prices there are is decided elsewhere."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from heartfly.core.calls import TYPE, Cube
from heartfly.core.windows import HOUR
from heartfly.db.changes import Tx
from heartfly.db.models import call_rollups, dirty_hours, usage_names, windows
from heartfly.usage.apply import hold_events
from heartfly.usage.fold import TIER_HOUR


def mark_priced(tx: Tx, pid: int, *, from_at: datetime | None, to_at: datetime | None, seq: int) -> int:
    """All hours with a part in [from_at, to_at) that hold calls and whose events are kept; None: without an end there.

    How many were folded. To be asked in the transaction that changes a price: whoever folds an hour reads either both
    or neither. `seq`: a new id, also for what is marked already: who folds an hour now, by the prices as they were,
    must not take its mark away. What is sealed stays as it was charged.
    """
    hold_events(tx, pid)
    of_calls = (usage_names.c.pid == pid, usage_names.c.kind == "type", usage_names.c.text == TYPE)
    if tx.conn.execute(sa.select(usage_names.c.id).where(*of_calls)).first() is None:
        return 0
    marked = [dirty_hours.c.pid == pid]
    if from_at is not None:
        marked.append(dirty_hours.c.hour > from_at - HOUR)
    if to_at is not None:
        marked.append(dirty_hours.c.hour < to_at)
    tx.conn.execute(sa.update(dirty_hours).where(*marked).values(seq=seq))
    w, r = windows.c, call_rollups.c
    here = sa.exists().where(r.pid == pid, r.cube == int(Cube.TOTAL), r.tier == TIER_HOUR, r.start_at == w.start_at)
    where = [w.pid == pid, w.tier == TIER_HOUR, w.sealed_at.is_(None), sa.or_(w.thinned, here)]
    if from_at is not None:
        where.append(w.end_at > from_at)
    if to_at is not None:
        where.append(w.start_at < to_at)
    hours = sa.select(w.pid, w.start_at, sa.literal(seq, sa.BigInteger)).where(*where)
    insert = tx.insert(dirty_hours).from_select(["pid", "hour", "seq"], hours)
    upsert = insert.on_conflict_do_update(index_elements=["pid", "hour"], set_={"seq": seq})
    return tx.conn.execute(upsert.execution_options(preserve_rowcount=True)).rowcount
