"""Packs notifications that no delivery carries yet into new deliveries.

A webhook gets one for each notification; people get one for what a source has waiting, and in a storm one
for many sources (folding.py). Within a source no notification is taken while an earlier one is undelivered.

A delivery's id follows from its channel and its first alert: where a restored backup tells something again, it does
so under the same id. What may be such a repeat says so, and shares no message with news.
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
from heartfly.db.prepared import Prepared
from heartfly.notify.folding import Fold, Recent, can_name_all, cut, fold
from heartfly.notify.outbox import DIGEST_SOURCE, PENDING
from heartfly.notify.work import LEASE, Ask, ChannelRow, Claimed

_ANY = (1 << 63) - 1


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
    """One message of all that is free, too much to be listed: of it only the first is."""
    until: int = _ANY
    """None of them has a larger id."""
    hold_until: datetime | None = None


def pack(
    tx: Tx,
    ask: Ask,
    channel: ChannelRow,
    *,
    room: int,
    now: datetime,
    node_id: int,
    rules: Alerts,
    repeats_through: int = 0,
) -> Packed:
    """`repeats_through`: alerts up to this id may have been told by the copy that a backup was restored of."""
    if ask.folds:
        planned = _people_get(tx, ask, now, rules, repeats_through)
    else:
        planned = _Plan(messages=_machines_get(tx, ask, room))
    # What is folded was decided together and leaves together; anything else may still change while it waits.
    messages = planned.messages if planned.folded else planned.messages[:room]
    packed = [
        _New(id=delivery_id(ask.channel_id, message[0]), alerts=message, repeats=message[0] <= repeats_through)
        for message in messages
    ]
    leased = {"attempt": 1, "next_at": now + LEASE, "lease_until": now + LEASE, "node_id": node_id}
    return Packed(
        rows=[
            _row(ask, new, now) | (_later(ask, now, turn=n - room + 1) if n >= room else leased)
            for n, new in enumerate(packed)
        ],
        carried=[
            _of(ask) | {"of_alert": alert_id, "by": new.id}
            for new in packed
            for alert_id in new.alerts
            if not planned.all_free
        ],
        carries_all=[_free(ask, planned.until) | {"by": new.id} for new in packed if planned.all_free],
        work=[_claimed(ask, channel, new, now) for new in packed[:room]],
        hold_until=planned.hold_until,
    )


def delivery_id(channel_id: int, alert_id: int) -> str:
    """Of the delivery that brings this alert to this channel before any other. Both ids are the only ones of their kind
    in the world, and each pair is packed once.
    """
    return str(uuid.uuid5(_DELIVERIES, f"{channel_id}:{alert_id}"))


_DELIVERIES = uuid.UUID("c7a8f1de-3c1e-4f0b-9d3a-5a1b1f6e2d47")


@dataclass(frozen=True, slots=True, kw_only=True)
class _New:
    id: str
    alerts: Sequence[int]
    repeats: bool


def store(tx: Tx, all_packed: Sequence[Packed]) -> None:
    for statement, rows in (
        (_INSERT, [row for packed in all_packed for row in packed.rows]),
        (_CARRY, [row for packed in all_packed for row in packed.carried]),
        (_CARRY_ALL, [row for packed in all_packed for row in packed.carries_all]),
    ):
        statement.run(tx, rows)


def _of(ask: Ask) -> dict[str, Any]:
    return {"of_pid": ask.pid, "of_channel": ask.channel_id}


def _free(ask: Ask, until: int) -> dict[str, Any]:
    return _of(ask) | {"until": until}


def _row(ask: Ask, new: _New, now: datetime) -> dict[str, Any]:
    return {
        "id": new.id,
        "pid": ask.pid,
        "channel_id": ask.channel_id,
        "state": "pending",
        "possible_duplicate": new.repeats,
        "created_at": now,
        "done_at": None,
        "attempts_before": None,
    }


def _later(ask: Ask, now: datetime, *, turn: int) -> dict[str, Any]:
    """Not tried yet, and nobody's: taken like a try that is due, when its turn comes."""
    return {"attempt": 0, "next_at": now + turn * ask.spacing, "lease_until": None, "node_id": None}


