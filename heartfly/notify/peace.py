"""What becomes of each alert on each channel as it is put into the outbox: told, held, or left with a reason.

Gathers what core/escalation.py decides by: the silences of the project, the policy of the channel, and what the
channel knows of the source. Where there is none of that, nothing is looked at further. What was held is told by
later.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, assert_never

import sqlalchemy as sa

from heartfly.core.alerts import Alert
from heartfly.core.escalation import (
    UNBOUND,
    Decision,
    DownSpan,
    Leave,
    Policy,
    Standing,
    Tell,
    decide,
    flaps_since,
    of_stored,
    part_of,
    severity_of,
)
from heartfly.core.silence import Hold, Part, Silence, Subject
from heartfly.core.words import AlertKind, Severity, Status
from heartfly.db.changes import Tx
from heartfly.db.models import alerts, channels, flips, incidents, notifications
from heartfly.db.prepared import Prepared, among
from heartfly.notify.silences import living
from heartfly.notify.together import Tellings, is_for_people, tellings

HELD: sa.ColumnElement[str] = sa.literal_column("'held'")
TOLD = ("pending", "merged", "sent", "failed")
_FLIPS_BACK = 20
"""So many changes of a check are looked back at for what a channel was told last."""


@dataclass(frozen=True, slots=True)
class Hearer:
    id: int
    uuid: str
    policy: Policy
    events: frozenset[str] = frozenset()
    is_for_people: bool = False


def hearers(tx: Tx, pids: Iterable[int], channel_ids: Iterable[int]) -> dict[int, Hearer]:
    rows = _CHANNELS.rows(tx, pids=list({*pids}), ids=list({*channel_ids}))
    return {
        row.id: Hearer(row.id, row.uuid, of_stored(row.policy), frozenset(row.events), is_for_people(row.kind))
        for row in rows
    }


def subject(alert: Alert, channel: str) -> Subject:
    check = alert.check
    return Subject(
        part=part_of(alert.kind),
        severity=severity_of(
            alert.kind,
            tags=check.tags if check is not None else (),
            concern=_of_itself(alert),
        ),
        channel=channel,
        check=check.uuid if check is not None else "",
        tags=check.tags if check is not None else (),
        grace=timedelta(seconds=check.grace_s) if check is not None else timedelta(minutes=5),
    )


def _of_itself(alert: Alert) -> Severity | None:
    """How severe that says to be which is no check."""
    told = alert.concern or alert.together
    return None if told is None else told.severity


@dataclass(frozen=True, slots=True)
class Offer:
    """An alert for a channel. `upstream`: what its check needs is down, which holds it. `gathered`: people hear of it
    with others of its kind.
    """

    pid: int
    source: str
    alert: Alert
    channel_id: int
    upstream: Hold | None = None
    gathered: Hold | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """`every`: so often the channel is reminded from now on, if this tells it that something began."""

    decision: Decision
    every: timedelta | None = None


_AT_ONCE = Decided(Tell())


def decisions(tx: Tx, offers: Sequence[Offer], *, now: datetime) -> list[Decided]:
    """Of each in turn."""
    found = [_AT_ONCE] * len(offers)
    bound = [n for n, one in enumerate(offers) if one.alert.kind not in UNBOUND]
    if not bound:
        return found
    pids = {offers[n].pid for n in bound}
    silent, known = living(tx, pids, now=now), hearers(tx, pids, {offers[n].channel_id for n in bound})
    waiting = _waiting(tx, [offers[n] for n in bound])
    causes = {offers[n].alert.cause.id for n in bound if offers[n].alert.cause is not None}  # type: ignore[union-attr]
    as_one = tellings(tx, pids, causes, known) if causes else Tellings()
    told: dict[tuple[int, str], bool] = {}
    """Whether what this very transaction told of a source is that it began: it is not written yet."""
    for n in bound:
        one = offers[n]
        hearer, silences = known.get(one.channel_id), silent.get(one.pid, ())
        waits = waiting.get((one.channel_id, one.source))
        people = (
            hearer is not None and hearer.is_for_people and (one.alert.cause is not None or one.gathered is not None)
        )
        bound_by_facts = people or one.upstream is not None
        if hearer is None or (not bound_by_facts and not silences and waits is None and hearer.policy == Policy()):
            continue
        mine, part = (one.channel_id, one.source), part_of(one.alert.kind)
        decision = _decided(tx, one, hearer, silences, waits, told.get(mine), now)
        if one.alert.cause is not None and hearer.is_for_people and isinstance(decision, Tell):
            decision = as_one.offered(one.pid, hearer.id, one.alert.cause, one.alert, now=now)
        if one.gathered is not None and hearer.is_for_people and isinstance(decision, Tell):
            decision = one.gathered
        is_begin = part is Part.BEGIN
        if part is not Part.FACT and isinstance(decision, Tell):
            told[mine] = is_begin
        found[n] = Decided(decision, hearer.policy.every if is_begin and isinstance(decision, Tell) else None)
        if is_begin and isinstance(decision, Hold):
            # Within one transaction a check may go down and come up again.
            waiting[mine] = decision
    as_one.keep(tx)
    return found


def _decided(  # noqa: PLR0917 - what a decision depends on
    tx: Tx,
    one: Offer,
    hearer: Hearer,
    silences: Sequence[Silence],
    waits: Hold | None,
    told_now: bool | None,  # noqa: FBT001 - the same
    now: datetime,
) -> Decision:
    about, told, flaps = subject(one.alert, hearer.uuid), False, None
    if about.part is Part.END:
        told = begin_was_told(tx, one.pid, one.channel_id, one.alert.key) if told_now is None else told_now
        told = told or one.alert.together is not None  # of its first member, if not of it as a whole
    elif one.alert.together is not None:
        flaps = one.alert.at  # its first member has waited for this channel's turn
    elif about.part is Part.BEGIN and hearer.policy.after is not None:
        flaps = flapping_since(tx, one, hearer.policy.after, now)
    standing = Standing(begin_was_told=told, waits=waits, upstream=one.upstream, flaps_since=flaps)
    return decide(about, hearer.policy, silences, standing, at=now)


def _waiting(tx: Tx, offers: Sequence[Offer]) -> dict[tuple[int, str], Hold]:
    """What is held of each source on each channel: until when at the latest, and why."""
    found: dict[tuple[int, str], Hold] = {}
    rows = _HELD.rows(
        tx, channel_ids=list({one.channel_id for one in offers}), sources=list({one.source for one in offers})
    )
    for row in rows:
        mine = (row.channel_id, row.source)
        if mine not in found or found[mine].until < row.held_until:
            found[mine] = Hold(row.held_until, row.why, row.held_by)
    return found


def begin_was_told(tx: Tx, pid: int, channel_id: int, key: str) -> bool:
    """Whether the last that the channel was told of the alert's source, before this one, is that it began."""
    keys = keys_before(key)
    kinds = {row.id: row.kind for row in ALERTS.rows(tx, pids=[pid], keys=keys)} if keys else {}
    rows = _OF_CHANNEL.rows(tx, pids=[pid], channel_ids=[channel_id], alert_ids=[*kinds]) if kinds else ()
    newest = max((row.alert_id for row in rows if row.state in TOLD), default=None)
    return newest is not None and part_of(AlertKind(kinds[newest])) is Part.BEGIN


