"""Takes work from the outbox: leases deliveries to this process, many channels in one transaction.

A lease is what a crash between sending and recording leaves behind: when it ends, the delivery is sent
again under the same id, as a possible duplicate. Tries that are due go first (again.py), then whatever no
delivery carries yet (pack.py). Sending is dispatch.py's, the outcome record.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from heartfly.config import Alerts
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.instance import identify
from heartfly.db.models import cause_tellings, channels, deliveries, notifications, reminders
from heartfly.notify.again import take_again
from heartfly.notify.contents import small
from heartfly.notify.outbox import PENDING
from heartfly.notify.pack import Packed, pack, store
from heartfly.notify.peace import HELD
from heartfly.notify.set_back import bring_forward
from heartfly.notify.work import Ask, ChannelRow, Claimed


@dataclass(slots=True)
class Claims:
    work: list[Claimed] = field(default_factory=list)
    payloads: dict[str, list[str]] = field(default_factory=dict)
    """What they carry, unless it is much (see contents.py)."""
    holds: dict[int, datetime] = field(default_factory=dict)
    """Channels in a storm, with the instant at which their next message may go out."""
    more: bool = False
    """Something was put into the outbox meanwhile, such as the news of a channel that fails."""
    passed_by: bool = False
    """Another node was busy with a channel, so there may be more to take in a moment."""


def claim(
    tx: Tx,
    asks: Sequence[Ask],
    *,
    now: datetime,
    node_id: int,
    rules: Alerts,
    ids: IdSource,
    repeats_through: int = 0,
) -> Claims:
    """Lease what each asking channel may send now, at most its `room`. `repeats_through`: see pack.py."""
    claims = Claims()
    rows = _channels(tx, asks)
    fresh: list[Packed] = []
    for ask in asks:
        channel = rows.get(ask.channel_id)
        if channel is None:
            if _exists(tx, ask):
                claims.passed_by = True
            else:
                abandon(tx, ask.pid, ask.channel_id, at=now)
            continue
        room = ask.room
        if ask.due:
            again = take_again(tx, ask, channel, now=now, node_id=node_id, ids=ids)
            claims.work += again
            room -= len(again)
        if ask.fresh and room > 0:
            packed = pack(
                tx,
                ask,
                channel,
                room=room,
                now=now,
                node_id=node_id,
                rules=rules,
                repeats_through=repeats_through,
            )
            claims.work += packed.work
            fresh.append(packed)
            if packed.hold_until is not None:
                claims.holds[ask.channel_id] = packed.hold_until
    store(tx, fresh)
    claims.more = tx.changes.outbox
    if claims.work:
        claims.payloads = small(tx, [one.id for one in claims.work])
    return claims


def take_over(tx: Tx, *, now: datetime, node_id: int) -> int:
    """Where there can be no other process, on SQLite: end the leases of all others. Return what may be a repeat."""
    bring_forward(tx, now=now)
    if not tx.on_postgres:
        _end_leases(tx, now, node_id)
    return identify(tx).repeats_through


def _end_leases(tx: Tx, now: datetime, node_id: int) -> None:
    tx.conn.execute(
        sa.update(deliveries)
        .where(deliveries.c.state == PENDING, deliveries.c.lease_until.is_not(None), deliveries.c.node_id != node_id)
        .values(next_at=now)
    )


def abandon(tx: Tx, pid: int, channel_id: int, *, at: datetime) -> None:
    """Give up whatever is undelivered on a channel that is gone. Nobody is told: its owner deleted it."""
    for table, unsent in ((deliveries, (PENDING,)), (notifications, (PENDING, HELD))):
        tx.conn.execute(
            sa.update(table)
            .where(table.c.pid == pid, table.c.channel_id == channel_id, table.c.state.in_(unsent))
            .values({"state": "failed", "done_at": at})
        )
    for what in (reminders, cause_tellings):
        tx.conn.execute(sa.delete(what).where(what.c.pid == pid, what.c.channel_id == channel_id))


def _channels(tx: Tx, asks: Sequence[Ask]) -> dict[int, ChannelRow]:
    """The channels, locked where there are other nodes: of two that claim from one channel, one passes it by."""
    query = (
        sa.select(*(channels.c[name] for name in ("id", "uuid", "kind", "config_enc", "rev", "policy")))
        .where(channels.c.pid.in_({ask.pid for ask in asks}), channels.c.id.in_({ask.channel_id for ask in asks}))
        .order_by(channels.c.id)
    )
    if tx.on_postgres:
        query = query.with_for_update(key_share=True, skip_locked=True)
    return {row["id"]: ChannelRow(**row) for row in tx.conn.execute(query).mappings()}


def _exists(tx: Tx, ask: Ask) -> bool:
    query = sa.select(channels.c.id).where(channels.c.pid == ask.pid, channels.c.id == ask.channel_id)
    return tx.conn.execute(query).first() is not None
