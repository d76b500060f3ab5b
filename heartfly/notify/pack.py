"""Packs notifications that no delivery carries yet into new deliveries.

A webhook gets one for each notification; people get one for what a source has waiting, and in a storm one
for many sources (folding.py). Within a source no notification is taken while an earlier one is undelivered.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
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
    work: Sequence[Claimed] = ()
    hold_until: datetime | None = None


def take(tx: Tx, ask: Ask, channel: ChannelRow, *, room: int, now: datetime, node_id: int, rules: Alerts) -> Packed:
    if room <= 0:
        return Packed()
    if ask.folds:
        planned = _plan(tx, ask, now, rules)
    else:
        planned = Plan(messages=[[alert_id] for alert_id in _heads(tx, ask, room)])
    # What is folded was decided together and leaves together; anything else may still change while it waits.
    messages = planned.messages if planned.folded else planned.messages[:room]
    if not messages:
        return Packed(hold_until=planned.hold_until)
    packed = [(str(uuid.uuid4()), message) for message in messages]
    rows = [
        _row(ask, delivery_id, now)
        | (_planned(ask, now, turn=index - room + 1) if index >= room else _leased(now, node_id))
        for index, (delivery_id, _) in enumerate(packed)
    ]
    tx.conn.execute(sa.insert(deliveries), rows)
    _carry(tx, ask, [(delivery_id, alert_id) for delivery_id, message in packed for alert_id in message])
    return Packed(work=[_claimed(ask, channel, delivery_id, now) for delivery_id, _ in packed[:room]])


def _row(ask: Ask, delivery_id: str, now: datetime) -> dict[str, Any]:
    return {
        "id": delivery_id,
        "pid": ask.pid,
        "channel_id": ask.channel_id,
        "state": "pending",
        "possible_duplicate": False,
        "created_at": now,
    }


def _leased(now: datetime, node_id: int) -> dict[str, Any]:
    return {"attempt": 1, "next_at": now + LEASE, "lease_until": now + LEASE, "node_id": node_id}


def _planned(ask: Ask, now: datetime, *, turn: int) -> dict[str, Any]:
    """Not tried yet, and nobody's: taken like a try that is due, when its turn comes."""
    return {"attempt": 0, "next_at": now + turn * ask.spacing, "lease_until": None, "node_id": None}


def _claimed(ask: Ask, channel: ChannelRow, delivery_id: str, now: datetime) -> Claimed:
    return Claimed(id=delivery_id, pid=ask.pid, channel=channel, attempt=1, possible_duplicate=False, created_at=now)


def _carry(tx: Tx, ask: Ask, pairs: Sequence[tuple[str, int]]) -> None:
    update = (
        sa.update(notifications)
        .where(
            notifications.c.pid == ask.pid,
            notifications.c.alert_id == sa.bindparam("of"),
            notifications.c.channel_id == ask.channel_id,
        )
        .values(delivery_id=sa.bindparam("by"))
    )
    tx.conn.execute(update, [{"of": alert_id, "by": delivery_id} for delivery_id, alert_id in pairs])


def _heads(tx: Tx, ask: Ask, room: int) -> Sequence[int]:
    """The first undelivered notification of each source, the oldest of them first."""
    earlier = notifications.alias()
    blocked = sa.exists().where(
        earlier.c.channel_id == notifications.c.channel_id,
        earlier.c.source == notifications.c.source,
        earlier.c.state == PENDING,
        earlier.c.alert_id < notifications.c.alert_id,
    )
    query = (
        sa.select(notifications.c.alert_id)
        .where(*_unclaimed(ask), ~blocked)
        .order_by(notifications.c.alert_id)
        .limit(room)
    )
    return tx.conn.execute(query).scalars().all()


def _plan(tx: Tx, ask: Ask, now: datetime, rules: Alerts) -> Plan:
    waiting = _unblocked(tx, ask)
    if not waiting:
        return Plan()
    window = timedelta(seconds=rules.storm_window_s)
    return plan(
        waiting,
        _recent(tx, ask, since=now - window, now=now, threshold=rules.storm_threshold),
        now=now,
        window=window,
        threshold=rules.storm_threshold,
        most_named=ask.most_named,
    )


def _unblocked(tx: Tx, ask: Ask) -> dict[str, list[int]]:
    """Each source that no delivery is under way for, with its notifications in order."""
    other = notifications.alias()
    under_way = sa.exists().where(
        other.c.channel_id == notifications.c.channel_id,
        other.c.source == notifications.c.source,
        other.c.state == PENDING,
        other.c.delivery_id.is_not(None),
    )
    query = (
        sa.select(notifications.c.source, notifications.c.alert_id)
        .where(*_unclaimed(ask), ~under_way)
        .order_by(notifications.c.alert_id)
        .limit(MOST_AT_ONCE)
    )
    found: dict[str, list[int]] = {}
    for source, alert_id in tx.conn.execute(query):
        found.setdefault(source, []).append(alert_id)
    return found


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


def _unclaimed(ask: Ask) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        notifications.c.pid == ask.pid,
        notifications.c.channel_id == ask.channel_id,
        notifications.c.state == PENDING,
        notifications.c.delivery_id.is_(None),
    )