def _claimed(ask: Ask, channel: ChannelRow, new: _New, now: datetime) -> Claimed:
    return Claimed(id=new.id, pid=ask.pid, channel=channel, attempt=1, possible_duplicate=new.repeats, created_at=now)


# --- which notifications are free to go

# Statements are built once: to build one takes as long as to run it, and each channel of a claim runs some.
# Each is a walk over an index or a hashed set, never a join of notifications with themselves, of which
# PostgreSQL makes a quadratic one before the first ANALYZE.
_OF_CHANNEL = (
    notifications.c.pid == sa.bindparam("of_pid"),
    notifications.c.channel_id == sa.bindparam("of_channel"),
)
_UNCLAIMED = (*_OF_CHANNEL, notifications.c.state == PENDING, notifications.c.delivery_id.is_(None))
_other = notifications.alias()
_CHANNEL = sa.bindparam("of_channel", type_=sa.BigInteger)


def _first_of(source: sa.ColumnElement[Any]) -> sa.ScalarSelect[Any]:
    """The first of a source that is not delivered, be it under way or not."""
    of_source = (_other.c.channel_id == _CHANNEL, _other.c.source == source, _other.c.state == PENDING)
    return sa.select(sa.func.min(_other.c.alert_id)).where(*of_source).scalar_subquery()


_AMONG = 200
"""The first of each are looked for among so many that wait the longest: of most channels all, and in a storm enough."""
_among = sa.bindparam("among", type_=sa.Integer)
_most = sa.bindparam("most", type_=sa.Integer)
_oldest = (
    sa.select(notifications.c.alert_id, notifications.c.source)
    .where(*_UNCLAIMED)
    .order_by(notifications.c.alert_id)
    .limit(_among)
    .subquery()
)
_HEADS = (
    sa.select(_oldest.c.alert_id)
    .where(_oldest.c.alert_id == _first_of(_oldest.c.source))
    .order_by(_oldest.c.alert_id)
    .limit(_most)
)
_ARE_MORE = sa.select(sa.exists(sa.select(notifications.c.alert_id).where(*_UNCLAIMED).limit(1).offset(_among)))


def _heads_by_source() -> sa.Select[Any]:
    """Source after source: where a few have thousands each, all that wait behind the first of each are not read."""
    n, k, free = notifications.alias(), notifications.alias(), notifications.alias()
    waits = (n.c.channel_id == _CHANNEL, n.c.state == PENDING)
    begin = sa.select(sa.select(sa.func.min(n.c.source)).where(*waits).scalar_subquery().label("source"))
    sources = begin.cte("sources", recursive=True)
    behind = (k.c.channel_id == _CHANNEL, k.c.state == PENDING, k.c.source > sources.c.source)
    following = sa.select(sa.func.min(k.c.source)).where(*behind).scalar_subquery()
    sources = sources.union_all(sa.select(following).where(sources.c.source.is_not(None)))
    heads = sa.select(_first_of(sources.c.source).label("alert_id")).where(sources.c.source.is_not(None)).subquery()
    is_free = (
        free.c.pid == sa.bindparam("of_pid", type_=sa.BigInteger),
        free.c.alert_id == heads.c.alert_id,
        free.c.channel_id == _CHANNEL,
        free.c.state == PENDING,
        free.c.delivery_id.is_(None),
    )
    n_free = sa.select(sa.func.count()).where(*is_free).scalar_subquery()
    return sa.select(heads.c.alert_id).where(n_free == 1).order_by(heads.c.alert_id).limit(_most)


