"""Packs notifications that no delivery carries yet into new deliveries.

A webhook gets one for each notification; people get one for what a source has waiting, and in a storm one
for many sources (folding.py). Within a source no notification is taken while an earlier one is undelivered.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from heartfly.config import Alerts
from heartfly.db.changes import Tx
from heartfly.db.models import deliveries, notifications
from heartfly.notify.folding import Plan, Recent, plan
from heartfly.notify.outbox import PENDING
from heartfly.notify.work import LEASE, Ask, ChannelRow, Claimed

MOST_AT_ONCE = 20_000
"""Notifications that are looked at together on a people's channel; the rest waits for the next time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """New deliveries of one channel, to be stored with those of others."""

    rows: Sequence[dict[str, Any]] = ()
    carried: Sequence[dict[str, Any]] = ()
    work: Sequence[Claimed] = ()
    hold_until: datetime | None = None


def pack(tx: Tx, ask: Ask, channel: ChannelRow, *, room: int, now: datetime, node_id: int, rules: Alerts) -> Packed:
    planned = _people_get(tx, ask, now, rules) if ask.folds else Plan(messages=_machines_get(tx, ask, room))
    # What is folded was decided together and leaves together; anything else may still change while it waits.
    messages = planned.messages if planned.folded else planned.messages[:room]
    packed = [(str(uuid.uuid4()), message) for message in messages]
    leased = {"attempt": 1, "next_at": now + LEASE, "lease_until": now + LEASE, "node_id": node_id}
    return Packed(
        rows=[
            _row(ask, delivery_id, now) | (_later(ask, now, turn=n - room + 1) if n >= room else leased)
            for n, (delivery_id, _) in enumerate(packed)
        ],
        carried=[
            {"of_pid": ask.pid, "of_channel": ask.channel_id, "of_alert": alert_id, "by": delivery_id}
            for delivery_id, message in packed
            for alert_id in message
        ],
        work=[_claimed(ask, channel, delivery_id, now) for delivery_id, _ in packed[:room]],
        hold_until=planned.hold_until,
    )


def store(tx: Tx, all_packed: Iterable[Packed]) -> None:
    some = [packed for packed in all_packed if packed.rows]
    if some:
        tx.conn.execute(sa.insert(deliveries), [row for packed in some for row in packed.rows])
        tx.conn.execute(_CARRY, [row for packed in some for row in packed.carried])


_CARRY = (
    sa.update(notifications)
    .where(
        notifications.c.pid == sa.bindparam("of_pid"),
        notifications.c.alert_id == sa.bindparam("of_alert"),
        notifications.c.channel_id == sa.bindparam("of_channel"),
    )
    .values(delivery_id=sa.bindparam("by"))
)


def _row(ask: Ask, delivery_id: str, now: datetime) -> dict[str, Any]:
    return {
        "id": delivery_id,
        "pid": ask.pid,
        "channel_id": ask.channel_id,
        "state": "pending",
        "possible_duplicate": False,
        "created_at": now,
    }


def _later(ask: Ask, now: datetime, *, turn: int) -> dict[str, Any]:
    """Not tried yet, and nobody's: taken like a try that is due, when its turn comes."""
    return {"attempt": 0, "next_at": now + turn * ask.spacing, "lease_until": None, "node_id": None}


def _claimed(ask: Ask, channel: ChannelRow, delivery_id: str, now: datetime) -> Claimed:
    return Claimed(id=delivery_id, pid=ask.pid, channel=channel, attempt=1, possible_duplicate=False, created_at=now)


# --- which notifications are free to go

# Statements are built once: to build one takes as long as to run it, and each channel of a claim runs some.
_UNCLAIMED = (
    notifications.c.pid == sa.bindparam("of_pid"),
    notifications.c.channel_id == sa.bindparam("of_channel"),
    notifications.c.state == PENDING,
    notifications.c.delivery_id.is_(None),
)
_FREE = (
    sa.select(notifications.c.source, notifications.c.alert_id)
    .where(*_UNCLAIMED)
    .order_by(notifications.c.alert_id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_other = notifications.alias()
# Not "no earlier one exists": PostgreSQL makes a join of that, and a quadratic one before the first ANALYZE.
_first = (
    sa.select(sa.func.min(_other.c.alert_id))
    .where(
        _other.c.channel_id == notifications.c.channel_id,
        _other.c.source == notifications.c.source,
        _other.c.state == PENDING,
    )
    .scalar_subquery()
)
_HEADS = _FREE.where(notifications.c.alert_id == _first)
_UNDER_WAY = (
    sa.select(notifications.c.source)
    .where(
        notifications.c.pid == sa.bindparam("of_pid"),
        notifications.c.channel_id == sa.bindparam("of_channel"),
        notifications.c.state == PENDING,
        notifications.c.delivery_id.is_not(None),
    )
    .distinct()
)


def _machines_get(tx: Tx, ask: Ask, room: int) -> list[list[int]]:
    """The first undelivered notification of each source, the oldest of them first."""
    of = {"of_pid": ask.pid, "of_channel": ask.channel_id, "most": room}
    return [[row.alert_id] for row in tx.conn.execute(_HEADS, of)]


def _people_get(tx: Tx, ask: Ask, now: datetime, rules: Alerts) -> Plan:
    """All that waits of each source, unless a delivery is under way for it."""
    of = {"of_pid": ask.pid, "of_channel": ask.channel_id}
    under_way = set(tx.conn.execute(_UNDER_WAY, of).scalars())
    waiting: dict[str, list[int]] = {}
    for row in tx.conn.execute(_FREE, of | {"most": MOST_AT_ONCE}):
        if row.source not in under_way:
            waiting.setdefault(row.source, []).append(row.alert_id)
    window = timedelta(seconds=rules.storm_window_s)
    return plan(
        waiting,
        _recent(tx, ask, since=now - window, now=now, threshold=rules.storm_threshold),
        now=now,
        window=window,
        threshold=rules.storm_threshold,
        most_named=ask.most_named,
    )


def _recent(tx: Tx, ask: Ask, *, since: datetime, now: datetime, threshold: int) -> Recent:
    """What the channel was given since then. What seems to come from the future is from a clock that stepped back."""
    within = sa.and_(
        deliveries.c.pid == ask.pid,
        deliveries.c.channel_id == ask.channel_id,
        deliveries.c.created_at > since,
        deliveries.c.created_at <= now,
    )
    last_at = tx.conn.execute(sa.select(sa.func.max(deliveries.c.created_at)).where(within)).scalar()
    given = (
        sa.select(notifications.c.alert_id)
        .join(deliveries, deliveries.c.id == notifications.c.delivery_id)
        .where(within)
        .limit(threshold + 1)
    )
    n_alerts = tx.conn.execute(sa.select(sa.func.count()).select_from(given.subquery())).scalar_one()
    return Recent(n_alerts=n_alerts, last_at=last_at)
