"""What was held together is told together: a delivery of people's channels that carries all of it.

So come quiet hours, at their end, and channels that fail at a time. What is told at all is decided in later.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from heartfly.core.silence import SilenceKind
from heartfly.db.changes import Tx
from heartfly.db.models import channels, deliveries, notifications, silences
from heartfly.notify.channels import CHANNELS
from heartfly.notify.failing import WITH_OTHERS
from heartfly.notify.pack import delivery_id


def as_digests(tx: Tx, told: Sequence[Any], now: datetime) -> None:
    """`told`: notifications as they were held. What else of them is told goes as anything does."""
    by = {row.held_by for row in told if row.held_by is not None}
    s = silences.c
    query = sa.select(s.id).where(s.pid.in_({row.pid for row in told}), s.id.in_(by), s.kind == SilenceKind.QUIET.value)
    quiet = {*tx.conn.execute(query).scalars()} if by else set()

    def of_what(row: Any) -> tuple[int, bool]:
        return row.channel_id, row.held_by in quiet

    mine = [row for row in told if row.held_by in quiet or row.why == WITH_OTHERS]
    for (channel_id, _), grouped in groupby(sorted(mine, key=lambda row: (*of_what(row), row.alert_id)), key=of_what):
        rows = list(grouped)
        if len({row.source for row in rows}) > 1 and _folds(tx, rows[0].pid, channel_id):
            _carry(tx, rows, now)


def _folds(tx: Tx, pid: int, channel_id: int) -> bool:
    query = sa.select(channels.c.kind).where(channels.c.pid == pid, channels.c.id == channel_id)
    channel = CHANNELS.get(tx.conn.execute(query).scalar_one())
    return channel is not None and channel.folds_storms


def _carry(tx: Tx, rows: Sequence[Any], now: datetime) -> None:
    first = rows[0]
    carrier = delivery_id(first.channel_id, first.alert_id)
    new = {
        "id": carrier,
        "pid": first.pid,
        "channel_id": first.channel_id,
        "state": "pending",
        "next_at": now,
        "attempt": 0,
        "lease_until": None,
        "node_id": None,
        "possible_duplicate": False,
        "created_at": now,
    }
    tx.conn.execute(sa.insert(deliveries).values(new))
    n = notifications.c
    for row in rows:
        its = (n.pid == row.pid, n.alert_id == row.alert_id, n.channel_id == row.channel_id)
        tx.conn.execute(sa.update(notifications).where(*its).values(delivery_id=carrier))
