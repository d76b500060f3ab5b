"""Hours whose calls must be folded anew, as what they cost is another sum."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.models import usage_names
from heartfly.usage.meters import mark_hours

CALL = "api.call"
"""The type of an event that is a call to somebody's API."""


def mark_calls(tx: Tx, pid: int, *, from_at: datetime | None, to_at: datetime | None, seq: int) -> None:
    """Those with a part in [from_at, to_at); None: without an end there. `seq`: a new id.

    Of a project that never had a call there are none.
    """
    query = sa.select(usage_names.c.id).where(
        usage_names.c.pid == pid, usage_names.c.text == CALL, usage_names.c.kind == "type"
    )
    if tx.conn.execute(query).first() is not None:
        mark_hours(tx, pid, from_at, to_at, seq=seq)
