"""In which times Heartfly itself could not hear, inside of a transaction that judges or tells."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from heartfly.core.values import Blind
from heartfly.db.changes import Tx
from heartfly.db.models import blind_intervals
from heartfly.db.prepared import Prepared
from heartfly.db.types import UtcInstant


def blind_since(tx: Tx, since: datetime) -> list[Blind]:
    return [Blind(id=row.id, from_at=row.from_at, to_at=row.to_at) for row in _BLIND.rows(tx, since=since)]


_BLIND = Prepared(
    lambda _: (
        sa.select(blind_intervals)
        .where(blind_intervals.c.to_at >= sa.bindparam("since", type_=UtcInstant))
        .order_by(blind_intervals.c.from_at)
    )
)
