"""What deliveries carry: the alerts of their notifications, in order, as they were frozen in the outbox.

Those of a few alerts are read with the claim. Those of a storm may be megabytes: they are read outside of
the writing transaction, without the output of the jobs, of which such a message shows nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.alerts import Alert
from heartfly.db.changes import Tx
from heartfly.db.models import alerts, notifications
from heartfly.notify.outbox import PENDING

FEW = 30


def small(tx: Tx, delivery_ids: Collection[str]) -> dict[str, list[str]]:
    """Each delivery of a few alerts with these, as JSON; the others are not among them."""
    counted = (
        sa.select(notifications.c.delivery_id)
        .where(*_carried(delivery_ids))
        .group_by(notifications.c.delivery_id)
        .having(sa.func.count() <= FEW)
    )
    query = _payloads(sa.cast(alerts.c.payload, sa.Text)).where(notifications.c.delivery_id.in_(counted))
    return _by_delivery(tx.conn.execute(query))


async def large(conn: AsyncConnection, delivery_ids: Collection[str]) -> dict[str, list[str]]:
    """Each of these deliveries with its alerts, as JSON without output."""
    query = _payloads(without_output(on_postgres=conn.dialect.name == "postgresql")).where(*_carried(delivery_ids))
    return _by_delivery(await conn.execute(query))


def decoded(payloads: Sequence[str]) -> tuple[Alert, ...]:
    return tuple(_DECODER.decode(payload) for payload in payloads)


_DECODER = msgspec.json.Decoder(Alert)


def without_output(*, on_postgres: bool) -> sa.ColumnElement[str]:
    """The alert as JSON, but for what the job printed."""
    if on_postgres:
        return sa.cast(alerts.c.payload.op("#-")(sa.text("'{run,body_tail}'")), sa.Text)
    return sa.func.json_remove(alerts.c.payload, "$.run.body_tail", type_=sa.Text)


def _carried(delivery_ids: Collection[str]) -> tuple[sa.ColumnElement[bool], ...]:
    return (notifications.c.delivery_id.in_(delivery_ids), notifications.c.state == PENDING)


def _payloads(payload: sa.ColumnElement[str]) -> Select[tuple[str, str]]:
    of_alert = sa.and_(alerts.c.pid == notifications.c.pid, alerts.c.id == notifications.c.alert_id)
    query: Select[tuple[str, str]] = sa.select(notifications.c.delivery_id, payload)
    return query.join(alerts, of_alert).where(notifications.c.state == PENDING).order_by(notifications.c.alert_id)


def _by_delivery(rows: Iterable[Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for delivery_id, payload in rows:
        found.setdefault(delivery_id, []).append(payload)
    return found
