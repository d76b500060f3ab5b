"""What was held is told after the silence, if it is still true; and whoever asked for it is reminded.

Called by the monitor at each instant that a held notification or a reminder names, in a transaction of its own. What
of it is told is decided in core/silence.py (`settled`); what another silence holds by now waits for that. What is not
told keeps its reason, and says why it was not told afterwards.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from functools import lru_cache
from itertools import islice
from typing import Any

import sqlalchemy as sa

from heartfly.core.alerts import Alert, CauseFacts
from heartfly.core.causes import Needed, waits_for
from heartfly.core.escalation import Leave, part_of, routed, step
from heartfly.core.silence import Hold, Part, Silence, Subject, Verdict, Waiting, held, settled
from heartfly.core.words import AlertKind, Status
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import alerts, channels, check_channels, checks, incidents, notifications
from heartfly.db.prepared import Prepared
from heartfly.db.types import UtcInstant
from heartfly.notify.contents import decoded
from heartfly.notify.failing import WITH_OTHERS, failing_of
from heartfly.notify.held_together import as_digests
from heartfly.notify.outbox import Entry, enqueue
from heartfly.notify.peace import HELD, Hearer, Offer, begin_was_told, flapping_since, hearers, subject
from heartfly.notify.reminders import Begun, begin
from heartfly.notify.reminding import NEXT_REMINDER, remind
from heartfly.notify.silences import living
from heartfly.notify.together import (
    NEXT_TOGETHER,
    Due,
    Tellings,
    as_one,
    causes_of,
    source_of,
    take_due,
    tellings,
)
from heartfly.notify.upstream import settled_needs

MOST = 200
"""Sources on channels that are looked at in one transaction."""
MOST_ROWS = 200
"""Of what is held, that are: one source may have had thousands in a silence of weeks, and every ping waits for it."""

_WATCHED = (Status.UP.value, Status.DEGRADED.value)


NEXT_LATER = (
    sa.select(sa.func.min(notifications.c.held_until)).where(notifications.c.state == HELD),
    NEXT_REMINDER,
    NEXT_TOGETHER,
)
"""When the next that is held, the next reminder and the next telling of a cause are due."""


def soonest(tx: Tx, *asked: sa.Select[Any]) -> datetime | None:
    """Of instants, whose questions are asked in one go, as this is done each second. None: there are none."""
    (found,) = _in_one(asked).rows(tx)
    return min((at for at in found if at is not None), default=None)


@lru_cache
def _in_one(asked: tuple[sa.Select[Any], ...]) -> Prepared:
    return Prepared(lambda _: sa.select(*(one.scalar_subquery().label(f"at{n}") for n, one in enumerate(asked))))


class Later(Enum):
    """What is told later, in this order."""

    HELD = "held"
    TOGETHER = "together"
    REMINDERS = "reminders"


def tell_later(tx: Tx, *, now: datetime, ids: IdSource, only: Later | None = None, most: int = MOST) -> bool:
    """Tell what is due. True: there may be more. `most`: of each, the first that are due."""
    more = False
    if only in {None, Later.HELD}:
        groups, more = _due(tx, now, most)
        if groups:
            _release(tx, groups, now)
    if only in {None, Later.TOGETHER}:
        gathered, full = take_due(tx, now=now, most=most)
        tell_as_one(tx, gathered, now=now, ids=ids)
        more = more or full or bool(gathered)
    if only in {None, Later.REMINDERS}:
        more = remind(tx, now=now, ids=ids, most=most) or more
    return more


def tell_as_one(tx: Tx, due: Sequence[Due], *, now: datetime, ids: IdSource) -> None:
    """Each of these channels hears of its cause as a whole."""
    entries = [
        Entry(pid=one.pid, source=source_of(one.cause), alert=alert, channel_ids=(one.channel_id,))
        for one, alert in as_one(tx, due, now=now)
    ]
    enqueue(tx, entries, ids=ids, now=now)


# --- what is due, with all that it depends on --------------------------------------------------------


@dataclass(slots=True)
class _Group:
    """What is held of one source for one channel, in order."""

    pid: int
    channel_id: int
    source: str
    rows: list[Any] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    last_waits: bool = False
    """The last here is what the source came to; it is not due, or settled after those that did not fit."""

    def add(self, row: Any) -> None:
        self.rows.append(row)
        self.alerts += decoded([row.payload])


FIRST_HELD = Prepared(
    lambda _: (
        sa.select((n := notifications.c).pid, n.channel_id, n.source)
        .where(n.state == HELD, n.held_until <= sa.bindparam("now", type_=UtcInstant))
        .group_by(n.pid, n.channel_id, n.source)
        .order_by(sa.func.min(n.held_until), n.pid, n.channel_id, n.source)
        .limit(sa.bindparam("most", type_=sa.Integer))
    )
)
"""Of which sources on channels something that was held is due."""


def _due(tx: Tx, now: datetime, most: int) -> tuple[list[_Group], bool]:
    """And whether there is more."""
    n = notifications.c
    head = FIRST_HELD.rows(tx, now=now, most=most)
    found = {(row.channel_id, row.source): _Group(row.pid, row.channel_id, row.source) for row in head}
    if not found:
        return [], False
    query = (
        sa.select(notifications, alerts.c.kind, sa.cast(alerts.c.payload, sa.Text).label("payload"))
        .join(alerts, sa.and_(alerts.c.pid == n.pid, alerts.c.id == n.alert_id))
        .where(n.state == HELD, n.channel_id.in_({key[0] for key in found}), n.source.in_({key[1] for key in found}))
    )
    in_order = (n.channel_id, n.source, n.alert_id)
    due = query.where(n.held_until <= sa.literal(now, UtcInstant)).order_by(*in_order).limit(MOST_ROWS)
    rows = tx.conn.execute(due.with_for_update(of=notifications)).all()
    for row in rows:
        group = found.get((row.channel_id, row.source))
        if group is not None:
            group.add(row)
    for (channel_id, source), group in found.items():
        if group.rows:
            # What is last decides of all before it, also if it is not due itself.
            mine = (n.channel_id == channel_id, n.source == source, n.alert_id > group.rows[-1].alert_id)
            later = query.where(*mine, alerts.c.kind.in_(_TURNS)).order_by(n.alert_id.desc()).limit(1)
            if (last := tx.conn.execute(later).first()) is not None:
                group.add(last)
                group.last_waits = True
    return [group for group in found.values() if group.rows], len(found) >= most or len(rows) == MOST_ROWS


_TURNS = [kind.value for kind in AlertKind if part_of(kind) is not Part.FACT]


@dataclass(frozen=True, slots=True)
class _World:
    """How things are now. `checks`: by public id, `incidents` as well, and their `causes`. `needed`: by check.
    `listening`: by channel and check's public id, which kinds of alert it hears of that. `failing`: channels, by public
    id, of which it was told and which do not work yet.
    """

    checks: Mapping[str, Any]
    incidents: Mapping[str, Any]
    causes: Mapping[str, CauseFacts]
    needed: Mapping[int, Sequence[Needed]]
    tellings: Tellings
    listening: Mapping[tuple[int, str], frozenset[str]]
    failing: Collection[str]

    def not_heard(self, alert: Alert, about: Subject, hearer: Hearer) -> str | None:
        """Why it is nothing for this channel any more, which has been edited since; None: it is."""
        kinds = hearer.events if alert.check is None else self.listening.get((hearer.id, alert.check.uuid))
        if kinds is None:
            return "the channel is none of its check's any more"
        if alert.together is None and about.part is Part.BEGIN and alert.kind.value not in kinds:
            return f"the channel does not hear of {alert.kind.value} any more"
        left = routed(about, hearer.policy)
        return None if left is None else left.why

    def is_true(self, alert: Alert) -> bool:
        if alert.check is not None and alert.check.uuid not in self.checks:
            return False  # nobody is told of a check that is gone
        check = self.checks[alert.check.uuid] if alert.check is not None else None
        if part_of(alert.kind) is Part.BEGIN:
            if alert.incident is not None:
                incident = self.incidents.get(alert.incident)
                return incident is not None and incident.closed_at is None
            return check is None or (alert.to_status is not None and check.status == alert.to_status.value)
        if alert.kind is AlertKind.LATE:
            return check is not None and check.status in _WATCHED and check.expected_at == alert.at
        if alert.channel is not None:  # what it lost is news for ever
            return alert.channel.n_failed > 0 or alert.channel.uuid in self.failing
        return True

    def upstream(self, alert: Alert, now: datetime) -> Hold | None:
        check = self.checks.get(alert.check.uuid) if alert.check is not None else None
        if check is None or check.id not in self.needed or alert.kind is not AlertKind.DOWN:
            return None
        return waits_for(self.needed[check.id], timedelta(seconds=check.grace_s), at=now)

    def cause(self, alert: Alert) -> CauseFacts | None:
        is_of_member = alert.kind in {AlertKind.DOWN, AlertKind.UP} and alert.check is not None
        return self.causes.get(alert.incident) if is_of_member and alert.incident is not None else None

    def acknowledged_by(self, alert: Alert) -> str | None:
        found = self.incidents.get(alert.incident) if alert.incident is not None else None
        return None if found is None or found.acked_at is None else found.acked_by or "somebody"


def _world(tx: Tx, pids: Collection[int], told: Iterable[Alert], channel_ids: Collection[int]) -> _World:
    told = list(told)
    of_checks = {alert.check.uuid for alert in told if alert.check is not None}
    named = {alert.incident for alert in told if alert.incident is not None}
    c, i = checks.c, incidents.c
    query = sa.select(c.uuid, c.id, c.status, c.expected_at, c.grace_s, c.linked)
    query = query.where(c.pid.in_(pids), c.id.in_(_ids(checks, of_checks)))
    known = {row.uuid: row for row in tx.conn.execute(query)} if of_checks else {}
    needed = settled_needs(tx, pids, {row.id for row in known.values() if row.linked})
    of_incidents = sa.select(i.uuid, i.closed_at, i.acked_at, i.acked_by, i.part_of, i.source_id)
    of_incidents = of_incidents.where(i.pid.in_(pids), i.id.in_(_ids(incidents, named)))
    opened = {row.uuid: row for row in tx.conn.execute(of_incidents)} if named else {}
    causes = causes_of(tx, pids, [row for row in opened.values() if row.part_of is not None])
    known_tellings = tellings(tx, pids, {one.id for one in causes.values()}, channel_ids) if causes else Tellings()
    uuids = {row.id: row.uuid for row in known.values()}
    failing = failing_of(tx, pids, {alert.channel.uuid for alert in told if alert.channel is not None})
    return _World(known, opened, causes, needed, known_tellings, _listening(tx, pids, uuids), failing)


def _ids(table: sa.Table, uuids: Collection[str]) -> sa.Select[tuple[int]]:
    """Of what bears these. Asked together with the project, SQLite would read all that the project ever had."""
    its = table.alias()
    return sa.select(its.c.id).where(its.c.uuid.in_(uuids))


def _listening(tx: Tx, pids: Collection[int], uuids: Mapping[int, str]) -> dict[tuple[int, str], frozenset[str]]:
    """`uuids`: of checks by id."""
    its = check_channels.c
    query = (
        sa.select(its.check_id, its.channel_id, its.events, channels.c.events.label("own"))
        .join(channels, sa.and_(channels.c.pid == its.pid, channels.c.id == its.channel_id))
        .where(its.pid.in_(pids), its.check_id.in_(uuids))
    )
    return {
        (row.channel_id, uuids[row.check_id]): frozenset(row.own if row.events is None else row.events)
        for row in (tx.conn.execute(query) if uuids else ())
    }


# --- what becomes of it ------------------------------------------------------------------------------


@dataclass(slots=True)
class _Written:
    told: list[Any] = field(default_factory=list)
    left: list[tuple[Any, str]] = field(default_factory=list)
    waiting: list[tuple[Any, Hold]] = field(default_factory=list)
    begun: list[Begun] = field(default_factory=list)


def _release(tx: Tx, groups: Sequence[_Group], now: datetime) -> None:
    pids = {group.pid for group in groups}
    channel_ids = {group.channel_id for group in groups}
    world = _world(tx, pids, (alert for group in groups for alert in group.alerts), channel_ids)
    known = hearers(tx, pids, channel_ids)
    silent = living(tx, pids, now=now)
    written = _Written()
    for group in groups:
        hearer = known.get(group.channel_id)
        if hearer is None:
            written.left += [(row, "the channel is gone") for row in group.rows]
        else:
            _settle(tx, group, hearer, silent.get(group.pid, ()), world, written, now)
    world.tellings.keep(tx)
    _write(tx, written, now)


def _settle(  # noqa: PLR0917 - what a verdict depends on
    tx: Tx, group: _Group, hearer: Hearer, silent: Sequence[Silence], world: _World, written: _Written, now: datetime
) -> None:
    parts = [part_of(alert.kind) for alert in group.alerts]
    turns = [n for n, part in enumerate(parts) if part is not Part.FACT]
    # Of what is told as one the first member was told, by an alert of its own.
    told_before = bool(turns) and (
        group.alerts[turns[0]].together is not None
        or begin_was_told(tx, group.pid, group.channel_id, group.alerts[turns[0]].key)
    )
    verdicts = settled(
        [Waiting(part, world.is_true(alert)) for part, alert in zip(parts, group.alerts, strict=True)],
        begin_was_told=told_before,
    )
    wait_on = max((group.rows[n].held_until for n in turns[-1:]), default=now)
    settling = zip(group.rows, group.alerts, parts, verdicts, strict=True)
    for row, alert, part, verdict in islice(settling, len(group.rows) - group.last_waits):
        if part is Part.FACT and row.held_until > now:
            continue
        if part is not Part.FACT and wait_on > now:
            # A later change of the same source waits longer, and settles all.
            written.waiting.append((row, Hold(wait_on, row.why, row.held_by)))
            continue
        final = _unless_acknowledged(alert, hearer, world, verdict)
        _settle_one(row, alert, final, hearer, silent, world, written, now, since=_since(tx, row, alert, hearer))


def _since(tx: Tx, row: Any, alert: Alert, hearer: Hearer) -> datetime:
    """From when on its channel's turn counts. What a silence or another check has held begins to wait for it anew."""
    if alert.together is not None:
        return alert.at
    if hearer.policy.after is None or row.held_by is not None:
        return alert.decided_at
    offer = Offer(row.pid, row.source, alert, row.channel_id)
    return flapping_since(tx, offer, hearer.policy.after, alert.decided_at) or alert.decided_at