def flapping_since(tx: Tx, one: Offer, after: timedelta, now: datetime) -> datetime | None:
    """Of what went down at `now`. None: it is no check, or has not been down before."""
    keys = [key for key in keys_before(one.alert.key) if key.startswith("flip:")]
    if not keys:
        return None
    check, numbers = int(keys[-1].split(":")[1]), [int(key.split(":")[2]) for key in keys]
    f, i = flips.c, incidents.c
    query = (
        sa.select(f.flip_no, f.to_status, i.opened_at, i.closed_at, i.acked_at)
        .join(incidents, sa.and_(i.pid == f.pid, i.id == f.incident_id))
        .where(f.pid == one.pid, f.check_id == check, f.flip_no.in_(numbers))
        .where(f.to_status == Status.DOWN.value, i.closed_at.is_not(None))
        .order_by(f.flip_no)
    )
    rows = tx.conn.execute(query).all()
    alert_keys = {row.id: row.key for row in ALERTS.rows(tx, pids=[one.pid], keys=keys)}
    heard = _OF_CHANNEL.rows(tx, pids=[one.pid], channel_ids=[one.channel_id], alert_ids=[*alert_keys])
    told = {alert_keys[row.alert_id] for row in heard if row.state in TOLD}
    before = [
        DownSpan(
            from_at=row.opened_at,
            to_at=row.closed_at,
            ends_it=row.acked_at is not None or f"flip:{check}:{row.flip_no}" in told,
        )
        for row in rows
    ]
    return flaps_since(before, after, at=now)


def keys_before(key: str) -> list[str]:
    """Of the alerts that may have told of the same source before the one of this key."""
    kind, _, rest = key.partition(":")
    if kind != "flip":
        return [key.removesuffix(":end")] if key.endswith(":end") else []
    check, _, number = rest.partition(":")
    last = int(number)
    return [f"flip:{check}:{n}" for n in range(max(1, last - _FLIPS_BACK), last)]


_CHANNELS = Prepared(
    lambda tx: sa.select(channels.c.id, channels.c.uuid, channels.c.policy, channels.c.events, channels.c.kind).where(
        among(tx, channels.c.pid, "pids"), among(tx, channels.c.id, "ids")
    )
)
_HELD = Prepared(
    lambda tx: sa.select(
        notifications.c.channel_id,
        notifications.c.source,
        notifications.c.held_until,
        notifications.c.why,
        notifications.c.held_by,
    ).where(
        notifications.c.state == HELD,
        among(tx, notifications.c.channel_id, "channel_ids"),
        among(tx, notifications.c.source, "sources"),
    )
)
# Two walks down indexes and no join: SQLite would begin one with all that a channel was ever told.
ALERTS = Prepared(
    lambda tx: sa.select(alerts.c.pid, alerts.c.id, alerts.c.key, alerts.c.kind).where(
        among(tx, alerts.c.pid, "pids"), among(tx, alerts.c.key, "keys")
    )
)
_OF_CHANNEL = Prepared(
    lambda tx: sa.select(notifications.c.alert_id, notifications.c.state).where(
        among(tx, notifications.c.pid, "pids"),
        among(tx, notifications.c.alert_id, "alert_ids"),
        among(tx, notifications.c.channel_id, "channel_ids"),
    )
)


def held_row(decision: Decision) -> dict[str, Any]:
    """The columns of a notification that say what was decided."""
    match decision:
        case Tell():
            return {"state": "pending", "why": None, "held_by": None, "held_until": None, "done_at": None}
        case Hold(until, why, by, _):
            return {"state": "held", "why": why, "held_by": by, "held_until": until, "done_at": None}
        case Leave(why):
            return {"state": "untold", "why": why, "held_by": None, "held_until": None}
        case _:
            assert_never(decision)
