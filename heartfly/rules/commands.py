"""What people do with alert rules and their alerts: make, edit, delete and archive a rule; resolve an alert.

Each function is one transaction's work. When a rule fires is decided by looks (look.py); an alert is acknowledged as
the incident that it is (incidents/commands.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from heartfly.audit.record import Action, Actor, differing, record
from heartfly.core import text
from heartfly.core.alert_rules import Family, Rule
from heartfly.core.alerts import ConcernFacts
from heartfly.core.rule_definitions import definition_of
from heartfly.core.rule_states import resolved_by_hand
from heartfly.core.words import IncidentEnd, Severity
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import alert_rules, budgets, channels, incidents, projects, rule_alerts, rule_standings
from heartfly.db.tenant import demand_living
from heartfly.errors import ChangedMeanwhileError, ConflictError, InvalidValueError, NotFoundError
from heartfly.incidents.queries import uuid_of
from heartfly.incidents.raised import OF_RULE, Ended, end_alerts
from heartfly.rules.rows import placed, put_standings, scope_of, select_standings, standing_row
from heartfly.rules.sources import SOURCES

MOST = 2_000
"""Of a project: all of them are looked at each minute."""
OWN, METRONOME = "own", "metronome"
_MOST_NAME, _LONGEST_NOTE = 100, 10_000


class KeyTakenError(ConflictError):
    """Another rule has that uniqueness key."""

    field = "uniqueness_key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`channel_uuids` None: all of the project, also those that come."""

    name: str
    rule: Rule
    severity: Severity = Severity.MEDIUM
    enabled: bool = True
    channel_uuids: Sequence[str] | None = None
    origin: str = OWN
    uniqueness_key: str | None = None
    foreign: Mapping[str, Any] | None = None


def create(tx: Tx, pid: int, wanted: Wanted, *, at: datetime, actor: Actor, ids: IdSource) -> Row[Any]:
    """InvalidValueError. ConflictError: see MOST. KeyTakenError."""
    _demand_known(tx, pid, wanted.rule)
    # Whoever makes one holds the project's row, so that two cannot be the last one both.
    tx.conn.execute(sa.select(projects.c.id).where(projects.c.id == pid).with_for_update())
    demand_living(tx, pid)
    r = alert_rules.c
    n = tx.conn.execute(sa.select(sa.func.count()).where(r.pid == pid, r.archived_at.is_(None))).scalar_one()
    if n >= MOST:
        raise ConflictError(
            f"{MOST} alert rules are all that a project may have; delete one, or group by what they tell apart"
        )
    if wanted.uniqueness_key is not None:
        taken = sa.select(r.id).where(r.pid == pid, r.uniqueness_key == wanted.uniqueness_key)
        if tx.conn.execute(taken).first() is not None:
            raise KeyTakenError("another alert has that uniqueness key")
    public = str(uuid.uuid4())
    values = {
        "pid": pid,
        "id": ids.next(at),
        "uuid": public,
        "name": text.name(wanted.name, field="name", most=_MOST_NAME),
        "definition": definition_of(wanted.rule),
        "severity": wanted.severity.value,
        "enabled": wanted.enabled,
        "channels": _channel_ids(tx, pid, wanted.channel_uuids),
        "origin": wanted.origin,
        "uniqueness_key": wanted.uniqueness_key,
        "foreign_facts": None if wanted.foreign is None else dict(wanted.foreign),
        "archived_at": None,
        "created_at": at,
        "edited_at": at,
        "looked_at": None,
        "trouble": "",
        "rev": 1,
    }
    tx.conn.execute(sa.insert(alert_rules).values(values))
    tx.changes.jobs = True
    row = locked(tx, pid, public)
    _note(tx, Action.ALERT_RULE_CREATE, row, None, told(row), at=at, actor=actor, ids=ids)
    return row


