"""What is left of a deleted check: its rows are removed in small pieces, so that no ping waits for them.

`commands.delete` leaves the check's addresses behind as marks of kind `gone`; the last piece removes
those. Whatever a crash interrupted is therefore found again.
"""

from __future__ import annotations

import sqlalchemy as sa

from heartfly.core.pieces import within
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.models import addresses, check_days, check_versions, flips, ping_bodies, pings, run_metrics, runs

PIECE = 1000
"""Rows in one transaction: a few milliseconds. Of large bodies fewer."""

_HISTORY = (
    (ping_bodies, "n"),
    (pings, "n"),
    (run_metrics, "run_id"),
    (runs, "id"),
    (flips, "flip_no"),
    (check_days, "day"),
)


async def remove(database: Database, pid: int, check_id: int) -> None:
    """Remove the history of one deleted check, piece by piece, behind everybody else's writes."""
    while await database.write(lambda tx: remove_piece(tx, pid, check_id), priority=Priority.BULK):
        pass


async def remove_leftovers(database: Database) -> None:
    """Finish the deletions that a crash interrupted. Call once after the start."""
    async with database.read() as read:
        query = sa.select(addresses.c.pid, addresses.c.check_id).where(addresses.c.kind == "gone").distinct()
        gone = (await read.execute(query)).all()
    for row in gone:
        await remove(database, row.pid, row.check_id)


def remove_piece(tx: Tx, pid: int, check_id: int) -> bool:
    """Remove up to PIECE rows; False when that was the last of them."""
    room = PIECE
    for table, order in _HISTORY:
        mine = (table.c.pid == pid, table.c.check_id == check_id)
        oldest = sa.select(table.c[order]).where(*mine).order_by(table.c[order]).limit(room)
        if table is ping_bodies:
            oldest = oldest.add_columns(sa.func.length(ping_bodies.c.body).label("size"))
        rows = tx.conn.execute(oldest).all()
        found = [row[0] for row in (within(rows) if table is ping_bodies else rows)]
        if found:
            # All up to the last one found: rows of run_metrics share a run, of which a few more may go along.
            tx.conn.execute(sa.delete(table).where(*mine, table.c[order] <= found[-1]))
            room -= len(found)
        if room <= 0 or len(found) < len(rows):
            return True
    for table in (check_versions, addresses):
        tx.conn.execute(sa.delete(table).where(table.c.pid == pid, table.c.check_id == check_id))
    return False