_HEADS_BY_SOURCE = _heads_by_source()
_under_way = sa.select(_other.c.source).where(
    _other.c.pid == sa.bindparam("of_pid"),
    _other.c.channel_id == sa.bindparam("of_channel"),
    _other.c.state == PENDING,
    _other.c.delivery_id.is_not(None),
)
_IS_DIGEST = notifications.c.source.startswith(DIGEST_SOURCE, autoescape=True)
_ALL_FREE = (
    *_UNCLAIMED,
    ~_IS_DIGEST,
    notifications.c.alert_id <= sa.bindparam("until", type_=sa.BigInteger),
    notifications.c.source.not_in(_under_way),
)
_COUNT = sa.select(
    sa.func.count().label("n_alerts"),
    sa.func.count(notifications.c.source.distinct()).label("n_sources"),
    sa.func.min(notifications.c.alert_id).label("first"),
).where(*_ALL_FREE)
_DIGESTS = sa.select(notifications.c.alert_id).where(*_UNCLAIMED, _IS_DIGEST).order_by(notifications.c.alert_id)
_LIST = sa.select(notifications.c.source, notifications.c.alert_id).where(*_ALL_FREE).order_by(notifications.c.alert_id)
_INSERT = Prepared(lambda _: sa.insert(deliveries))
_CARRY = Prepared(
    lambda _: (
        sa.update(notifications)
        .where(*_OF_CHANNEL, notifications.c.alert_id == sa.bindparam("of_alert"))
        .values(delivery_id=sa.bindparam("by"))
    ),
    apart=True,
)
_CARRY_ALL = Prepared(lambda _: sa.update(notifications).where(*_ALL_FREE).values(delivery_id=sa.bindparam("by")))


# Of any one that it carries: a digest shares its delivery with nothing.
_carried_source = sa.select(_other.c.source).where(_other.c.delivery_id == deliveries.c.id).limit(1).scalar_subquery()


def _machines_get(tx: Tx, ask: Ask, room: int) -> list[list[int]]:
    """The first undelivered notification of each source, the oldest of them first."""
    of_room, of_few = _of(ask) | {"most": room}, {"among": _AMONG}
    found = tx.conn.execute(_HEADS, of_room | of_few).all()
    if len(found) < room and tx.conn.execute(_ARE_MORE, _of(ask) | of_few).scalar_one():
        found = tx.conn.execute(_HEADS_BY_SOURCE, of_room).all()
    return [[row.alert_id] for row in found]


def _people_get(tx: Tx, ask: Ask, now: datetime, rules: Alerts, repeats_through: int) -> _Plan:
    """All that waits of each source, unless a delivery is under way for it. Repeats go first, and by themselves.

    A digest is no part of any storm: it goes as a message of its own, behind alarms, and in the lull of a storm.
    """
    window, threshold = timedelta(seconds=rules.storm_window_s), rules.storm_threshold
    until = repeats_through
    found = tx.conn.execute(_COUNT, _free(ask, until)).one() if repeats_through else None
    if found is None or not found.n_alerts:
        until = _ANY
        found = tx.conn.execute(_COUNT, _free(ask, until)).one()
    if not found.n_alerts:
        return _Plan(messages=_digests(tx, ask))
    recent = _recent(tx, ask, since=now - window, now=now, threshold=threshold)
    verdict = fold(found.n_alerts, recent, now=now, window=window, threshold=threshold)
    if verdict is Fold.LATER and recent.last_at is not None:
        return _Plan(hold_until=recent.last_at + window / 2)
    if verdict is Fold.APART:
        return _Plan(messages=_sources(tx, ask, until) + _digests(tx, ask))
    if can_name_all(found.n_sources, most_named=ask.most_named):
        return _Plan(messages=cut(_sources(tx, ask, until), most_named=ask.most_named), folded=True)
    return _Plan(messages=[(found.first,)], folded=True, all_free=True, until=until)


def _sources(tx: Tx, ask: Ask, until: int) -> list[list[int]]:
    """Each source's alerts, in order."""
    found: dict[str, list[int]] = {}
    for row in tx.conn.execute(_LIST, _free(ask, until)):
        found.setdefault(row.source, []).append(row.alert_id)
    return list(found.values())


def _digests(tx: Tx, ask: Ask) -> list[list[int]]:
    return [[row.alert_id] for row in tx.conn.execute(_DIGESTS, _of(ask))]


def _recent(tx: Tx, ask: Ask, *, since: datetime, now: datetime, threshold: int) -> Recent:
    """What the channel was given since then, but for digests.

    What seems to come from the future is from a clock that stepped back.
    """
    within = sa.and_(
        deliveries.c.pid == ask.pid,
        deliveries.c.channel_id == ask.channel_id,
        deliveries.c.created_at > since,
        deliveries.c.created_at <= now,
        sa.func.coalesce(_carried_source, "").not_like(f"{DIGEST_SOURCE}%"),
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
