"""The outbox: alerts and who shall hear them, written in the transaction that decided them.

Nothing is sent here. An alert that no channel listens to leaves no row; the flip is its history. Of one that tells of
something wrong, the channels that would not hear it keep why. Whether it goes out at once is decided in peace.py.
Ids of alerts are the order in which each channel hears of a source, so they grow within it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from heartfly.core.alerts import Alert
from heartfly.core.escalation import Leave, part_of
from heartfly.core.silence import Hold, Part
from heartfly.core.words import AlertKind
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import alerts, channels, check_channels, notifications
from heartfly.db.prepared import Prepared, among
from heartfly.notify.parting import told_of_beginnings
from heartfly.notify.peace import Decided, Offer, decisions, held_row
from heartfly.notify.reminders import Begun, begin

DEFAULT_EVENTS = (
    AlertKind.DOWN,
    AlertKind.UP,
    AlertKind.DEGRADED,
    AlertKind.UNVERIFIED,
    AlertKind.SCHEDULE_ERROR,
    AlertKind.CHANNEL_FAILING,
    AlertKind.RULE_FIRING,
    AlertKind.RULE_RESOLVED,
    AlertKind.BUDGET_REACHED,
    AlertKind.BUDGET_CLEARED,
)
"""What a channel hears unless it was told otherwise. Lateness is asked for."""

Listening = Mapping[int, Sequence[tuple[int, frozenset[str]]]]
"""Check id → its channels, each with the kinds of alert that it hears. A check that nobody listens to is not in it."""

DIGEST_SOURCE = "digest:"
"""How the sources of digests begin, each of which is a source of its own."""

# Spelled out in the statement: an index over pending rows alone is not used when the word is a parameter.
# Only for a question about all that is pending of a channel. A statement that names deliveries or alerts must not name
# the state as well: PostgreSQL's statistics are mostly taken when nothing is pending, so it would rather walk that
# index, and for each id once more; nor may it join, for it compares each with each where it expects one row.
PENDING: sa.ColumnElement[str] = sa.literal_column("'pending'")

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An alert for the channels of `check_ids`, or for `channel_ids` themselves.

    `source` names what the alert is about: order is kept within it, on each channel.
    """

    pid: int
    source: str
    alert: Alert
    check_ids: Collection[int] = ()
    channel_ids: Collection[int] = ()
    upstream: Hold | None = None
    """What the check needs is down, which holds it."""
    gathered: Hold | None = None
    """On people's channels it waits for others of its kind, to be told with them."""


def enqueue(
    tx: Tx, entries: Sequence[Entry], *, ids: IdSource, now: datetime, listening: Listening = MappingProxyType({})
) -> int:
    """Write alerts and one notification for each channel that hears them. An alert whose key exists is not repeated.

    `listening`: who listens to some of the checks, where that was asked before. Returns how many alerts were written.
    """
    heard = _heard(tx, _new(tx, entries), listening)
    if not heard:
        return 0
    newest = _newest(tx, heard)
    decided = _decided(tx, heard, now)
    alert_rows: list[dict[str, Any]] = []
    notification_rows: list[dict[str, Any]] = []
    begun: list[Begun] = []
    for entry, hearing in heard:
        alert_id = _id_after(newest.get(entry.source, 0), ids, now)
        alert_rows.append(alert_row(entry, alert_id))
        for channel_id in sorted(hearing):
            one = next(decided)
            notification_rows.append(
                {
                    "pid": entry.pid,
                    "alert_id": alert_id,
                    "channel_id": channel_id,
                    "source": entry.source,
                    "delivery_id": None,
                    "created_at": now,
                    "done_at": now,
                }
                | held_row(one.decision)
            )
            if isinstance(one.decision, Hold):
                tx.changes.wake(one.decision.until)
            elif one.every is not None and entry.alert.incident is not None:
                begun.append(Begun(entry.pid, entry.alert.incident, channel_id, now + one.every))
    _INSERT_ALERTS.follow(tx, alert_rows)
    _INSERT_NOTIFICATIONS.follow(tx, notification_rows)
    begin(tx, begun)
    tx.changes.outbox = True
    return len(heard)


def _decided(tx: Tx, heard: Sequence[_Heard], now: datetime) -> Iterator[Decided]:
    """Of each entry and channel, in their order. What a channel does not listen to it does not hear."""
    offers = [
        Offer(entry.pid, entry.source, entry.alert, channel_id, entry.upstream, entry.gathered)
        for entry, hearing in heard
        for channel_id, listens in sorted(hearing.items())
        if listens
    ]
    found = iter(decisions(tx, offers, now=now))
    return iter(
        [
            next(found) if listens else Decided(Leave(f"this channel does not hear of {entry.alert.kind.value}"))
            for entry, hearing in heard
            for _, listens in sorted(hearing.items())
        ]
    )


