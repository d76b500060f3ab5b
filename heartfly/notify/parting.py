"""Who was told that something is wrong and does not listen to it any more: he hears of its end, and then no more.

A check, a rule or a budget may be given to other channels while it is in trouble. Whoever was alarmed by it would
otherwise look for a trouble that is over. A channel that hears of no ends by its own choice hears of none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from heartfly.core.alerts import Alert
from heartfly.core.escalation import part_of
from heartfly.core.silence import Part
from heartfly.core.words import AlertKind
from heartfly.db.changes import Tx
from heartfly.db.models import channels, notifications
from heartfly.db.prepared import Prepared, among
from heartfly.notify.peace import ALERTS, TOLD, keys_before

_CHANGES_BACK = 6
"""So many changes within one trouble (down, degraded, down …) are looked back at: each is a look-up for each ping."""


def told_of_beginnings(tx: Tx, ends: Sequence[tuple[int, Alert]]) -> Mapping[str, frozenset[int]]:
    """By the key of each end, given with its project: the channels of which the last word was that it began."""
    before = {alert.key: keys_before(alert.key)[-_CHANGES_BACK:] for _, alert in ends}
    keys = list({key for some in before.values() for key in some})
    if not keys:
        return {}
    pids = list({pid for pid, _ in ends})
    its = {(row.pid, row.id): row for row in ALERTS.rows(tx, pids=pids, keys=keys)}
    if not its:
        return {}
    told: dict[tuple[int, str], list[tuple[int, int, str]]] = {}
    heard = [row for row in _TOLD_OF.rows(tx, pids=pids, alert_ids=[id_ for _, id_ in its]) if row.state in TOLD]
    for row in heard:
        alert = its.get((row.pid, row.alert_id))
        if alert is not None:
            told.setdefault((row.pid, alert.key), []).append((row.alert_id, row.channel_id, alert.kind))
    events = {
        (row.pid, row.id): row.events
        for row in (_EVENTS.rows(tx, pids=pids, ids=list({row.channel_id for row in heard})) if heard else ())
    }
    found: dict[str, frozenset[int]] = {}
    for pid, end in ends:
        newest = {
            channel: kind
            for _, channel, kind in sorted(one for key in before[end.key] for one in told.get((pid, key), ()))
        }
        found[end.key] = frozenset(
            channel
            for channel, kind in newest.items()
            if part_of(AlertKind(kind)) is Part.BEGIN and end.kind.value in events.get((pid, channel), ())
        )
    return found


# Three walks down indexes and no join: SQLite would begin one with all that a project was ever told.
_TOLD_OF = Prepared(
    lambda tx: sa.select(
        notifications.c.pid, notifications.c.alert_id, notifications.c.channel_id, notifications.c.state
    ).where(among(tx, notifications.c.pid, "pids"), among(tx, notifications.c.alert_id, "alert_ids"))
)
_EVENTS = Prepared(
    lambda tx: sa.select(channels.c.pid, channels.c.id, channels.c.events).where(
        among(tx, channels.c.pid, "pids"), among(tx, channels.c.id, "ids")
    )
)
