"""Tells the reminders that are due: of an incident that is open and that nobody has acknowledged.

Which there are is kept by reminders.py. It goes when the incident is closed or somebody acknowledges it; one that
falls into a silence waits for its end.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.core.alerts import Alert, cause_key, flip_key
from heartfly.core.causes import Explains
from heartfly.core.silence import held
from heartfly.core.values import replace
from heartfly.core.words import AlertKind
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import alerts, flips, incidents, reminders
from heartfly.db.prepared import Prepared
from heartfly.db.types import UtcInstant
from heartfly.notify.contents import decoded
from heartfly.notify.outbox import Entry, enqueue
from heartfly.notify.peace import hearers, subject
from heartfly.notify.reminders import keys_of
from heartfly.notify.silences import living

_CAUSES = tuple(what.value for what in Explains)
MOST = 200
"""That are told in one transaction."""


NEXT_REMINDER = sa.select(sa.func.min(reminders.c.next_at))


def remind(tx: Tx, *, now: datetime, ids: IdSource, most: int = MOST) -> bool:
    """Tell the reminders that are due. True: there may be more."""
    due = FIRST_DUE.rows(tx, now=now, most=most)
    if not due:
        return False
    known = hearers(tx, {row.pid for row in due}, {row.channel_id for row in due})
    silent = living(tx, {row.pid for row in due}, now=now)
    entries = []
    for row in due:
        hearer, alert = known.get(row.channel_id), _told_first(tx, row)
        every = None if hearer is None else hearer.policy.every
        if hearer is None or every is None or alert is None or _is_seen_to(row):
            tx.conn.execute(sa.update(reminders).where(*_is(row)).values(next_at=None))
            continue
        hold = held(subject(alert, hearer.uuid), silent.get(row.pid, ()), at=now, begin_was_told=True)
        if hold is not None:
            _move(tx, row, hold.until, n=row.n)
            continue
        entries.append(_entry(row, alert, now))
        _move(tx, row, now + every, n=row.n + 1)
    enqueue(tx, entries, ids=ids, now=now)
    return len(due) >= most


def _first_due() -> sa.Select[Any]:
    i, r = incidents.c, reminders.c
    return (
        sa.select(reminders, i.uuid, i.source_kind, i.source_id, i.opened_at, i.closed_at, i.acked_at, i.alert_key)
        .outerjoin(incidents, sa.and_(i.pid == reminders.c.pid, i.id == reminders.c.incident_id))
        .where(r.next_at <= sa.bindparam("now", type_=UtcInstant))
        .order_by(r.next_at, r.incident_id, r.channel_id)
        .limit(sa.bindparam("most", type_=sa.Integer))
    )


FIRST_DUE = Prepared(lambda _: _first_due())


def _is_seen_to(row: Any) -> bool:
    return row.uuid is None or row.closed_at is not None or row.acked_at is not None


def _told_first(tx: Tx, row: Any) -> Alert | None:
    """What told of its beginning; None: it is not kept any more."""
    key = row.alert_key
    if row.source_kind in _CAUSES:
        key = cause_key(row.incident_id, row.channel_id)
    elif key is None:
        f = flips.c
        first = sa.select(sa.func.min(f.flip_no)).where(f.pid == row.pid, f.incident_id == row.incident_id)
        number = tx.conn.execute(first).scalar()
        key = None if number is None else flip_key(row.source_id, number)
    query = sa.select(sa.cast(alerts.c.payload, sa.Text)).where(alerts.c.pid == row.pid, alerts.c.key == key)
    payload = tx.conn.execute(query).scalar()
    return None if payload is None else decoded([payload])[0]


def _entry(row: Any, alert: Alert, now: datetime) -> Entry:
    n = row.n + 1
    told = replace(
        alert,
        key=keys_of(row.uuid, row.channel_id, n)[-1],
        kind=AlertKind.REMINDER,
        decided_at=now,
        down_since=row.opened_at,
    )
    return Entry(pid=row.pid, source=f"{row.source_kind}:{row.source_id}", alert=told, channel_ids=(row.channel_id,))


def _move(tx: Tx, row: Any, to: datetime, *, n: int) -> None:
    tx.conn.execute(sa.update(reminders).where(*_is(row)).values(next_at=to, n=n))
    tx.changes.wake(to)


def _is(row: Any) -> tuple[sa.ColumnElement[bool], ...]:
    r = reminders.c
    return r.pid == row.pid, r.incident_id == row.incident_id, r.channel_id == row.channel_id
