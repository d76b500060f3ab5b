"""Which Heartfly this database belongs to, and since which restore it has gone its own way.

The one row of `instance`. Its uuid stays for ever. Its epoch is 1, and after a restore the second (since 1970) in
which that was made: of two copies of one database it tells which is which, and which was restored later. What else a
restore does is backup/marks.py's.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.models import instance, nodes
from heartfly.errors import StoreError

ALIVE = timedelta(seconds=10)
"""Who beat so lately serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    uuid: str
    epoch: int
    restored_at: datetime | None = None
    backup_at: datetime | None = None
    """Up to when the backup knew that was restored last."""
    repeats_through: int = 0
    """Alerts up to this id may have been told already, by the copy that the backup was taken of."""


QUERY = sa.select(
    instance.c.uuid, instance.c.epoch, instance.c.restored_at, instance.c.backup_at, instance.c.repeats_through
)


def identity(row: Any) -> Identity:
    """`row`: of QUERY."""
    return Identity(
        uuid=row.uuid,
        epoch=row.epoch,
        restored_at=row.restored_at,
        backup_at=row.backup_at,
        repeats_through=row.repeats_through or 0,
    )


def identify(tx: Tx) -> Identity:
    """The database's own, made when first asked for."""
    made = tx.insert(instance).values(id=1, uuid=str(uuid.uuid4()), epoch=1).on_conflict_do_nothing()
    tx.conn.execute(made)
    return identity(tx.conn.execute(QUERY).one())


def begin_epoch(tx: Tx, *, at: datetime, backup_at: datetime, repeats_through: int) -> Identity:
    """Say that this database was restored from a backup, at `at`."""
    before = identify(tx)
    values = {
        "epoch": max(before.epoch + 1, int(at.timestamp())),
        "restored_at": at,
        "backup_at": backup_at,
        "repeats_through": repeats_through,
    }
    tx.conn.execute(sa.update(instance).values(values))
    return identify(tx)


def refuse_while_alive(tx: Tx, *, at: datetime) -> None:
    """StoreError: a node serves this database. What is on its way out knows nothing of a restore."""
    query = sa.select(sa.func.max(nodes.c.beat_at)).where(nodes.c.left_at.is_(None), nodes.c.fenced_at.is_(None))
    beat_at = tx.conn.execute(query).scalar()
    if beat_at is not None and beat_at > at - ALIVE:
        raise StoreError("a Heartfly is using the database (it beat less than 10 s ago); stop every node first")
