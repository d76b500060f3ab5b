"""What goes from entries of the audit: the names of a customer who is erased, and nothing else.

The one place where what entries say is edited. Which names those are is decided by who erases (usage/traces.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import sqlalchemy as sa

from heartfly.audit.marks import Redactor
from heartfly.audit.record import Facts
from heartfly.db.changes import Tx
from heartfly.db.models import audit


def forget(
    tx: Tx,
    pid: int,
    of: str,
    without: Callable[[Facts], Facts],
    *,
    redactor: Redactor | None,
    table: sa.Table = audit,
) -> None:
    """Of what was changed the entries tell no more than `without` leaves; who changed it, when and how, they still do.

    `table`: where they are, or wait to be carried from; those that wait are in no chain, and have no `redactor`.
    """
    query = sa.select(table).where(table.c.pid == pid, table.c.object == of)
    # Held, as it may be coming into the chain at this moment (fasten.py).
    for row in tx.conn.execute(query.with_for_update() if tx.on_postgres else query).all():
        told = {"before": row.before, "after": row.after}
        less = {name: None if facts is None else without(facts) for name, facts in told.items()}
        if less != told:
            mark = {} if redactor is None else {"redaction_hash": redactor.mark(row, less)}
            tx.conn.execute(sa.update(table).where(table.c.pid == pid, table.c.id == row.id).values(less | mark))


def objects(tx: Tx, pid: int, kind: str, *, table: sa.Table = audit) -> Mapping[str, Sequence[Facts]]:
    """What entries tell of each object of a kind, by what it is called there, for who has to know whom they name."""
    query = sa.select(table.c.object, table.c.before, table.c.after)
    found: dict[str, list[Facts]] = {}
    for row in tx.conn.execute(query.where(table.c.pid == pid, table.c.object.startswith(f"{kind}:"))).all():
        found.setdefault(row.object, []).extend(facts for facts in (row.before, row.after) if facts is not None)
    return found
