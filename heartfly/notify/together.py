"""A cause told as one: what each people's channel knows of it, and the messages that name all members.

Which alert goes out by itself and which with the others is decided in core/causes.py (`on_channel`). Machines hear of
each. What is told as one is an alert of its own for each channel, so that it is held, repeated and recorded as any.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.core.alerts import Alert, CauseFacts, MemberFacts, TogetherFacts, cause_key, cause_words, flip_key
from heartfly.core.causes import BACK, AsOne, Explains, Telling, on_channel
from heartfly.core.escalation import Leave, Tell, part_of, severity_of
from heartfly.core.silence import rank
from heartfly.core.spans import span
from heartfly.core.values import replace
from heartfly.core.words import AlertKind, Status
from heartfly.db.changes import Tx
from heartfly.db.models import (
    alerts,
    cause_tellings,
    channels,
    check_channels,
    checks,
    flips,
    incidents,
    notifications,
    projects,
    reminders,
)
from heartfly.db.prepared import Prepared, among
from heartfly.db.types import UtcInstant
from heartfly.notify.channels import CHANNELS

MOST = 100
"""That are told in one transaction."""
MOST_NAMED = 100
_TOLD: tuple[sa.ColumnElement[str], ...] = tuple(
    sa.literal_column(f"'{state}'") for state in ("pending", "merged", "sent", "failed")
)
_DOWN: sa.ColumnElement[str] = sa.literal_column(f"'{AlertKind.DOWN.value}'")


def is_for_people(kind: str) -> bool:
    channel = CHANNELS.get(kind)
    return channel is not None and channel.folds_storms


# --- one alert of a member ---------------------------------------------------------------------------


@dataclass(slots=True)
class Tellings:
    """What channels know of these causes; what changes is written by `keep`."""

    known: dict[tuple[int, int], Telling] = field(default_factory=dict)
    changed: dict[tuple[int, int], tuple[int, Telling]] = field(default_factory=dict)

    def offered(self, pid: int, channel_id: int, cause: CauseFacts, alert: Alert, *, now: datetime) -> Tell | Leave:
        """What becomes of it, as nothing else keeps it from being told."""
        its = (cause.id, channel_id)
        verdict = on_channel(
            part_of(alert.kind),
            cause.words,
            self.known.get(its),
            is_root=cause.is_root,
            at=now,
            waited_since=alert.decided_at if cause.what == Explains.UPSTREAM else None,
        )
        if verdict.telling is not None and verdict.telling != self.known.get(its):
            self.known[its] = verdict.telling
            self.changed[its] = (pid, verdict.telling)
        return Leave(verdict.why) if isinstance(verdict, AsOne) else Tell()

    def keep(self, tx: Tx) -> None:
        _write(tx, [(pid, *its, telling) for its, (pid, telling) in sorted(self.changed.items())])
        self.changed.clear()


def tellings(tx: Tx, pids: Collection[int], cause_ids: Collection[int], channel_ids: Collection[int]) -> Tellings:
    t = cause_tellings.c
    query = sa.select(cause_tellings).where(
        t.pid.in_(pids), t.incident_id.in_(cause_ids), t.channel_id.in_(channel_ids)
    )
    return Tellings({(row.incident_id, row.channel_id): _telling(row) for row in tx.conn.execute(query)})


def _telling(row: Any) -> Telling:
    return Telling(**{one.name: getattr(row, one.name) for one in fields(Telling)})


def _write(tx: Tx, tellings: Sequence[tuple[int, int, int, Telling]]) -> None:
    """Each with its project, cause and channel, in this order."""
    rows = [
        {"pid": pid, "incident_id": cause_id, "channel_id": channel_id} | asdict(telling)
        for pid, cause_id, channel_id, telling in tellings
    ]
    _PUT.run(tx, rows)
    for _, _, _, telling in tellings:
        tx.changes.wake(telling.due_at)


def _put(tx: Tx) -> Any:
    insert = tx.insert(cause_tellings)
    changed = {one.name: insert.excluded[one.name] for one in fields(Telling)}
    return insert.on_conflict_do_update(index_elements=["pid", "incident_id", "channel_id"], set_=changed)


_PUT = Prepared(_put, apart=True)


def told_before(tx: Tx, pid: int, cause_id: int, members: Collection[int], *, now: datetime) -> None:
    """A cause begins with members that are down for a while: channels that were told of one know of it.

    `members`: incidents, without that of the check that the others need. Of a cause that was there before a channel
    may know more: what it is to be told of that stays.
    """
    of_flips = _OF_FLIPS.rows(tx, pids=[pid], members=list(members))
    keys = [flip_key(row.check_id, row.flip_no) for row in of_flips]
    told = _WERE_TOLD.rows(tx, pids=[pid], keys=keys) if keys else ()
    of_people = [row.channel_id for row in told if is_for_people(row.kind)]
    rows = [{"pid": pid, "incident_id": cause_id, "channel_id": one, "since": now, "n_left": 0} for one in of_people]
    if rows:
        tx.conn.execute(tx.insert(cause_tellings).on_conflict_do_nothing(), rows)


def _of_flips(tx: Tx) -> sa.Select[Any]:
    """Their numbers alone are in an index; asked for more SQLite would read all flips of the project."""
    f = flips.c
    mine = (among(tx, f.pid, "pids"), among(tx, f.incident_id, "members"), f.incident_id.is_not(None))
    return sa.select(f.check_id, f.flip_no).where(*mine)


def _were_told(tx: Tx) -> sa.Select[Any]:
    a, n, c = alerts.c, notifications.c, channels.c
    return (
        sa.select(n.channel_id, c.kind)
        .distinct()
        .select_from(alerts)
        .join(notifications, sa.and_(n.pid == a.pid, n.alert_id == a.id))
        .join(channels, sa.and_(c.pid == n.pid, c.id == n.channel_id))
        .where(among(tx, a.pid, "pids"), among(tx, a.key, "keys"), a.kind == _DOWN, n.state.in_(_TOLD))
    )


_OF_FLIPS, _WERE_TOLD = Prepared(_of_flips), Prepared(_were_told)


def causes_of(tx: Tx, pids: Collection[int], members: Collection[Any]) -> Mapping[str, CauseFacts]:
    """The cause of each of these incidents, by public id. Nobody joins or ends it meanwhile.

    `members`: their `uuid`, `source_id` and `part_of`.
    """
    if not members:
        return {}
    i = incidents.c
    query = sa.select(i.id, i.uuid, i.source_kind, i.source_id, i.source_name).where(
        i.pid.in_(pids), i.id.in_({member.part_of for member in members})
    )
    rows = tx.conn.execute(query.order_by(i.id).with_for_update(key_share=True))
    causes = {row.id: row for row in rows}
    return {
        member.uuid: CauseFacts(
            id=cause.id, uuid=cause.uuid, what=cause.source_kind, name=cause.source_name,
            is_root=cause.source_kind == Explains.UPSTREAM and cause.source_id == member.source_id,
        )
        for member in members
        if (cause := causes.get(member.part_of)) is not None
    }  # fmt: skip


_OF_CHECK = sa.and_(checks.c.pid == incidents.c.pid, checks.c.id == incidents.c.source_id)
_IS_DOWN = sa.or_(incidents.c.closed_at.is_(None), sa.func.coalesce(checks.c.status, "") == Status.DOWN.value)
"""Of a member: that it is, or that it is down again, by itself: people must not read that it is up."""


# --- what is told as one -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Due:
    """What a channel shall hear of a cause. `is_end`: that it is over; `is_back`: who is up again while others are not.

    `n_before`: so many messages have told of it as a whole.
    """

    pid: int
    cause: int
    channel_id: int
    is_end: bool = False
    is_back: bool = False
    n_before: int = 0


NEXT_TOGETHER = sa.select(sa.func.min(cause_tellings.c.due_at))


def _first_due() -> sa.Select[Any]:
    t = cause_tellings.c
    return (
        sa.select(cause_tellings)
        .join(incidents, sa.and_(incidents.c.pid == t.pid, incidents.c.id == t.incident_id))
        .where(t.due_at <= sa.bindparam("now", type_=UtcInstant))
        .order_by(t.due_at, t.incident_id, t.channel_id)
        .limit(sa.bindparam("most", type_=sa.Integer))
    )


FIRST_DUE = Prepared(lambda _: _first_due())


def take_due(tx: Tx, *, now: datetime, most: int = MOST) -> tuple[list[Due], bool]:
    """Those whose turn it is, and whether there may be more.

    Of a cause that is over by now its end tells, in the transaction that ended it.
    """
    most = min(most, MOST)
    rows = FIRST_DUE.rows(tx, now=now, most=most)
    if tx.on_postgres and rows:
        # Whoever joins or ends the cause holds it, in the order of their ids: what he changes of this is seen.
        i, ids = incidents.c, {row.incident_id for row in rows}
        causes = sa.select(i.id).where(i.pid.in_({row.pid for row in rows}), i.id.in_(ids)).order_by(i.id)
        tx.conn.execute(causes.with_for_update(key_share=True)).all()
        held = _first_due().where(cause_tellings.c.incident_id.in_(ids))
        rows = [*tx.conn.execute(held.with_for_update(key_share=True), {"now": now, "most": most})]
    found: list[Due] = []
    for row in rows:
        known, some_are_up = _telling(row), _some_are_up(tx, row.pid, row.incident_id)
        its = Due(row.pid, row.incident_id, row.channel_id, is_back=known.tells_who_is_back, n_before=known.n_told)
        if its.is_back and not some_are_up:  # they are down again, as people believe all along
            _write(tx, [(its.pid, its.cause, its.channel_id, known.not_due())])
            continue
        _write(tx, [(its.pid, its.cause, its.channel_id, known.told(now, some_are_up=some_are_up))])
        if not its.is_back:
            _remind_of_the_whole(tx, its)
        found.append(its)
    return found, len(rows) >= most


def _some_are_up(tx: Tx, pid: int, cause_id: int) -> bool:
    i = incidents.c
    query = sa.select(i.id).outerjoin(checks, _OF_CHECK).where(i.pid == pid, i.id.in_(_members(pid, cause_id)))
    return tx.conn.execute(query.where(sa.not_(_IS_DOWN)).limit(1)).first() is not None


def _remind_of_the_whole(tx: Tx, its: Due) -> None:
    """From now on, and no more of its members."""
    r = reminders.c
    mine = (r.pid == its.pid, r.channel_id == its.channel_id, r.incident_id.in_(_members(its.pid, its.cause)))
    tx.conn.execute(sa.update(reminders).where(*mine).values(next_at=None))


def _members(pid: int, cause_id: int) -> sa.Select[tuple[int]]:
    """By themselves: of more columns SQLite would read all incidents of the project."""
    return sa.select(_MEMBER.c.id).where(_MEMBER.c.pid == pid, _MEMBER.c.part_of == cause_id)


_MEMBER = incidents.alias()


def take_ended(tx: Tx, pid: int, cause_id: int) -> list[Due]:
    """Who hears that a cause is over: all that were not told of each of its members, and hear of ends at all."""
    t = cause_tellings.c
    mine = (t.pid == pid, t.incident_id == cause_id)
    left = sa.select(t.channel_id, channels.c.events).join(
        channels, sa.and_(channels.c.pid == t.pid, channels.c.id == t.channel_id)
    )
    own = {row.channel_id: row.events for row in tx.conn.execute(left.where(*mine, t.n_left > 0))}
    tx.conn.execute(sa.update(cause_tellings).where(*mine).values(due_at=None))
    hears: dict[int, set[str]] = {}
    its = check_channels.c
    of_members = sa.select(incidents.c.source_id).where(
        incidents.c.pid == pid, incidents.c.id.in_(_members(pid, cause_id))
    )
    if own:
        query = sa.select(its.channel_id, its.events).where(its.pid == pid, its.check_id.in_(of_members))
        for row in tx.conn.execute(query.where(its.channel_id.in_(own))):
            kinds = own[row.channel_id] if row.events is None else row.events
            hears.setdefault(row.channel_id, set()).update(kinds)
    # Who listens to none of them any more hears of their end as parting.py has it.
    return [
        Due(pid, cause_id, channel_id, is_end=True)
        for channel_id, events in sorted(own.items())
        if AlertKind.UP.value in hears.get(channel_id, events)
    ]


def as_one(tx: Tx, due: Sequence[Due], *, now: datetime) -> list[tuple[Due, Alert]]:
    """The alert of each."""
    found: list[tuple[Due, Alert]] = []
    facts: dict[tuple[int, bool], tuple[Any, TogetherFacts]] = {}
    for one in due:
        what = (one.cause, one.is_back)
        if what not in facts:
            facts[what] = _together(tx, one.pid, one.cause, up_first=one.is_back)
        found.append((one, _alert(one, *facts[what], now=now)))
    return found


def _together(tx: Tx, pid: int, cause_id: int, *, up_first: bool) -> tuple[Any, TogetherFacts]:
    i, p = incidents.c, projects.c
    query = sa.select(incidents, p.slug.label("project_slug"), p.name.label("project_name")).join(
        projects, p.id == i.pid
    )
    cause = tx.conn.execute(query.where(i.pid == pid, i.id == cause_id)).one()
    down_at = sa.case((i.closed_at.is_(None), i.opened_at), else_=checks.c.status_since)
    rows = tx.conn.execute(
        sa.select(
            i.id,
            i.source_id,
            i.source_uuid,
            i.source_name,
            i.opened_at,
            i.closed_at,
            checks.c.tags,
            sa.case((_IS_DOWN, down_at)).label("down_at"),
        )
        .outerjoin(checks, _OF_CHECK)
        .where(i.pid == pid, i.id.in_(_members(pid, cause_id)))
    ).all()
    rows = sorted(rows, key=lambda row: (row.opened_at, row.id))  # in order SQLite would read all of the project
    newest = {row.source_id: row for row in rows}  # a check that was down twice meanwhile is one member
    severities = [severity_of(AlertKind.DOWN, tags=row.tags or ()) for row in newest.values()]

    def place(row: Any) -> tuple[bool, datetime, int]:
        return (row.down_at is not None) is up_first, row.opened_at, row.source_id

    members = sorted(newest.values(), key=place)
    return cause, TogetherFacts(
        what=cause.source_kind,
        name=cause.source_name,
        n=len(members),
        n_down=sum(row.down_at is not None for row in members),
        severity=max(severities, key=rank),
        members=tuple(
            MemberFacts(
                check_uuid=row.source_uuid,
                check_name=row.source_name,
                down_at=row.down_at or row.opened_at,
                up_at=row.closed_at if row.down_at is None else None,
            )
            for row in members[:MOST_NAMED]
        ),
    )


def _alert(one: Due, cause: Any, facts: TogetherFacts, *, now: datetime) -> Alert:
    key = cause_key(one.cause, one.channel_id)
    common = Alert(
        key=cause_key(one.cause, one.channel_id, one.n_before),
        kind=AlertKind.DOWN,
        project_slug=cause.project_slug,
        project_name=cause.project_name,
        at=cause.opened_at,
        decided_at=now,
        incident=cause.uuid,
        explain=cause.explain,
        together=facts,
    )
    if one.is_back:
        explain = f"While others are down it is told at most every {span(BACK)} who is up again."
        return replace(common, kind=AlertKind.UP, at=now, explain=explain)
    if not one.is_end:
        return common
    return replace(
        common,
        key=f"{key}:end",
        kind=AlertKind.UP,
        at=cause.closed_at or now,
        down_since=cause.opened_at,
        explain=f"No check of {cause_words(facts.what, facts.name)} is down any more.",
    )


def source_of(cause_id: int) -> str:
    return f"cause:{cause_id}"