def alert_row(entry: Entry, alert_id: int) -> dict[str, Any]:
    return {
        "pid": entry.pid,
        "id": alert_id,
        "key": entry.alert.key,
        "kind": entry.alert.kind.value,
        "source": entry.source,
        "at": entry.alert.at,
        "decided_at": entry.alert.decided_at,
        "payload": entry.alert,
    }


def _new(tx: Tx, entries: Sequence[Entry]) -> list[Entry]:
    if not entries:
        return []
    keys, pids = {entry.alert.key for entry in entries}, {entry.pid for entry in entries}
    known = {(row.pid, row.key) for row in _KNOWN.rows(tx, pids=list(pids), keys=list(keys))}
    fresh: list[Entry] = []
    for entry in entries:
        if (entry.pid, entry.alert.key) not in known:
            known.add((entry.pid, entry.alert.key))
            fresh.append(entry)
    return fresh


_Heard = tuple[Entry, dict[int, bool]]
"""With channels by id, and whether they listen to this kind of alert."""


def _heard(tx: Tx, entries: Sequence[Entry], known: Listening) -> list[_Heard]:
    """Each entry that some channel hears. If none hears that something began, those that might have are named. Its end
    is heard by whoever was told that it began, also if he does not listen any more.
    """
    check_ids = {check_id for entry in entries for check_id in entry.check_ids}
    listeners = {**known, **who_listens(tx, {entry.pid for entry in entries}, check_ids - known.keys())}
    parting = told_of_beginnings(
        tx, [(entry.pid, entry.alert) for entry in entries if part_of(entry.alert.kind) is Part.END]
    )
    heard: list[_Heard] = []
    for entry in entries:
        hearing = dict.fromkeys(entry.channel_ids, True)
        of_checks = [one for check_id in entry.check_ids for one in listeners.get(check_id, ())]
        hearing |= {channel: True for channel, kinds in of_checks if entry.alert.kind.value in kinds}
        hearing |= dict.fromkeys(
            parting.get(entry.alert.key, frozenset()) - {channel for channel, _ in of_checks}, True
        )
        if not hearing and part_of(entry.alert.kind) is Part.BEGIN:
            hearing = {channel: False for channel, _ in of_checks}
        if hearing:
            heard.append((entry, hearing))
    return heard


def who_listens(tx: Tx, pids: Collection[int], check_ids: Collection[int]) -> Listening:
    """Who listens to these checks. Facts for nobody need not be gathered."""
    found: dict[int, list[tuple[int, frozenset[str]]]] = {}
    if check_ids:
        for row in _LISTENERS.rows(tx, pids=list(pids), check_ids=list(check_ids)):
            kinds = frozenset(row.own if row.events is None else row.events)
            found.setdefault(row.check_id, []).append((row.id, kinds))
    return found


def _newest(tx: Tx, heard: Sequence[_Heard]) -> dict[str, int]:
    """Each source that still has something undelivered, with its newest alert."""
    channel_ids = {channel for _, hearing in heard for channel in hearing}
    sources = {entry.source for entry, _ in heard}
    rows = _NEWEST.rows(tx, channel_ids=list(channel_ids), sources=list(sources))
    return {row.source: row.alert_id for row in rows}


_INSERT_ALERTS = Prepared(lambda _: sa.insert(alerts))
_INSERT_NOTIFICATIONS = Prepared(lambda _: sa.insert(notifications))
_KNOWN = Prepared(
    lambda tx: sa.select(alerts.c.pid, alerts.c.key).where(
        among(tx, alerts.c.pid, "pids"), among(tx, alerts.c.key, "keys")
    )
)
_LISTENERS = Prepared(
    lambda tx: (
        sa.select(check_channels.c.check_id, channels.c.id, check_channels.c.events, channels.c.events.label("own"))
        .join(channels, sa.and_(channels.c.pid == check_channels.c.pid, channels.c.id == check_channels.c.channel_id))
        .where(among(tx, check_channels.c.pid, "pids"), among(tx, check_channels.c.check_id, "check_ids"))
    )
)
_NEWEST = Prepared(
    lambda tx: (
        sa.select(notifications.c.source, sa.func.max(notifications.c.alert_id).label("alert_id"))
        .where(
            notifications.c.state == PENDING,
            among(tx, notifications.c.channel_id, "channel_ids"),
            among(tx, notifications.c.source, "sources"),
        )
        .group_by(notifications.c.source)
    )
)


def _id_after(newest: int, ids: IdSource, now: datetime) -> int:
    """An id past what the source has undelivered, whose id may come from a node (or a time) with a faster clock."""
    alert_id = ids.next(now)
    if alert_id > newest:
        return alert_id
    ahead = (newest >> 22) - (IdSource(0).next(now) >> 22) + 1
    return ids.next(now + ahead * _MILLISECOND)