def edit(
    tx: Tx,
    pid: int,
    public: str,
    *,
    name: str | None = None,
    rule: Rule | None = None,
    severity: Severity | None = None,
    enabled: bool | None = None,
    channel_uuids: Sequence[str] | None = None,
    all_channels: bool = False,
    rev: int | None = None,
    at: datetime,
    actor: Actor,
    ids: IdSource,
) -> Row[Any]:
    """What is None stays. What fires ends if the rule looks at something else now, or at nothing any more.

    InvalidValueError, NotFoundError; ChangedMeanwhileError: it is not of the revision `rev` any more.
    """
    before = locked(tx, pid, public)
    if rev is not None and before.rev != rev:
        raise ChangedMeanwhileError("the alert rule has changed since you read it")
    values: dict[str, Any] = {}
    if name is not None:
        values["name"] = text.name(name, field="name", most=_MOST_NAME)
    if rule is not None:
        _demand_known(tx, pid, rule)
        values["definition"] = definition_of(rule)
    if severity is not None:
        values["severity"] = severity.value
    if enabled is not None:
        values["enabled"] = enabled
    if channel_uuids is not None or all_channels:
        values["channels"] = None if all_channels else _channel_ids(tx, pid, channel_uuids)
    was, is_now = differing(told(before), {**told(before), **values})
    if not is_now:
        return before
    anew = "definition" in is_now or is_now.get("enabled") is False
    if anew:
        why = "Somebody changed the rule." if "definition" in is_now else "Somebody switched the rule off."
        _end_all(tx, before, by=IncidentEnd.BY_HAND, explain=why, is_told=True, at=at, ids=ids)
    more = {"edited_at": at, "rev": before.rev + 1, "trouble": ""}
    tx.conn.execute(sa.update(alert_rules).where(*_is(before)).values(values | more))
    after = locked(tx, pid, public)
    _note(tx, Action.ALERT_RULE_EDIT, after, was, is_now, at=at, actor=actor, ids=ids)
    return after


def delete(tx: Tx, pid: int, public: str, *, at: datetime, actor: Actor, ids: IdSource, rev: int | None = None) -> None:
    """Its alerts stay, as history; those that are open end without a word. NotFoundError."""
    row = locked(tx, pid, public)
    if rev is not None and row.rev != rev:
        raise ChangedMeanwhileError("the alert rule has changed since you read it")
    _end_all(tx, row, by=IncidentEnd.DELETED, explain="", is_told=False, at=at, ids=ids)
    tx.conn.execute(sa.delete(alert_rules).where(*_is(row)))
    _note(tx, Action.ALERT_RULE_DELETE, row, told(row), None, at=at, actor=actor, ids=ids)


def archive(tx: Tx, pid: int, public: str, *, frees_key: bool, at: datetime, actor: Actor, ids: IdSource) -> Row[Any]:
    """It is looked at no more, and can still be read. NotFoundError."""
    row = locked(tx, pid, public)
    _end_all(tx, row, by=IncidentEnd.DELETED, explain="", is_told=False, at=at, ids=ids)
    values: dict[str, Any] = {"archived_at": row.archived_at or at, "edited_at": at, "rev": row.rev + 1}
    if frees_key:
        values["uniqueness_key"] = None
    tx.conn.execute(sa.update(alert_rules).where(*_is(row)).values(values))
    after = locked(tx, pid, public)
    was = {"archived": row.archived_at is not None}
    _note(tx, Action.ALERT_RULE_EDIT, after, was, {"archived": True}, at=at, actor=actor, ids=ids)
    return after


def reset(
    tx: Tx, pid: int, public: str, scopes: Sequence[str] | None, *, at: datetime, actor: Actor, ids: IdSource
) -> None:
    """Look anew in these scopes (None: in all), as if nothing had been seen so far. NotFoundError."""
    row = locked(tx, pid, public)
    _end_all(
        tx, row, by=IncidentEnd.BY_HAND, explain="Somebody reset it.", is_told=False, at=at, ids=ids, scopes=scopes
    )
    # What is not looked at yet says nothing of how it stands.
    tx.conn.execute(sa.update(alert_rules).where(*_is(row)).values(looked_at=None))
    tx.changes.jobs = True
    _note(
        tx,
        Action.ALERT_RULE_EDIT,
        row,
        {},
        {"reset": "all" if scopes is None else list(scopes)},
        at=at,
        actor=actor,
        ids=ids,
    )


