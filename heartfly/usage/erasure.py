"""A customer is erased: his events go, piece by piece, and last he himself. Cut off, it goes on when asked again.

The hashes of his events' transaction ids stay, so that what is sent again does not come back. The hours that held his
events are worked out anew without them. What else names him goes as well (traces.py).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.audit.marks import Redactor
from heartfly.audit.record import Action, Actor
from heartfly.core.windows import HOUR
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.ids import IdSource
from heartfly.db.models import (
    aliases,
    backfill_events,
    customers,
    dirty_hours,
    event_conflicts,
    event_corrections,
    events,
    slow_requests,
)
from heartfly.db.types import EPOCH
from heartfly.sealing import Sealer
from heartfly.usage import traces, traces_told
from heartfly.usage.apply import hold_events
from heartfly.usage.archive.erasures import note_erased
from heartfly.usage.audit import carry, note
from heartfly.usage.customer_queries import aliases_in, subject_ids
from heartfly.usage.customers import held
from heartfly.usage.seal import forget_conflicts

_PIECE = 500


async def erase_customer(
    usage: Database,
    main: Database,
    pid: int,
    public_id: str,
    *,
    rev: int | None,
    actor: Actor,
    at: datetime,
    ids: IdSource,
    sealer: Sealer,
) -> int:
    """How many events went. `main`: where the audit is. NotFoundError; ChangedMeanwhileError."""
    row, texts = await usage.write(lambda tx: _held(tx, pid, public_id, rev))
    await usage.write(lambda tx: note_erased(tx, pid, texts, at=at, ids=ids))
    n = 0
    while gone := await usage.write(lambda tx: _piece(tx, pid, row.id, seq=ids.next(at)), priority=Priority.BULK):
        n += gone
    while await usage.write(lambda tx: _former(tx, pid, row.id), priority=Priority.BULK):
        pass
    await traces.remove_letters(usage, pid, texts)
    sets = await traces.sets_of(usage, pid, texts)
    who = traces_told.Who(texts, row.uuid, row.name)

    def forget(tx: Tx) -> None:
        redactor = Redactor(tx, sealer)
        traces.from_audit(tx, pid, sets, texts, row.uuid, redactor=redactor)
        traces.from_reports(tx, pid, row.uuid)
        traces_told.from_alerts(tx, pid, who, at=at)
        traces_told.from_budgets(tx, pid, who)
        traces_told.from_audit_of_scopes(tx, pid, who, redactor)

    def last(tx: Tx) -> None:
        traces.from_waiting(tx, pid, sets, texts, row.uuid)
        traces_told.from_waiting(tx, pid, who)
        traces.unname_sets(tx, pid, sets, texts, row.uuid)
        traces.from_limits(tx, pid, texts)
        _last(tx, pid, public_id, n, actor=actor, at=at, ids=ids)

    await carry(usage, main)
    await main.write(forget)  # before he goes: cut off here, it goes on when asked again
    await usage.write(last)
    await main.write(forget)  # of what was carried over meanwhile
    return n


def _held(tx: Tx, pid: int, public_id: str, rev: int | None) -> tuple[Any, frozenset[str]]:
    """And all that he is called."""
    row = held(tx, pid, public_id, rev)
    return row, frozenset([*aliases_in(tx, row), row.uuid])


def _piece(tx: Tx, pid: int, customer_id: int, *, seq: int) -> int:
    """Remove some of his events. How many; 0: there are none left.

    What was his before it was corrected, or was sent into a backfill, goes as well, and cannot be put back any more.
    """
    hold_events(tx, pid)
    for subject_id in tx.conn.execute(subject_ids(pid, customer_id)).scalars().all():
        query = sa.select(events.c.id, events.c.at).where(events.c.pid == pid, events.c.subject_id == subject_id)
        found = tx.conn.execute(query.order_by(events.c.at).limit(_PIECE)).all()
        if not found:
            continue
        numbers = [one.id for one in found]
        tx.conn.execute(
            sa.delete(event_conflicts).where(event_conflicts.c.pid == pid, event_conflicts.c.event_id.in_(numbers))
        )
        corrected = (event_corrections.c.pid == pid, event_corrections.c.event_id.in_(numbers))
        tx.conn.execute(sa.delete(event_corrections).where(*corrected))
        tx.conn.execute(sa.delete(events).where(events.c.pid == pid, events.c.id.in_(numbers)))
        _mark(tx, pid, sorted({one.at - (one.at - EPOCH) % HOUR for one in found}), seq)
        return len(found)
    return 0


def _former(tx: Tx, pid: int, customer_id: int) -> int:
    """Remove some of what his events were, was sent into backfills, and was slow. How many; 0: there are none left."""
    hold_events(tx, pid)
    c, b, his = event_corrections.c, backfill_events.c, subject_ids(pid, customer_id)
    were = sa.select(c.event_id, c.id).where(c.pid == pid, sa.or_(c.subject_id.in_(his), c.new_subject_id.in_(his)))
    corrected = tx.conn.execute(were.limit(_PIECE)).all()
    for row in corrected:
        tx.conn.execute(sa.delete(event_corrections).where(c.pid == pid, c.event_id == row.event_id, c.id == row.id))
    in_sets = sa.select(b.backfill_id, b.id, b.event_id).where(b.pid == pid, b.subject_id.in_(his))
    sent = tx.conn.execute(in_sets.limit(_PIECE)).all()
    forget_conflicts(tx, pid, {row.event_id for row in [*corrected, *sent]} - {None})
    for one in sent:
        tx.conn.execute(
            sa.delete(backfill_events).where(b.pid == pid, b.backfill_id == one.backfill_id, b.id == one.id)
        )
    slow = sa.select(slow_requests.c.event_id).where(slow_requests.c.pid == pid, slow_requests.c.subject_id.in_(his))
    told = tx.conn.execute(slow.limit(_PIECE)).scalars().all()
    of_him = (slow_requests.c.pid == pid, slow_requests.c.subject_id.in_(his), slow_requests.c.event_id.in_(told))
    tx.conn.execute(sa.delete(slow_requests).where(*of_him))
    return len(corrected) + len(sent) + len(told)


def _mark(tx: Tx, pid: int, hours: list[datetime], seq: int) -> None:
    for hour in hours:
        insert = tx.insert(dirty_hours).values(pid=pid, hour=hour, seq=seq)
        tx.conn.execute(insert.on_conflict_do_update(index_elements=["pid", "hour"], set_={"seq": seq}))


def _last(tx: Tx, pid: int, public_id: str, n: int, *, actor: Actor, at: datetime, ids: IdSource) -> None:
    row: Any = held(tx, pid, public_id)
    texts = [*aliases_in(tx, row), row.uuid]
    tx.conn.execute(
        sa.delete(event_conflicts).where(event_conflicts.c.pid == pid, event_conflicts.c.subject.in_(texts))
    )
    note_erased(tx, pid, texts, at=at, ids=ids)  # of a file that was begun since, and may have some of them
    tx.conn.execute(sa.delete(aliases).where(aliases.c.pid == pid, aliases.c.customer_id == row.id))
    tx.conn.execute(sa.delete(customers).where(customers.c.pid == pid, customers.c.id == row.id))
    # Neither his name nor what senders called him: that would keep what shall be gone.
    note(
        tx, pid, actor=actor, action=Action.CUSTOMER_ERASE, of=f"customer:{row.uuid}",
        before={"n_events": n}, after=None, at=at, ids=ids,
    )  # fmt: skip
