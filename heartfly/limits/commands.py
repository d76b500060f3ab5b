"""What is done to limits: made, edited, deleted, by people and by what makes limits of its own, such as budgets.

Each command is one transaction's work. What was used stays when a limit is edited: whom it is for, its unit and its
window do not change, for what was used of one window says nothing of another. What makes a limit is decided in
core/limits/.
"""

from __future__ import annotations

import uuid as uuids
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.audit.record import Action, Actor, Facts, differing
from heartfly.core import text
from heartfly.core.amounts import Amount, text_of
from heartfly.core.limits.ledger import Ledger
from heartfly.core.limits.rules import Kind, Limit, usable
from heartfly.core.limits.scope import written
from heartfly.core.zones import zone
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import limit_books, limit_counters, limit_denials, limit_hours, limits
from heartfly.db.types import micros
from heartfly.errors import ChangedMeanwhileError, ConflictError, InvalidValueError, NotFoundError
from heartfly.limits import rows
from heartfly.limits.book import Rules, limit_of
from heartfly.usage.audit import note

MOST_LIMITS = 500
"""Of one project: each check looks which of them hold."""
MOST_NAME = 100
PEOPLE = ""
"""The source of what people make."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A limit as it shall be; its `id` is not looked at. `source`: what makes it, such as `budget:<id>`."""

    name: str
    limit: Limit
    active: bool = True
    source: str = PEOPLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What is None stays. `period_us`: of a rate."""

    name: str | None = None
    amount: Amount | None = None
    burst: Amount | None = None
    period_us: int | None = None
    always: bool | None = None
    opens: bool | None = None
    approaching: int | None = None
    active: bool | None = None


def create(tx: Tx, pid: int, wanted: Wanted, *, actor: Actor, at: datetime, ids: IdSource) -> str:
    """Its public id. InvalidValueError; ConflictError: there are too many, or one just like it."""
    rows.hold_limits(tx, pid)
    limit = usable(wanted.limit)
    limit = replace(limit, zone=zone(limit.zone, field="zone").key)
    known = tx.conn.execute(sa.select(limits).where(limits.c.pid == pid)).all()
    if len(known) >= MOST_LIMITS:
        raise ConflictError(f"the project has {MOST_LIMITS} limits, which is all that it may have; delete one")
    for row in known:
        like = limit_of(row)
        if (row.source, like.scope, like.family) == (wanted.source, limit.scope, limit.family):
            raise ConflictError(f"{row.name} is for the same calls, unit and window; edit that one")
    number, public_id = ids.next(at), str(uuids.uuid4())
    values = _values(limit) | {"name": text.name(wanted.name, field="name", most=MOST_NAME), "active": wanted.active}
    fixed = {"pid": pid, "id": number, "uuid": public_id, "rev": 1, "source": wanted.source, "created_at": at}
    tx.conn.execute(sa.insert(limits).values(fixed | values))
    turn_page(tx, pid)
    _note(tx, pid, Action.LIMIT_CREATE, public_id, None, facts(values), actor=actor, at=at, ids=ids)
    return public_id


def edit(
    tx: Tx, pid: int, public_id: str, asked: Edit, *, rev: int | None, actor: Actor, at: datetime, ids: IdSource
) -> None:
    """ChangedMeanwhileError: it is not of this `rev` (None: any will do). InvalidValueError, NotFoundError."""
    rows.hold_limits(tx, pid)
    row = one_in(tx, pid, public_id)
    if rev is not None and row.rev != rev:
        raise ChangedMeanwhileError("the limit has changed since you read it")
    demand_peoples(row)
    _put(tx, pid, row, asked, actor=actor, at=at, ids=ids)


def delete(tx: Tx, pid: int, public_id: str, *, actor: Actor, at: datetime, ids: IdSource) -> None:
    """With what was used of it, and who was denied. What is reserved is simply ended later. NotFoundError."""
    rows.hold_limits(tx, pid)
    row = one_in(tx, pid, public_id)
    demand_peoples(row)
    _remove(tx, pid, row, actor=actor, at=at, ids=ids)


# --- for what makes limits of its own


def provide(tx: Tx, pid: int, wanted: Wanted, *, actor: Actor, at: datetime, ids: IdSource) -> str:
    """The one limit of that source, made or changed; what was used of it stays while unit and window do."""
    rows.hold_limits(tx, pid)
    limit = usable(wanted.limit)
    for row in _of_source(tx, pid, wanted.source):
        known = limit_of(row)
        if (known.scope, known.family) != (limit.scope, limit.family):
            _remove(tx, pid, row, actor=actor, at=at, ids=ids)
            continue
        asked = Edit(
            name=wanted.name, amount=limit.amount, always=limit.always, opens=limit.opens,
            approaching=limit.approaching, active=wanted.active,
        )  # fmt: skip
        _put(tx, pid, row, asked, actor=actor, at=at, ids=ids)
        public_id: str = row.uuid
        return public_id
    return create(tx, pid, wanted, actor=actor, at=at, ids=ids)


def withdraw(tx: Tx, pid: int, source: str, *, actor: Actor, at: datetime, ids: IdSource) -> None:
    """All limits of that source, if there are any."""
    rows.hold_limits(tx, pid)
    for row in _of_source(tx, pid, source):
        _remove(tx, pid, row, actor=actor, at=at, ids=ids)


def set_used(tx: Tx, pid: int, public_id: str, amount: Amount, *, values: tuple[str, ...] = (), at: datetime) -> None:
    """What is known from elsewhere to be used by now, in place of what was counted; what is reserved stays reserved.

    Of a quota. `values`: of what it counts apart.
    """
    limit, ledger = _counted(tx, pid, public_id, values, at=at)
    ledger.set_used(limit, values, amount)
    rows.put_counters(tx, pid, ledger)


def raise_used(tx: Tx, pid: int, public_id: str, amount: Amount, *, values: tuple[str, ...] = (), at: datetime) -> None:
    """As `set_used`, unless more was counted already."""
    limit, ledger = _counted(tx, pid, public_id, values, at=at)
    now_is = ledger.standing(limit, values)
    if amount > now_is.used - now_is.held:
        ledger.set_used(limit, values, amount)
        rows.put_counters(tx, pid, ledger)


def _counted(tx: Tx, pid: int, public_id: str, values: tuple[str, ...], *, at: datetime) -> tuple[Limit, Ledger]:
    """A quota, and what is used of it. Nobody else counts until this transaction ends."""
    rows.hold_limits(tx, pid)
    row = one_in(tx, pid, public_id)
    limit = limit_of(row)
    if limit.kind is Kind.RATE:
        raise InvalidValueError("kind", "a rate forgets what was used; only quotas can be told")
    rules = Rules(0, {row.id: row}, {limit.id: limit}, [limit])
    return limit, Ledger(rules.bounds, micros(at), rows.texts_of(tx, pid, [(limit.id, values)]))


def turn_page(tx: Tx, pid: int) -> None:
    """Whoever checks from now on reads the limits anew."""
    insert = tx.insert(limit_books).values(pid=pid, rev=1)
    tx.conn.execute(insert.on_conflict_do_update(index_elements=["pid"], set_={"rev": limit_books.c.rev + 1}))


def one_in(tx: Tx, pid: int, public_id: str) -> Any:
    row = tx.conn.execute(sa.select(limits).where(limits.c.pid == pid, limits.c.uuid == public_id)).first()
    if row is None:
        raise NotFoundError("there is no such limit")
    return row


def demand_peoples(row: Any) -> None:
    """ConflictError: it is made by something else, which would make it again."""
    if row.source != PEOPLE:
        raise ConflictError(f"the limit is made by {row.source}; change that")


def _put(tx: Tx, pid: int, row: Any, asked: Edit, *, actor: Actor, at: datetime, ids: IdSource) -> None:
    known = limit_of(row)
    if asked.burst is not None and known.kind is not Kind.RATE:
        raise InvalidValueError("burst", "is a rate's; this is a quota")
    if asked.period_us is not None and known.kind is not Kind.RATE:
        raise InvalidValueError("period_s", "of a window does not change; make another limit")
    names = ("amount", "burst", "period_us", "always", "opens", "approaching")
    given = {name: value for name in names if (value := getattr(asked, name)) is not None}
    limit = usable(replace(known, **given))
    values = _values(limit) | {
        "name": row.name if asked.name is None else text.name(asked.name, field="name", most=MOST_NAME),
        "active": row.active if asked.active is None else asked.active,
    }
    before, after = differing(facts({name: getattr(row, name) for name in values}), facts(values))
    if not after:
        return
    this = (limits.c.pid == pid, limits.c.id == row.id)
    tx.conn.execute(sa.update(limits).where(*this).values(values | {"rev": row.rev + 1}))
    turn_page(tx, pid)
    _note(tx, pid, Action.LIMIT_EDIT, row.uuid, before, after, actor=actor, at=at, ids=ids)


def _remove(tx: Tx, pid: int, row: Any, *, actor: Actor, at: datetime, ids: IdSource) -> None:
    tx.conn.execute(sa.delete(limits).where(limits.c.pid == pid, limits.c.id == row.id))
    for table in (limit_counters, limit_hours, limit_denials):
        tx.conn.execute(sa.delete(table).where(table.c.pid == pid, table.c.limit_id == row.id))
    turn_page(tx, pid)
    told = facts({name: getattr(row, name) for name in _values(limit_of(row))} | {"name": row.name})
    _note(tx, pid, Action.LIMIT_DELETE, row.uuid, told, None, actor=actor, at=at, ids=ids)


def _of_source(tx: Tx, pid: int, source: str) -> list[Any]:
    return list(tx.conn.execute(sa.select(limits).where(limits.c.pid == pid, limits.c.source == source)).all())


def _values(limit: Limit) -> dict[str, Any]:
    return {
        "scope": written(limit.scope),
        "unit": limit.unit,
        "kind": limit.kind.value,
        "amount": limit.amount,
        "period_us": limit.period_us,
        "burst": limit.burst,
        "span": "" if limit.span is None else limit.span.value,
        "zone": limit.zone,
        "from_at": limit.from_at,
        "to_at": limit.to_at,
        "always": limit.always,
        "opens": limit.opens,
        "approaching": limit.approaching,
    }


def facts(values: dict[str, Any]) -> dict[str, Any]:
    """For the audit, in the words of the API."""
    found = {name: value for name, value in values.items() if name not in {"opens", "period_us", "span"}}
    found |= {"amount": text_of(values["amount"]), "burst": text_of(values["burst"])}
    found |= {"period_s": values["period_us"] // 1_000_000, "window": values["span"]}
    return found | {"on_failure": "allow" if values["opens"] else "deny"}


def _note(  # noqa: PLR0917 - what became of what, in that order
    tx: Tx,
    pid: int,
    action: Action,
    public_id: str,
    before: Facts | None,
    after: Facts | None,
    *,
    actor: Actor,
    at: datetime,
    ids: IdSource,
) -> None:
    note(tx, pid, actor=actor, action=action, of=f"limit:{public_id}", before=before, after=after, at=at, ids=ids)
