"""The numbers of types and subjects, for who writes few events; apply.py has its own way for many."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import usage_names
from heartfly.db.prepared import among

Kind = Literal["type", "subject", "endpoint"]


def known_names(tx: Tx, pid: int, kind: Kind, texts: Collection[str]) -> dict[str, int]:
    """Of these those that ever came."""
    query = sa.select(usage_names.c.text, usage_names.c.id).where(
        usage_names.c.pid == pid, usage_names.c.kind == kind, among(tx, usage_names.c.text, "texts")
    )
    return {row.text: row.id for row in tx.conn.execute(query, {"texts": sorted(texts)})}


def name_ids(tx: Tx, pid: int, kind: Kind, texts: Collection[str], *, at: datetime, ids: IdSource) -> dict[str, int]:
    """Of all of these; new ones are made. Call it under `hold_events`."""
    found = known_names(tx, pid, kind, texts)
    missing = sorted(set(texts) - found.keys())
    made = dict(zip(missing, new_numbers(tx, len(missing), at=at, ids=ids), strict=True))
    if made:
        rows = [{"pid": pid, "id": number, "kind": kind, "text": text} for text, number in made.items()]
        tx.conn.execute(sa.insert(usage_names), rows)
    return found | made


def new_numbers(tx: Tx, n: int, *, at: datetime, ids: IdSource) -> list[int]:
    """Of names that nobody has used before. Call it under `hold_events`, and write them in the same transaction.

    Each event repeats them, in its row and in an index: on SQLite, where a small number takes a byte or two, they are
    counted. No two projects have the same one: those of a customer's events stand together in the index.
    """
    if n == 0 or tx.on_postgres:
        return ids.several(at, n)
    last = tx.conn.execute(sa.select(sa.func.max(usage_names.c.id)).where(usage_names.c.id < _SMALL)).scalar() or 0
    return list(range(last + 1, last + 1 + n))


_SMALL = 1 << 31
"""What an IdSource made is larger."""