def _unless_acknowledged(alert: Alert, hearer: Hearer, world: _World, verdict: Verdict) -> Verdict:
    by = world.acknowledged_by(alert) if hearer.policy.after is not None else None
    if by is None or not verdict.is_told or part_of(alert.kind) is not Part.BEGIN:
        return verdict
    return Verdict(is_told=False, why=f"acknowledged by {by.removeprefix('user:')} before that")


def _settle_one(  # noqa: PLR0917 - the same
    row: Any,
    alert: Alert,
    verdict: Verdict,
    hearer: Hearer,
    silent: Sequence[Silence],
    world: _World,
    written: _Written,
    now: datetime,
    *,
    since: datetime,
) -> None:
    about = subject(alert, hearer.uuid)
    not_any_more = None if about.part is Part.END else world.not_heard(alert, about, hearer)
    if not verdict.is_told or not_any_more is not None:
        written.left.append((row, f"{row.why}; {not_any_more or verdict.why}"))
        return
    hold = held(about, silent, at=now, begin_was_told=about.part is Part.END)
    if about.part is Part.BEGIN:
        # What held it, a silence or a check that it needs, may have kept it from waiting for its channel to have its
        # turn; and the policy may have been changed since.
        turn = step(hearer.policy, since, at=now)
        holds = [one for one in (hold, world.upstream(alert, now), turn) if one is not None]
        hold = max(holds, key=lambda one: one.until, default=None)
    if hold is not None:
        written.waiting.append((row, hold))
        return
    if hearer.is_for_people and (cause := world.cause(alert)) is not None:
        with_others = world.tellings.offered(row.pid, hearer.id, cause, alert, now=now)
        if isinstance(with_others, Leave):
            written.left.append((row, f"{row.why}; {with_others.why}"))
            return
    written.told.append(row)
    every = hearer.policy.every
    if every is not None and about.part is Part.BEGIN and alert.incident is not None:
        written.begun.append(Begun(row.pid, alert.incident, row.channel_id, now + every))


def _write(tx: Tx, written: _Written, now: datetime) -> None:
    """In the order of channels and alerts, as they were locked."""
    for row, hold in written.waiting:
        _change(tx, row, held_until=hold.until, why=hold.why, held_by=hold.by)
        tx.changes.wake(hold.until)
    for row, why in written.left:
        _change(tx, row, state="untold", why=why, done_at=now, held_until=None)
    for row in written.told:
        # That some are told together is no reason that people should read.
        _change(tx, row, state="pending", held_until=None, why=None if row.why == WITH_OTHERS else row.why)
    if written.told:
        as_digests(tx, written.told, now)
        begin(tx, written.begun)
        tx.changes.outbox = True


def _change(tx: Tx, row: Any, **values: Any) -> None:
    n = notifications.c
    its = (n.pid == row.pid, n.alert_id == row.alert_id, n.channel_id == row.channel_id)
    tx.conn.execute(sa.update(notifications).where(*its).values(values))
