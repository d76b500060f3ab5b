"""Takes deliveries that were tried before: those whose next try is due, and those whose lease ended.

A pending delivery is looked at again at `next_at`: the end of its lease, or when its next try is due.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import attempts, deliveries, notifications
from heartfly.notify.failing import FailedTry, give_up
from heartfly.notify.outbox import PENDING
from heartfly.notify.work import LEASE, Ask, ChannelRow, Claimed

LOST = "the sender stopped before it could say how this try ended"

# Never true of what was packed (see pack.py), but of what somebody has sent again: of one source several may be.
# Written as values that are looked up for each delivery: of a join PostgreSQL makes a cubic one where its
# statistics, taken on a quiet day, say that nothing is pending.
_carried, _earlier = notifications.alias(), notifications.alias()
_first_of_its_source = (
    sa.select(_earlier.c.delivery_id)
    .where(
        _earlier.c.channel_id == _carried.c.channel_id,
        _earlier.c.source == _carried.c.source,
        _earlier.c.state == PENDING,
        _earlier.c.delivery_id.is_not(None),
    )
    .order_by(_earlier.c.alert_id)
    .limit(1)
    .correlate(_carried)
    .scalar_subquery()
)
_n_behind_another = (
    sa.select(sa.func.count())
    .where(_carried.c.delivery_id == deliveries.c.id, _first_of_its_source != deliveries.c.id)
    .correlate(deliveries)
    .scalar_subquery()
)

MAX_LOST = 50
"""Tries that may be lost with their sender: with leases of a minute, an hour of crashes under this very delivery."""


def take_again(tx: Tx, ask: Ask, channel: ChannelRow, *, now: datetime, node_id: int, ids: IdSource) -> list[Claimed]:
    query = (
        sa.select(deliveries)
        .where(
            deliveries.c.channel_id == ask.channel_id,
            deliveries.c.state == PENDING,
            deliveries.c.next_at <= now,
            deliveries.c.id.not_in(ask.in_hand),
            _n_behind_another == 0,
        )
        .order_by(deliveries.c.next_at)
        .limit(ask.room)
    )
    if tx.on_postgres:
        query = query.with_for_update(skip_locked=True)
    rows = tx.conn.execute(query).all()
    _note_lost(tx, [row for row in rows if row.lease_until is not None], now, ids)
    taken = [_claimed(row, channel) for row in rows if not _is_hopeless(row)]
    for one in taken:
        if ask.folds and not one.possible_duplicate:
            _join_followers(tx, ask, one.id)
    if taken:
        leased = {"lease_until": now + LEASE, "next_at": now + LEASE, "node_id": node_id}
        tx.conn.execute(
            _LEASE.values(leased),
            [{"of": one.id, "attempt": one.attempt, "possible_duplicate": one.possible_duplicate} for one in taken],
        )
    return taken


_LEASE = (
    sa.update(deliveries)
    .where(deliveries.c.id == sa.bindparam("of"))
    .values(attempt=sa.bindparam("attempt"), possible_duplicate=sa.bindparam("possible_duplicate"))
)


def _claimed(row: Any, channel: ChannelRow) -> Claimed:
    return Claimed(
        id=row.id,
        pid=row.pid,
        channel=channel,
        attempt=row.attempt + 1,
        possible_duplicate=row.possible_duplicate or row.lease_until is not None,
        created_at=row.created_at,
        attempts_before=row.attempts_before or 0,
    )


def _note_lost(tx: Tx, rows: Sequence[Any], now: datetime, ids: IdSource) -> None:
    """Each try that never came back is an attempt, too; after the last one there is no other."""
    if not rows:
        return
    lost = [
        {"delivery_id": row.id, "attempt": row.attempt, "pid": row.pid, "started_at": row.lease_until - LEASE}
        for row in rows
    ]
    tx.conn.execute(sa.insert(attempts), [one | {"error": LOST} for one in lost])
    given_up = [
        FailedTry(delivery_id=row.id, pid=row.pid, channel_id=row.channel_id, error=LOST, at=now)
        for row in rows
        if _is_hopeless(row)
    ]
    give_up(tx, given_up, ids=ids)


def _is_hopeless(row: Any) -> bool:
    """Lost, and its tries are used up: whatever stops the sender must not do so for ever."""
    return row.lease_until is not None and row.attempt - (row.attempts_before or 0) >= MAX_LOST


def _join_followers(tx: Tx, ask: Ask, delivery_id: str) -> None:
    """What its sources had to say since then goes along: a message that surely did not arrive may still grow.

    One that may have arrived must not: under the same id its receiver could take it for the first one.
    """
    carried = notifications.alias()
    of_its_source = (
        sa.select(sa.func.min(carried.c.alert_id))
        .where(
            carried.c.channel_id == notifications.c.channel_id,
            carried.c.source == notifications.c.source,
            carried.c.state == PENDING,
            carried.c.delivery_id == delivery_id,
        )
        .scalar_subquery()
    )
    tx.conn.execute(
        sa.update(notifications)
        .where(
            notifications.c.pid == ask.pid,
            notifications.c.channel_id == ask.channel_id,
            notifications.c.state == PENDING,
            notifications.c.delivery_id.is_(None),
            of_its_source.is_not(None),
        )
        .values(delivery_id=delivery_id)
    )
