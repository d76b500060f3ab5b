"""What goes from entries of the audit: the names of a customer who is erased, and nothing else.

The one place where entries are edited. Which names those are is decided by who erases (usage/traces.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import sqlalchemy as sa

from heartfly.audit.record import Facts
from heartfly.db.changes import Tx
from heartfly.db.models import audit


def forget(tx: Tx, pid: int, of: str, without: Callable[[Facts], Facts], *, table: sa.Table = audit) -> None:
    """Of what was changed the entries tell no more than `without` leaves; who changed it, when and how, they still do.

    `table`: where they are, or wait to be carried from.
    """
    query = sa.select(table.c.id, table.c.before, table.c.after).where(table.c.pid == pid, table.c.object == of)
    for row in tx.conn.execute(query).all():
        told = {"before": row.before, "after": row.after}
        less = {name: None if facts is None else without(facts) for name, facts in told.items()}
        if less != told:
            tx.conn.execute(sa.update(table).where(table.c.pid == pid, table.c.id == row.id).values(less))


def objects(tx: Tx, pid: int, kind: str, *, table: sa.Table = audit) -> Mapping[str, Sequence[Facts]]:
    """What entries tell of each object of a kind, by what it is called there, for who has to know whom they name."""
    query = sa.select(table.c.object, table.c.before, table.c.after)
    found: dict[str, list[Facts]] = {}
    for row in tx.conn.execute(query.where(table.c.pid == pid, table.c.object.startswith(f"{kind}:"))).all():
        found.setdefault(row.object, []).extend(facts for facts in (row.before, row.after) if facts is not None)
    return found
