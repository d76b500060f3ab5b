"""The outbox: alerts and who shall hear them, written in the transaction that decided them.

Nothing is sent here. An alert that no channel listens to leaves no row; the flip is its history.
Ids of alerts are the order in which each channel hears of a source, so they grow within it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from heartfly.core.alerts import Alert
from heartfly.core.words import AlertKind
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import alerts, channels, check_channels, notifications

DEFAULT_EVENTS = (
    AlertKind.DOWN,
    AlertKind.UP,
    AlertKind.DEGRADED,
    AlertKind.UNVERIFIED,
    AlertKind.SCHEDULE_ERROR,
    AlertKind.CHANNEL_FAILING,
)
"""What a channel hears unless it was told otherwise. Lateness is asked for."""

# Spelled out in the statement: an index over pending rows alone is not used when the word is a parameter.
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


def enqueue(tx: Tx, entries: Sequence[Entry], *, ids: IdSource, now: datetime) -> None:
    """Write alerts and one notification for each channel that hears them. An alert whose key exists is not repeated."""
    heard = _heard(tx, _new(tx, entries))
    if not heard:
        return
    newest = _newest(tx, heard)
    alert_rows: list[dict[str, Any]] = []
    notification_rows: list[dict[str, Any]] = []
    for entry, hearing in heard:
        alert_id = _id_after(newest.get(entry.source, 0), ids, now)
        alert_rows.append(_alert_row(entry, alert_id))
        notification_rows += [
            {
                "pid": entry.pid,
                "alert_id": alert_id,
                "channel_id": channel_id,
                "source": entry.source,
                "state": "pending",
                "created_at": now,
            }
            for channel_id in sorted(hearing)
        ]
    tx.conn.execute(sa.insert(alerts), alert_rows)
    tx.conn.execute(sa.insert(notifications), notification_rows)
    tx.changes.outbox = True


def hears(tx: Tx, entries: Iterable[Entry]) -> bool:
    """Whether anybody listens to any of these checks at all: facts for nobody need not be gathered."""
    return bool(_listeners(tx, list(entries)))


def _alert_row(entry: Entry, alert_id: int) -> dict[str, Any]:
    return {
        "pid": entry.pid,
        "id": alert_id,
        "key": entry.alert.key,
        "kind": entry.alert.kind.value,
        "source": entry.source,
        "at": entry.alert.at,
        "decided_at": entry.alert.decided_at,
        "payload": msgspec.to_builtins(entry.alert),
    }


def _new(tx: Tx, entries: Sequence[Entry]) -> list[Entry]:
    keys = {entry.alert.key for entry in entries}
    pids = {entry.pid for entry in entries}
    if not keys:
        return []
    query = sa.select(alerts.c.pid, alerts.c.key).where(alerts.c.pid.in_(pids), alerts.c.key.in_(keys))
    known = {(row.pid, row.key) for row in tx.conn.execute(query)}
    fresh: list[Entry] = []
    for entry in entries:
        if (entry.pid, entry.alert.key) not in known:
            known.add((entry.pid, entry.alert.key))
            fresh.append(entry)
    return fresh


def _heard(tx: Tx, entries: Sequence[Entry]) -> list[tuple[Entry, set[int]]]:
    """Each entry that some channel hears, with these channels."""
    listeners = _listeners(tx, entries)
    heard = []
    for entry in entries:
        hearing = set(entry.channel_ids)
        for check_id in entry.check_ids:
            hearing |= {channel for channel, kinds in listeners.get(check_id, ()) if entry.alert.kind.value in kinds}
        if hearing:
            heard.append((entry, hearing))
    return heard


def _listeners(tx: Tx, entries: Sequence[Entry]) -> dict[int, list[tuple[int, frozenset[str]]]]:
    """Each check id with its channels with the kinds of alert that each hears."""
    check_ids = {check_id for entry in entries for check_id in entry.check_ids}
    if not check_ids:
        return {}
    joined = sa.and_(channels.c.pid == check_channels.c.pid, channels.c.id == check_channels.c.channel_id)
    query = (
        sa.select(check_channels.c.check_id, channels.c.id, check_channels.c.events, channels.c.events.label("own"))
        .join(channels, joined)
        .where(
            check_channels.c.pid.in_({entry.pid for entry in entries}),
            check_channels.c.check_id.in_(check_ids),
        )
    )
    found: dict[int, list[tuple[int, frozenset[str]]]] = {}
    for row in tx.conn.execute(query):
        kinds = frozenset(row.own if row.events is None else row.events)
        found.setdefault(row.check_id, []).append((row.id, kinds))
    return found


def _newest(tx: Tx, heard: Sequence[tuple[Entry, set[int]]]) -> dict[str, int]:
    """Each source that still has something undelivered, with its newest alert."""
    query = (
        sa.select(notifications.c.source, sa.func.max(notifications.c.alert_id).label("alert_id"))
        .where(
            notifications.c.state == PENDING,
            notifications.c.channel_id.in_({channel for _, hearing in heard for channel in hearing}),
            notifications.c.source.in_({entry.source for entry, _ in heard}),
        )
        .group_by(notifications.c.source)
    )
    return {row.source: row.alert_id for row in tx.conn.execute(query)}


def _id_after(newest: int, ids: IdSource, now: datetime) -> int:
    """An id past what the source has undelivered, whose id may come from a node (or a time) with a faster clock."""
    alert_id = ids.next(now)
    if alert_id > newest:
        return alert_id
    ahead = (newest >> 22) - (IdSource(0).next(now) >> 22) + 1
    return ids.next(now + ahead * _MILLISECOND)
