"""What deliveries carry: the alerts of their notifications, in order, as they were frozen in the outbox.

Those of a few alerts are read with the claim. Those of a storm may be megabytes: they are read outside of
the writing transaction, without the output of the jobs, of which such a message shows nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Executable, Select
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.alerts import Alert
from heartfly.db.changes import Tx
from heartfly.db.models import alerts, notifications
from heartfly.db.prepared import Prepared, among
from heartfly.db.types import to_json

FEW = 30


def small(tx: Tx, delivery_ids: Collection[str]) -> dict[str, list[str]]:
    """Each delivery of a few alerts with these, as JSON; the others are not among them."""
    of_few = [row.delivery_id for row in _FEW.rows(tx, ids=list(delivery_ids), few=FEW)]
    if not of_few:
        return {}
    carried = _CARRIED.rows(tx, ids=of_few)
    alert_ids = [row.alert_id for row in carried]
    return _by_delivery(carried, _PAYLOADS.rows(tx, pids=list({row.pid for row in carried}), ids=alert_ids))


_FEW = Prepared(
    lambda tx: (
        sa.select(notifications.c.delivery_id)
        .where(among(tx, notifications.c.delivery_id, "ids"))
        .group_by(notifications.c.delivery_id)
        .having(sa.func.count() <= sa.bindparam("few", type_=sa.Integer))
    )
)
_CARRIED = Prepared(
    lambda tx: (
        sa.select(notifications.c.pid, notifications.c.delivery_id, notifications.c.alert_id, notifications.c.why)
        .where(among(tx, notifications.c.delivery_id, "ids"))
        .order_by(notifications.c.alert_id)
    )
)
_PAYLOADS = Prepared(
    lambda tx: sa.select(alerts.c.id, sa.cast(alerts.c.payload, sa.Text).label("payload")).where(
        among(tx, alerts.c.pid, "pids"), among(tx, alerts.c.id, "ids")
    )
)


async def large(conn: AsyncConnection, delivery_ids: Collection[str]) -> dict[str, list[str]]:
    """Each of these deliveries with its alerts, as JSON without output."""
    carried = (await conn.execute(_carried(delivery_ids))).all()
    brief = without_output(on_postgres=conn.dialect.name == "postgresql")
    return _by_delivery(carried, await conn.execute(_of_these(conn, carried, brief)))


def decoded(payloads: Sequence[str]) -> tuple[Alert, ...]:
    return tuple(_DECODER.decode(payload) for payload in payloads)


_DECODER = msgspec.json.Decoder(Alert)


def without_output(*, on_postgres: bool) -> sa.ColumnElement[str]:
    """The alert as JSON, but for what the job printed."""
    if on_postgres:
        shorter = alerts.c.payload.op("#-")(sa.text("'{run,body_tail}'")).op("#-")(sa.text("'{run,last_good}'"))
        return sa.cast(shorter, sa.Text)
    return sa.func.json_remove(alerts.c.payload, "$.run.body_tail", "$.run.last_good", type_=sa.Text)


# Three walks down indexes and no join, nor a question about the state: see PENDING in outbox.py.


def _carried(delivery_ids: Collection[str]) -> Select[Any]:
    n = notifications.c
    return (
        sa.select(n.pid, n.delivery_id, n.alert_id, n.why).where(n.delivery_id.in_(delivery_ids)).order_by(n.alert_id)
    )


def _of_these(where: Tx | AsyncConnection, carried: Sequence[Any], payload: sa.ColumnElement[str]) -> Executable:
    pids, ids = {row.pid for row in carried}, [row.alert_id for row in carried]
    of_alerts = (alerts.c.pid.in_(pids), among(where, alerts.c.id, "ids"))
    return sa.select(alerts.c.id, payload.label("payload")).where(*of_alerts).params(ids=ids)


def _by_delivery(carried: Sequence[Any], payloads: Iterable[Any]) -> dict[str, list[str]]:
    texts = {row.id: row.payload for row in payloads}
    found: dict[str, list[str]] = {}
    for row in carried:
        found.setdefault(row.delivery_id, []).append(_with(texts[row.alert_id], row.why))
    return found


def _with(payload: str, why: str | None) -> str:
    """The alert, which all channels share, with why this one hears of it only now. Of two names the last counts."""
    return payload if why is None else f'{payload[:-1]},"held":{to_json(why)}}}'