def resolve(tx: Tx, pid: int, alert: str, note: str, *, at: datetime, actor: Actor, ids: IdSource) -> None:
    """A person ends an alert. What was seen when it fired stays as it was; the note stands beside it.

    NotFoundError; ConflictError: it has ended already.
    """
    note = text.many_lines(note.strip(), field="note", most=_LONGEST_NOTE)
    # As a look does it, the rule before what stands of it: else each could hold what the other waits for.
    its = _alert(tx, pid, alert)
    known = sa.select(alert_rules).where(alert_rules.c.pid == pid, alert_rules.c.id == its.rule_id)
    rule = tx.conn.execute(known.with_for_update(key_share=True)).first()
    mine = (incidents.c.pid == pid, incidents.c.id == its.incident_id)
    incident = tx.conn.execute(sa.select(incidents).where(*mine).with_for_update(key_share=True)).one()
    if incident.closed_at is not None:
        raise ConflictError("the alert has ended already")
    row = tx.conn.execute(select_standings(pid).where(rule_standings.c.id == incident.source_id)).first()
    concern = ConcernFacts(
        source=OF_RULE,
        uuid=its.rule_uuid,
        name=its.rule_name if rule is None else rule.name,
        severity=Severity(its.severity),
        scope=its.scope_words,
    )
    by = actor.name.removeprefix("user:")
    ended = Ended(
        pid=pid,
        source_id=incident.source_id,
        concern=concern,
        at=at,
        explain=f"{by} resolved it: {note}" if note else f"{by} resolved it.",
        by=IncidentEnd.BY_HAND,
        channel_ids=None if rule is None else rule.channels,
    )
    end_alerts(tx, [ended], ids=ids, now=at)
    of_it = (rule_alerts.c.pid == pid, rule_alerts.c.incident_id == incident.id)
    tx.conn.execute(sa.update(rule_alerts).where(*of_it).values(note=note or None, resolved_by=actor.name))
    if row is not None:
        now_is = resolved_by_hand(placed(row).standing, at=at)
        changed = standing_row(pid, row.rule_id, scope_of(row.scope), row.id, now_is, figure=row.figure)
        put_standings(tx, [changed])
    record(
        tx, pid, actor=actor, action=Action.ALERT_RESOLVE, of=f"incident:{incident.uuid}",
        before={"resolved_by": None}, after={"resolved_by": actor.name, "note": note}, at=at, ids=ids,
    )  # fmt: skip


def _alert(tx: Tx, pid: int, alert: str) -> Row[Any]:
    """Its row of `rule_alerts`. NotFoundError."""
    try:
        known = uuid_of(alert)
    except NotFoundError:
        raise NotFoundError("there is no such alert") from None
    i, a = incidents.c, rule_alerts.c
    query = (
        sa.select(rule_alerts)
        .join(incidents, sa.and_(i.pid == a.pid, i.id == a.incident_id))
        .where(i.pid == pid, i.uuid == known, i.source_kind == OF_RULE)
    )
    its = tx.conn.execute(query).first()
    if its is None:
        raise NotFoundError("there is no such alert")
    return its


