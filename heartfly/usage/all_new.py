"""Events of which none was known: written column by column, as nearly all that comes is so.

Which are new is settled in apply.py, which writes what else there is, event by event. Both write the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain

import sqlalchemy as sa

from heartfly.core.by_column import EventColumns
from heartfly.db.changes import Tx
from heartfly.db.models import events
from heartfly.db.prepared import Prepared
from heartfly.db.types import EPOCH

INSERT_EVENTS = Prepared(lambda _: sa.insert(events))


def write_new(
    tx: Tx,
    pid: int,
    found: EventColumns,
    numbers: Sequence[int],
    *,
    received: Iterable[tuple[datetime, int]],
    types: Mapping[str, int],
    subjects: Mapping[str, int],
) -> dict[int, int]:
    """The newest number in each hour since EPOCH. `numbers` ascend. `received`: when, and how many came then."""
    INSERT_EVENTS.add(
        tx,
        {
            "pid": [pid] * len(found),
            "id": numbers,
            "received_at": list(chain.from_iterable([at] * n for at, n in received)),
            "at": found.ats,
            "type_id": [types[one] for one in found.types],
            "subject_id": [subjects[one] for one in found.subjects],
            "transaction_id": found.ids,
            "properties": found.properties,
        },
    )
    return newest_of_hours(zip(found.ats, numbers, strict=True))


def newest_of_hours(found: Iterable[tuple[datetime, int]]) -> dict[int, int]:
    """`found`: when they happened, and their numbers, which ascend. By hours since EPOCH."""
    newest: dict[int, int] = {}
    for at, number in dict(found).items():
        since = at - EPOCH
        hour = since.days * 24 + since.seconds // 3600
        if number > newest.get(hour, -1):
            newest[hour] = number
    return newest
