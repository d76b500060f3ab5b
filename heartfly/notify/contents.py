"""What deliveries carry: the alerts of their notifications, in order, as they were frozen in the outbox.

Read outside the writing transaction, for a storm's may be megabytes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.alerts import Alert
from heartfly.db.models import alerts, notifications
from heartfly.notify.outbox import PENDING

FEW = 30
"""A message about more alerts than this shows none's output, so that is left in the database."""


async def payloads(conn: AsyncConnection, delivery_ids: Collection[str]) -> dict[str, list[str]]:
    """Each delivery with its alerts as JSON."""
    carried = (notifications.c.delivery_id.in_(delivery_ids), notifications.c.state == PENDING)
    counts = sa.select(notifications.c.delivery_id).where(*carried).group_by(notifications.c.delivery_id)
    large = set((await conn.execute(counts.having(sa.func.count() > FEW))).scalars())
    on_postgres = conn.dialect.name == "postgresql"
    found: dict[str, list[str]] = {}
    for ids, column in ((set(delivery_ids) - large, _whole()), (large, without_output(on_postgres=on_postgres))):
        query = (
            sa.select(notifications.c.delivery_id, column)
            .join(alerts, sa.and_(alerts.c.pid == notifications.c.pid, alerts.c.id == notifications.c.alert_id))
            .where(notifications.c.delivery_id.in_(ids), notifications.c.state == PENDING)
            .order_by(notifications.c.alert_id)
        )
        for delivery_id, payload in await conn.execute(query) if ids else ():
            found.setdefault(delivery_id, []).append(payload)
    return found


def decoded(payloads: Sequence[str]) -> tuple[Alert, ...]:
    return tuple(_DECODER.decode(payload) for payload in payloads)


_DECODER = msgspec.json.Decoder(Alert)


def _whole() -> sa.ColumnElement[str]:
    return sa.cast(alerts.c.payload, sa.Text)


def without_output(*, on_postgres: bool) -> sa.ColumnElement[str]:
    if on_postgres:
        return sa.cast(alerts.c.payload.op("#-")(sa.text("'{run,body_tail}'")), sa.Text)
    return sa.func.json_remove(alerts.c.payload, "$.run.body_tail", type_=sa.Text)
