"""Entries come into the chain: whatever is in no clasp yet goes into the next one, however late it was committed.

No transaction that writes an entry waits for the chain, or knows of it. One node fastens at a time, which its caller
sees to; were there two, the second would find its number taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Select

from heartfly.audit.chain import FIRST, ChainKey, Held, Link, packed
from heartfly.db.changes import Tx
from heartfly.db.models import audit, audit_clasps

MOST = 100
"""Entries in a clasp, which is one transaction: 4 ms of computing, in which on SQLite nobody else writes."""


@dataclass(frozen=True, slots=True)
class Fastened:
    link: Link
    n_entries: int


def waiting() -> Select[Any]:
    """The next ones. By `clasp` first, though of all it is null: that is the index."""
    return sa.select(audit).where(audit.c.clasp.is_(None)).order_by(audit.c.clasp, audit.c.id).limit(MOST)


def fasten(tx: Tx, key: ChainKey, *, at: datetime) -> Fastened | None:
    """Up to MOST entries, by their ids. None: all are in a clasp."""
    # Held, as names may be going from one at this moment: what is in the clasp is what the entry says (forget.py).
    rows = tx.conn.execute(waiting().with_for_update(skip_locked=True) if tx.on_postgres else waiting()).all()
    if not rows:
        return None
    newest = sa.select(audit_clasps.c.number, audit_clasps.c.hash).order_by(audit_clasps.c.number.desc()).limit(1)
    number, before = tx.conn.execute(newest).first() or (0, FIRST)
    number += 1
    entries = packed(Held(row.pid, row.id, key.of_entry(row)) for row in rows)
    made = Link(number, key.of_clasp(number, at, before, entries))
    values = {"number": number, "at": at, "entries": entries, "hash": made.hash}
    tx.conn.execute(sa.insert(audit_clasps).values(values))
    for pid, of_project in groupby(sorted((row.pid, row.id) for row in rows), key=lambda one: one[0]):
        ids = [entry_id for _, entry_id in of_project]
        tx.conn.execute(sa.update(audit).where(audit.c.pid == pid, audit.c.id.in_(ids)).values(clasp=number))
    return Fastened(made, len(rows))