def _end_all(
    tx: Tx,
    row: Row[Any],
    *,
    by: IncidentEnd,
    explain: str,
    is_told: bool,
    at: datetime,
    ids: IdSource,
    scopes: Sequence[str] | None = None,
) -> None:
    """Whatever it stands at is forgotten, and what is open ends."""
    s = rule_standings.c
    its = [s.pid == row.pid, s.rule_id == row.id]
    if scopes is not None:
        its.append(s.scope.in_(scopes))
    found = tx.conn.execute(select_standings(row.pid).where(*its)).all()
    words = _scope_words(tx, row, [one.incident for one in found if one.incident is not None])
    ended = [
        Ended(
            pid=row.pid,
            source_id=one.id,
            concern=ConcernFacts(
                source=OF_RULE,
                uuid=row.uuid,
                name=row.name,
                severity=Severity(row.severity),
                scope=words.get(one.incident, ""),
            ),
            at=at,
            explain=explain,
            by=by,
            channel_ids=row.channels,
            is_told=is_told,
        )
        for one in found
        if one.incident is not None
    ]
    end_alerts(tx, ended, ids=ids, now=at)
    tx.conn.execute(sa.delete(rule_standings).where(*its))


def _scope_words(tx: Tx, row: Row[Any], uuids: Sequence[str]) -> Mapping[str, str]:
    query = (
        sa.select(incidents.c.uuid, rule_alerts.c.scope_words)
        .join(rule_alerts, sa.and_(rule_alerts.c.pid == incidents.c.pid, rule_alerts.c.incident_id == incidents.c.id))
        .where(incidents.c.pid == row.pid, incidents.c.uuid.in_(uuids))
    )
    return {one.uuid: one.scope_words for one in tx.conn.execute(query)} if uuids else {}


def _demand_known(tx: Tx, pid: int, rule: Rule) -> None:
    """That there are figures of what it looks at. A meter is in another part, and a look tells that it is gone."""
    for place, one in enumerate(rule.conditions):
        if one.of not in SOURCES:
            raise InvalidValueError(f"conditions[{place}].of", f"this Heartfly has no numbers of {one.of.value}")
        if one.of is Family.BUDGETS and one.name:
            b = budgets.c
            query = sa.select(b.id).where(b.pid == pid, sa.or_(b.name == one.name, b.uuid == one.name))
            if tx.conn.execute(query).first() is None:
                raise InvalidValueError(f"conditions[{place}].name", f"there is no budget {one.name!r}")


def locked(tx: Tx, pid: int, public: str) -> Row[Any]:
    """NotFoundError."""
    try:
        known = uuid_of(public)
    except NotFoundError:
        raise NotFoundError("there is no such alert rule") from None
    query = sa.select(alert_rules).where(alert_rules.c.pid == pid, alert_rules.c.uuid == known)
    row = tx.conn.execute(query.with_for_update(key_share=True) if tx.on_postgres else query).first()
    if row is None:
        raise NotFoundError("there is no such alert rule")
    return row


def _channel_ids(tx: Tx, pid: int, uuids: Sequence[str] | None) -> list[int] | None:
    if uuids is None:
        return None
    plain = [one.lower() for one in uuids]
    query = sa.select(channels.c.id, channels.c.uuid).where(channels.c.pid == pid)
    known = {row.uuid: row.id for row in tx.conn.execute(query)}
    for place, one in enumerate(plain):
        if one not in known:
            raise InvalidValueError(f"channels[{place}]", "there is no such channel")
    return sorted({known[one] for one in plain})


def _is(row: Row[Any]) -> tuple[sa.ColumnElement[bool], ...]:
    return alert_rules.c.pid == row.pid, alert_rules.c.id == row.id


def told(row: Row[Any]) -> dict[str, Any]:
    return {
        "name": row.name,
        "definition": row.definition,
        "severity": row.severity,
        "enabled": row.enabled,
        "channels": row.channels,
    }


def _note(
    tx: Tx,
    action: Action,
    row: Row[Any],
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    *,
    at: datetime,
    actor: Actor,
    ids: IdSource,
) -> None:
    record(
        tx, row.pid, actor=actor, action=action, of=f"alert_rule:{row.uuid}",
        before=before, after=after, at=at, ids=ids,
    )  # fmt: skip
