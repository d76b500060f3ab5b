"""What people do for peace: make a silence, change it, end the span in force, or all of it; each is one transaction's.

What a silence holds is decided in core/silence.py. Ending one early, or making it shorter, tells nobody at that
moment: what it held is looked at a little later, and what it left unjudged is judged from then on.
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa

from heartfly.audit.record import Action, Actor, differing, record
from heartfly.core import text
from heartfly.core.schedule import Cron, Kind, parse
from heartfly.core.silence import (
    LONGEST,
    LONGEST_ONCE,
    MOST_BEGINNINGS,
    RECURRING,
    SCOPES,
    Effect,
    Recurrence,
    Scope,
    SilenceKind,
)
from heartfly.core.words import Severity
from heartfly.core.zones import zone as find_zone
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import channels, checks, notifications, silences
from heartfly.db.tenant import demand_living
from heartfly.db.types import UtcInstant
from heartfly.errors import ConflictError, InvalidValueError
from heartfly.notify.peace import HELD
from heartfly.notify.silences import locked, silence_of

MOST = 200
"""Of a project that have not ended: each is looked at with each alert."""
MOST_UNJUDGED_A_DAY = 200
MOST_TARGETS = 1_000
LONGEST_NOTE = 200
SHORTEST = timedelta(minutes=1)
FARTHEST = timedelta(days=3_660)
"""So far ahead one may begin at most: there is a time behind all that is added to that."""
AFTER_MAINTENANCE = timedelta(minutes=5)
"""So long after somebody ends maintenance early, jobs have time to come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A silence as somebody wants it. Once: `from_at` (now, if None) and `to_at`; else `cron`, `zone` and `lasts`."""

    kind: str
    scope: str
    targets: Sequence[str] = ()
    effect: str = Effect.HOLD.value
    below: str | None = None
    note: str = ""
    from_at: datetime | None = None
    to_at: datetime | None = None
    cron: str | None = None
    zone: str = "UTC"
    lasts: timedelta | None = None


def make(tx: Tx, pid: int, asked: Asked, *, at: datetime, actor: Actor, ids: IdSource) -> Any:
    """Its row. A snooze takes the place of those that its checks have. InvalidValueError, ConflictError: see MOST."""
    demand_living(tx, pid)
    values = _checked(tx, pid, asked, at)
    if values["kind"] == SilenceKind.SNOOZE:
        end_snoozes(tx, pid, values["targets"], at=at, actor=actor, ids=ids)
    living = sa.or_(silences.c.to_at.is_(None), silences.c.to_at > sa.literal(at, UtcInstant))
    count = sa.select(sa.func.count()).select_from(silences).where(silences.c.pid == pid, living)
    if tx.conn.execute(count).scalar_one() >= MOST:
        raise ConflictError(f"the project has {MOST} silences, which is all that it may have; end one")
    if values["effect"] == Effect.IGNORE and values["cron"] is not None:
        _demand_few_beginnings(tx, pid, values, at, but=0)
    name = str(uuids.uuid4())
    fixed = {"pid": pid, "id": ids.next(at), "uuid": name, "made_by": actor.name, "created_at": at, "ended_by": None}
    tx.conn.execute(sa.insert(silences).values(values | fixed))
    row = locked(tx, pid, name)
    record(
        tx, pid, actor=actor, action=Action.SILENCE_CREATE, of=f"silence:{name}", before=None, after=told(row),
        at=at, ids=ids,
    )  # fmt: skip
    return row


def _demand_few_beginnings(tx: Tx, pid: int, values: Mapping[str, Any], at: datetime, *, but: int) -> None:
    """All that begins of what is not judged is looked through for a check that waited for a month. `but`: a silence
    that is not counted.
    """
    s = silences.c
    living = sa.or_(s.to_at.is_(None), s.to_at > sa.literal(at, UtcInstant))
    query = sa.select(s.cron, s.zone, s.lasts_s).where(
        s.pid == pid, s.id != but, s.effect == Effect.IGNORE.value, s.cron.is_not(None), living
    )
    given = (values["cron"], values["zone"], values["lasts_s"])
    left = 2 * MOST_UNJUDGED_A_DAY
    for cron, zone, lasts_s in [given, *tx.conn.execute(query)]:
        left -= Recurrence(cron, zone, timedelta(seconds=lasts_s)).beginnings(at, left + 1)
        if left < 0:
            raise ConflictError(
                f"what leaves checks of the project unjudged may begin {MOST_UNJUDGED_A_DAY} times a day, all together"
            )


def edit(tx: Tx, pid: int, uuid: str, asked: Asked, *, at: datetime, actor: Actor, ids: IdSource) -> Any:
    """Its row, which is as it is asked for from now on. What it was until now stays on record, as one that has ended.

    Its kind stays. ConflictError: it has ended, or is a snooze, which another takes the place of.
    """
    row = locked(tx, pid, uuid)
    _demand_living_one(row, at)
    if row.kind == SilenceKind.SNOOZE:
        raise ConflictError("a snooze is not edited: snooze the check anew, or end it")
    has_begun = row.from_at <= at
    if has_begun and asked.from_at is not None and asked.from_at <= at:
        asked = replace(asked, from_at=None)
    values = _checked(tx, pid, replace(asked, kind=row.kind), at)
    if values["effect"] == Effect.IGNORE and values["cron"] is not None:
        _demand_few_beginnings(tx, pid, values, at, but=row.id)
    before, after = differing(told(row), told(SimpleNamespace(**values)))
    if has_begun and values["from_at"] == at:
        before.pop("from", None)
        after.pop("from", None)
    if not after:
        return row
    if has_begun:
        part = row._asdict() | {"to_at": at, "id": ids.next(at), "uuid": str(uuids.uuid4()), "ended_by": actor.name}
        tx.conn.execute(sa.insert(silences).values(part))
    _change(tx, row, **values)
    _audit(tx, row, Action.SILENCE_EDIT, before, after, at=at, actor=actor, ids=ids)
    _wake(tx, row, at)
    return locked(tx, pid, uuid)


def asked_as(row: Any) -> Asked:
    """As it is, for who changes some of it."""
    return Asked(
        kind=row.kind, scope=row.scope, targets=list(row.targets), effect=row.effect, below=row.below, note=row.note,
        from_at=row.from_at, to_at=row.to_at, cron=row.cron, zone=row.zone or "UTC",
        lasts=None if row.lasts_s is None else timedelta(seconds=row.lasts_s),
    )  # fmt: skip


def _demand_living_one(row: Any, at: datetime) -> None:
    if row.to_at is not None and row.to_at <= at:
        raise ConflictError("it has ended")


def end_now(tx: Tx, pid: int, uuid: str, *, at: datetime, actor: Actor, ids: IdSource) -> Any:
    """End the span that is in force. What comes again and again goes on with the next one.

    ConflictError: it is not in force.
    """
    row = locked(tx, pid, uuid)
    span = silence_of(row).span_at(at)
    if span is None:
        raise ConflictError("it is not in force now; delete it, if it shall never be")
    if row.cron is None:
        return _end(tx, row, at=at, actor=actor, ids=ids)
    # The span that was stays on record: what it left unjudged is not judged afterwards.
    once = {"cron": None, "zone": None, "lasts_s": None, "from_at": span.from_at, "to_at": at}
    part = row._asdict() | once | {"id": ids.next(at), "uuid": str(uuids.uuid4()), "ended_by": actor.name}
    tx.conn.execute(sa.insert(silences).values(part))
    _change(tx, row, from_at=span.to_at)
    _audit(tx, row, Action.SILENCE_END, {"from": row.from_at}, {"from": span.to_at}, at=at, actor=actor, ids=ids)
    _wake(tx, row, at)
    return locked(tx, pid, uuid)


def delete(tx: Tx, pid: int, uuid: str, *, at: datetime, actor: Actor, ids: IdSource) -> None:
    """It is in force no more. Its row stays, so that everybody can see what it held. ConflictError: it has ended."""
    row = locked(tx, pid, uuid)
    _demand_living_one(row, at)
    _end(tx, row, at=at, actor=actor, ids=ids)


def _end(tx: Tx, row: Any, *, at: datetime, actor: Actor, ids: IdSource) -> Any:
    # One whose time is still to come never was in force.
    _change(tx, row, from_at=min(at, row.from_at), to_at=at, ended_by=actor.name)
    _audit(tx, row, Action.SILENCE_END, {"to": row.to_at}, {"to": at}, at=at, actor=actor, ids=ids)
    _wake(tx, row, at)
    return locked(tx, row.pid, row.uuid)


def end_snoozes(tx: Tx, pid: int, targets: Sequence[str], *, at: datetime, actor: Actor, ids: IdSource) -> None:
    """Of these checks, by public id. One of a check more than these goes on."""
    s = silences.c
    query = sa.select(silences).where(
        s.pid == pid, s.kind == SilenceKind.SNOOZE.value, s.to_at > sa.literal(at, UtcInstant)
    )
    for row in tx.conn.execute(query.order_by(s.id).with_for_update(key_share=True)).all():
        if {*row.targets} <= {*targets}:
            _end(tx, row, at=at, actor=actor, ids=ids)


# --- what follows from an early end ------------------------------------------------------------------


def _wake(tx: Tx, row: Any, at: datetime) -> None:
    """Let what it held be looked at, and what it left alone be judged."""
    until = at + AFTER_MAINTENANCE if row.kind == SilenceKind.MAINTENANCE else at
    n = notifications.c
    mine = (n.pid == row.pid, n.state == HELD, n.held_by == row.id, n.held_until > sa.literal(until, UtcInstant))
    if tx.conn.execute(sa.update(notifications).where(*mine).values(held_until=until)).rowcount:
        tx.changes.wake(until)
    if row.effect != Effect.IGNORE:
        return
    c = checks.c
    now = sa.literal(at, UtcInstant)
    left_alone = (c.pid == row.pid, c.goes_down_at <= now, c.wake_at > now)
    query = sa.select(c.id).where(*left_alone).order_by(c.id).with_for_update(key_share=True)
    found = tx.conn.execute(query).scalars().all()
    for start in range(0, len(found), _SLICE):
        some = (c.pid == row.pid, c.id.in_(found[start : start + _SLICE]))
        tx.conn.execute(sa.update(checks).where(*some).values(wake_at=at, rev=c.rev + 1))
    if found:
        tx.changes.wake(at)


_SLICE = 500


def _change(tx: Tx, row: Any, **values: Any) -> None:
    tx.conn.execute(sa.update(silences).where(silences.c.pid == row.pid, silences.c.id == row.id).values(values))


def _audit(
    tx: Tx,
    row: Any,
    action: Action,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    at: datetime,
    actor: Actor,
    ids: IdSource,
) -> None:
    of = f"silence:{row.uuid}"
    record(tx, row.pid, actor=actor, action=action, of=of, before=before, after=after, at=at, ids=ids)


def told(row: Any) -> dict[str, Any]:
    """As the audit and the API tell of it."""
    return {
        "kind": row.kind,
        "effect": row.effect,
        "scope": row.scope,
        "targets": row.targets,
        "below": row.below,
        "note": row.note,
        "from": row.from_at,
        "to": row.to_at,
        "cron": row.cron,
        "zone": row.zone,
        "lasts": row.lasts_s,
    }


# --- what is asked for -------------------------------------------------------------------------------


def _checked(tx: Tx, pid: int, asked: Asked, at: datetime) -> dict[str, Any]:
    kind = _word(SilenceKind, asked.kind, "kind")
    scope, effect = _word(Scope, asked.scope, "scope"), _word(Effect, asked.effect, "effect")
    if scope not in SCOPES[kind]:
        raise InvalidValueError("scope", f"of this kind must be one of {', '.join(SCOPES[kind])}")
    if effect is Effect.IGNORE and kind is not SilenceKind.MAINTENANCE:
        raise InvalidValueError("effect", "only maintenance leaves checks unjudged")
    if asked.below is not None and kind is not SilenceKind.QUIET:
        raise InvalidValueError("below", "only quiet hours let what is severe through")
    if asked.from_at is not None and asked.from_at > at + FARTHEST:
        raise InvalidValueError("from", "must be within ten years")
    when = _once(asked, kind, at) if asked.cron is None else _recurring(asked, kind, at)
    below = None if asked.below is None else _word(Severity, asked.below, "below").value
    if kind is SilenceKind.QUIET and below is None:
        below = Severity.CRITICAL.value
    return when | {
        "kind": kind.value,
        "effect": effect.value,
        "scope": scope.value,
        "targets": _targets(tx, pid, scope, asked.targets),
        "below": below,
        "note": text.one_line(asked.note, field="note", most=LONGEST_NOTE),
    }


def _word(kind: Any, given: str, field: str) -> Any:
    try:
        return kind(given)
    except ValueError:
        raise InvalidValueError(field, f"must be one of {', '.join(kind)}") from None


def _once(asked: Asked, kind: SilenceKind, at: datetime) -> dict[str, Any]:
    if kind is SilenceKind.QUIET:
        raise InvalidValueError("cron", "is needed: quiet hours come again and again")
    from_at, to_at = asked.from_at or at, asked.to_at
    if to_at is None and asked.lasts is not None:
        to_at = from_at + asked.lasts
    if to_at is None:
        raise InvalidValueError("to", "an end is needed")
    if to_at <= from_at:
        raise InvalidValueError("to", "must be after the beginning")
    if to_at < at + SHORTEST:
        raise InvalidValueError("to", "must be at least a minute from now")
    if to_at - max(from_at, at) > LONGEST_ONCE:
        raise InvalidValueError("to", f"must be at most {LONGEST_ONCE.days} days away")
    if from_at < at - timedelta(days=1):
        raise InvalidValueError("from", "must not be more than a day past")
    return {"from_at": from_at, "to_at": to_at, "cron": None, "zone": None, "lasts_s": None}


def _recurring(asked: Asked, kind: SilenceKind, at: datetime) -> dict[str, Any]:
    if kind not in RECURRING:
        raise InvalidValueError("cron", "of this kind there is only a single time")
    if asked.lasts is None:
        raise InvalidValueError("lasts", "how long it lasts each time is needed")
    if not SHORTEST <= asked.lasts <= LONGEST:
        raise InvalidValueError("lasts", f"must be a minute to {LONGEST.days} days")
    zone = find_zone(asked.zone, field="zone").key
    try:
        schedule = parse(Kind.CRON, expression=asked.cron, zone=zone, after=at)
    except InvalidValueError as error:
        raise InvalidValueError("cron", error.message) from error
    from_at = asked.from_at or at
    if asked.to_at is not None and asked.to_at <= max(from_at, at):
        raise InvalidValueError("to", "must be after the beginning")
    assert isinstance(schedule, Cron)
    recurs = Recurrence(schedule.expression, zone, asked.lasts, by_wall=kind is SilenceKind.QUIET)
    if recurs.begins_too_often(at):
        raise InvalidValueError("cron", f"begins more than {MOST_BEGINNINGS} times a day, or while it lasts once")
    return {
        "from_at": from_at,
        "to_at": asked.to_at,
        "cron": schedule.expression,
        "zone": zone,
        "lasts_s": int(asked.lasts.total_seconds()),
    }


def _targets(tx: Tx, pid: int, scope: Scope, given: Sequence[str]) -> list[str]:
    if scope is Scope.PROJECT:
        if given:
            raise InvalidValueError("targets", "the whole project has none")
        return []
    if not given:
        raise InvalidValueError("targets", f"name a {scope.value} at least")
    if len(given) > MOST_TARGETS:
        raise InvalidValueError("targets", f"must be at most {MOST_TARGETS}")
    if scope is Scope.TAG:
        return [text.name(tag, field=f"targets[{n}]", most=100) for n, tag in enumerate(dict.fromkeys(given))]
    table = checks if scope is Scope.CHECK else channels
    wanted = [one.lower() for one in given]
    plain = [one for one in wanted if "\x00" not in one]
    query = sa.select(table.c.uuid).where(table.c.pid == pid, table.c.uuid.in_(plain))
    known = {*tx.conn.execute(query).scalars()}
    for n, one in enumerate(wanted):
        if one not in known:
            raise InvalidValueError(f"targets[{n}]", f"there is no such {scope.value}")
    return list(dict.fromkeys(wanted))
