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
from heartfly.notify.folding import Fold, Recent, can_name_all, cut, fold
from heartfly.notify.outbox import PENDING
from heartfly.notify.work import LEASE, Ask, ChannelRow, Claimed


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """New deliveries of one channel, to be stored with those of others."""

    rows: Sequence[dict[str, Any]] = ()
    carried: Sequence[dict[str, Any]] = ()
    """Which notification each carries."""
    carries_all: Sequence[dict[str, Any]] = ()
    """Or which delivery carries all that is free on its channel."""
    work: Sequence[Claimed] = ()
    hold_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Messages to send now, each a list of alert ids in order. `folded`: they are one storm."""

    messages: Sequence[Sequence[int]] = ()
    folded: bool = False
    all_free: bool = False
    """One message of all that is free, too much to be listed."""
    hold_until: datetime | None = None


def pack(tx: Tx, ask: Ask, channel: ChannelRow, *, room: int, now: datetime, node_id: int, rules: Alerts) -> Packed:
    planned = _people_get(tx, ask, now, rules) if ask.folds else _Plan(messages=_machines_get(tx, ask, room))
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
            _of(ask) | {"of_alert": alert_id, "by": delivery_id}
            for delivery_id, message in packed
            for alert_id in message
        ],
        carries_all=[_of(ask) | {"by": delivery_id} for delivery_id, _ in packed if planned.all_free],
        work=[_claimed(ask, channel, delivery_id, now) for delivery_id, _ in packed[:room]],
        hold_until=planned.hold_until,
    )


def store(tx: Tx, all_packed: Sequence[Packed]) -> None:
    for statement, rows in (
        (sa.insert(deliveries), [row for packed in all_packed for row in packed.rows]),
        (_CARRY, [row for packed in all_packed for row in packed.carried]),
        (_CARRY_ALL, [row for packed in all_packed for row in packed.carries_all]),
    ):
        if rows:
            tx.conn.execute(statement, rows)


def _of(ask: Ask) -> dict[str, Any]:
    return {"of_pid": ask.pid, "of_channel": ask.channel_id}


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
# Each is a walk over an index or a hashed set, never a join of notifications with themselves, of which
# PostgreSQL makes a quadratic one before the first ANALYZE.
_OF_CHANNEL = (
    notifications.c.pid == sa.bindparam("of_pid"),
    notifications.c.channel_id == sa.bindparam("of_channel"),
    notifications.c.state == PENDING,
)
_UNCLAIMED = (*_OF_CHANNEL, notifications.c.delivery_id.is_(None))
_other = notifications.alias()
_first = (
    sa.select(sa.func.min(_other.c.alert_id))
    .where(
        _other.c.channel_id == notifications.c.channel_id,
        _other.c.source == notifications.c.source,
        _other.c.state == PENDING,
    )
    .scalar_subquery()
)
_HEADS = (
    sa.select(notifications.c.alert_id)
    .where(*_UNCLAIMED, notifications.c.alert_id == _first)
    .order_by(notifications.c.alert_id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_under_way = sa.select(_other.c.source).where(
    _other.c.pid == sa.bindparam("of_pid"),
    _other.c.channel_id == sa.bindparam("of_channel"),
    _other.c.state == PENDING,
    _other.c.delivery_id.is_not(None),
)
_ALL_FREE = (*_UNCLAIMED, notifications.c.source.not_in(_under_way))
_COUNT = sa.select(sa.func.count(), sa.func.count(notifications.c.source.distinct())).where(*_ALL_FREE)
_LIST = sa.select(notifications.c.source, notifications.c.alert_id).where(*_ALL_FREE).order_by(notifications.c.alert_id)
_CARRY = (
    sa.update(notifications)
    .where(*_OF_CHANNEL, notifications.c.alert_id == sa.bindparam("of_alert"))
    .values(delivery_id=sa.bindparam("by"))
)
_CARRY_ALL = sa.update(notifications).where(*_ALL_FREE).values(delivery_id=sa.bindparam("by"))


def _machines_get(tx: Tx, ask: Ask, room: int) -> list[list[int]]:
    """The first undelivered notification of each source, the oldest of them first."""
    return [[row.alert_id] for row in tx.conn.execute(_HEADS, _of(ask) | {"most": room})]


def _people_get(tx: Tx, ask: Ask, now: datetime, rules: Alerts) -> _Plan:
    """All that waits of each source, unless a delivery is under way for it."""
    window, threshold = timedelta(seconds=rules.storm_window_s), rules.storm_threshold
    n_alerts, n_sources = tx.conn.execute(_COUNT, _of(ask)).one()
    recent = _recent(tx, ask, since=now - window, now=now, threshold=threshold)
    verdict = fold(n_alerts, recent, now=now, window=window, threshold=threshold)
    if verdict is Fold.LATER and recent.last_at is not None:
        return _Plan(hold_until=recent.last_at + window / 2)
    if verdict is Fold.APART:
        return _Plan(messages=_sources(tx, ask))
    if can_name_all(n_sources, most_named=ask.most_named):
        return _Plan(messages=cut(_sources(tx, ask), most_named=ask.most_named), folded=True)
    return _Plan(messages=[()], folded=True, all_free=True)


def _sources(tx: Tx, ask: Ask) -> list[list[int]]:
    """Each source's alerts, in order."""
    found: dict[str, list[int]] = {}
    for row in tx.conn.execute(_LIST, _of(ask)):
        found.setdefault(row.source, []).append(row.alert_id)
    return list(found.values())


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
