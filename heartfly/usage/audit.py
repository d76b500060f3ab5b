"""How a change of usage gets its entry in the audit, although that is in another part and no transaction spans both.

The entry is written with the change, in its transaction, and carried over after the commit. What a crash leaves behind
is carried with the next change or at the next start. An entry keeps its id, so it arrives once however often it is
carried.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from heartfly.audit.record import Entry, bring, record
from heartfly.db import tenant
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.models import usage_audit
from heartfly.errors import HeartflyError, NotFoundError
from heartfly.logs import logger

log = logger("heartfly.audit")

_AT_ONCE = 500


note = partial(record, into=usage_audit)
"""As audit.record.record, inside a transaction of the usage part."""


async def carry(usage: Database, main: Database) -> int:
    """Bring over what waits. How many there were. Two may be at it."""
    n = 0
    while True:
        async with usage.read() as read:
            rows = (await read.execute(_waiting())).all()
        if not rows:
            return n
        await main.write(lambda tx, rows=rows: _bring(tx, rows))  # type: ignore[misc]
        await usage.write(lambda tx, rows=rows: _forget(tx, rows))  # type: ignore[misc]
        n += len(rows)


async def carry_or_wait(usage: Database, main: Database) -> None:
    """After a change, which is done: an entry that cannot be carried now waits for the next one."""
    try:
        await carry(usage, main)
    except HeartflyError as error:
        log.warning("audit_waits", error=str(error))


def _waiting() -> sa.Select[Any]:
    return sa.select(usage_audit).order_by(usage_audit.c.pid, usage_audit.c.id).limit(_AT_ONCE)


def _bring(tx: Tx, rows: Sequence[Any]) -> None:
    for pid, of_project in groupby(rows, key=lambda row: row.pid):
        try:
            tenant.demand_living(tx, pid)
        except NotFoundError:
            continue  # its audit has gone with it
        bring(tx, [Entry(**row._asdict()) for row in of_project])


def _forget(tx: Tx, rows: Sequence[Any]) -> None:
    for row in rows:
        tx.conn.execute(sa.delete(usage_audit).where(usage_audit.c.pid == row.pid, usage_audit.c.id == row.id))
