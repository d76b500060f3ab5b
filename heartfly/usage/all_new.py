"""Events of which none was known: written column by column, as nearly all that comes is so.

Which are new is settled in apply.py, which writes what else there is, event by event. Both write the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

import sqlalchemy as sa

from heartfly.db.blocks import Block
from heartfly.db.changes import Tx
from heartfly.db.models import event_ids, events
from heartfly.db.prepared import Prepared
from heartfly.db.types import EPOCH, micros
from heartfly.usage.ready import Ready

INSERT_EVENTS = Prepared(lambda _: sa.insert(events))


def claim(tx: Tx, pid: int, hashes: Sequence[bytes], numbers: Sequence[int], fingerprints: Sequence[bytes]) -> int:
    """How many of these transaction ids are new, and kept as such from now on.

    They are written without a look first: most of what comes was never seen before, and to write has to look anyway. In
    their order: in which a page is filled after the other, and two nodes that write the same ones wait for each other.
    """
    if not hashes:
        return 0
    order = sorted(range(len(hashes)), key=hashes.__getitem__)
    by_hash, by_number = [hashes[place] for place in order], [numbers[place] for place in order]
    by_fingerprint = [fingerprints[place] for place in order]
    pids = [pid] * len(hashes)
    if not tx.on_postgres:
        return _IDS.insert(tx, (pids, by_hash, by_number, by_fingerprint))
    columns: dict[str, Sequence[Any]] = {
        "pid": pids,
        "id_hash": by_hash,
        "event_id": by_number,
        "fingerprint": by_fingerprint,
    }
    return _CLAIM_IDS.add(tx, columns)


def write_new(
    tx: Tx,
    pid: int,
    ready: Ready,
    numbers: Sequence[int],
    *,
    received: Iterable[tuple[datetime, int]],
    types: Mapping[str, int],
    subjects: Mapping[str, int],
) -> dict[int, int]:
    """The newest number in each hour since EPOCH. `numbers` ascend. `received`: when, and how many came then."""
    pids = [pid] * len(numbers)
    type_ids, subject_ids = [types[one] for one in ready.types], [subjects[one] for one in ready.subjects]
    if tx.on_postgres:
        columns: dict[str, Sequence[Any]] = {
            "pid": pids,
            "id": numbers,
            "received_at": [*chain.from_iterable([at] * n for at, n in received)],
            "at": ready.ats,
            "type_id": type_ids,
            "subject_id": subject_ids,
            "transaction_id": ready.ids,
            "properties": ready.properties,
        }
        INSERT_EVENTS.follow_by_columns(tx, columns)
    else:
        came = [*chain.from_iterable([micros(at)] * n for at, n in received)]
        _EVENTS.insert(tx, (pids, numbers, came, ready.ats, type_ids, subject_ids, ready.ids, ready.properties))
    return {hour: numbers[place] for hour, place in ready.last_of_hours.items()}


def newest_of_hours(found: Iterable[tuple[datetime, int]]) -> dict[int, int]:
    """`found`: when they happened, and their numbers, which ascend. By hours since EPOCH."""
    newest: dict[int, int] = {}
    for at, number in dict(found).items():
        since = at - EPOCH
        hour = since.days * 24 + since.seconds // 3600
        if number > newest.get(hour, -1):
            newest[hour] = number
    return newest


_CLAIM_IDS = Prepared(lambda tx: tx.insert(event_ids).on_conflict_do_nothing())
_IDS = Block(event_ids, passing=True)
_EVENTS = Block(events)
