"""Who was told that something is wrong and does not listen to it any more: he hears of its end, and then no more.

A check, a rule or a budget may be given to other channels while it is in trouble. Whoever was alarmed by it would
otherwise look for a trouble that is over. A channel that hears of no ends by its own choice hears of none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from heartfly.core.alerts import Alert
from heartfly.core.escalation import part_of
from heartfly.core.silence import Part
from heartfly.core.words import AlertKind
from heartfly.db.changes import Tx
from heartfly.db.models import alerts, channels, notifications
from heartfly.db.prepared import Prepared, among
from heartfly.notify.peace import TOLD, keys_before

_CHANGES_BACK = 6
"""So many changes within one trouble (down, degraded, down …) are looked back at: each is a look-up for each ping."""


def told_of_beginnings(tx: Tx, ends: Sequence[tuple[int, Alert]]) -> Mapping[str, frozenset[int]]:
    """By the key of each end, given with its project: the channels of which the last word was that it began."""
    before = {alert.key: keys_before(alert.key)[-_CHANGES_BACK:] for _, alert in ends}
    keys = list({key for some in before.values() for key in some})
    if not keys:
        return {}
    told: dict[tuple[int, str], list[Any]] = {}
    for row in _TOLD_OF.rows(tx, pids=list({pid for pid, _ in ends}), keys=keys):
        if row.state in TOLD:
            told.setdefault((row.pid, row.key), []).append(row)
    found: dict[str, frozenset[int]] = {}
    for pid, alert in ends:
        rows = sorted((row for key in before[alert.key] for row in told.get((pid, key), ())), key=_number)
        newest = {row.channel_id: row for row in rows}
        found[alert.key] = frozenset(
            channel
            for channel, row in newest.items()
            if part_of(AlertKind(row.kind)) is Part.BEGIN and alert.kind.value in row.events
        )
    return found


def _number(row: Any) -> int:
    found: int = row.alert_id
    return found


_TOLD_OF = Prepared(
    lambda tx: (
        sa.select(
            *(alerts.c.pid, alerts.c.key, alerts.c.kind),
            *(notifications.c.alert_id, notifications.c.channel_id, notifications.c.state, channels.c.events),
        )
        .join(notifications, sa.and_(alerts.c.pid == notifications.c.pid, alerts.c.id == notifications.c.alert_id))
        .join(channels, sa.and_(channels.c.pid == notifications.c.pid, channels.c.id == notifications.c.channel_id))
        .where(among(tx, alerts.c.pid, "pids"), among(tx, alerts.c.key, "keys"))
    )
)
