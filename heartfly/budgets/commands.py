"""What people do to budgets: make, edit, pause, resume, cancel and delete one. Each is one transaction's work.

Who changes a budget or its parts holds its row, so that parts never come to more than the whole, however many change
it at a time. An edit that raises something re-arms what is below again: by what was seen of the spend just before, as
usage lies in another part. Which that is core/budgets.py says.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from heartfly.audit.record import Action, Actor, differing, record
from heartfly.budgets import hard_stop, words
from heartfly.budgets.channels import assign, channel_ids, heard
from heartfly.budgets.config import Agreed, BudgetIn, agreed, edited, of_millionths
from heartfly.budgets.rows import Stored, marks_query, no_such, one_query, parts_query, stored_of, told_of
from heartfly.core.budget_periods import is_over
from heartfly.core.budgets import MILLIONTH, BudgetState, Seen, Turn, demand_fits, rearmed, turned
from heartfly.core.money import Money
from heartfly.core.words import IncidentEnd
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import budget_allocations, budget_channels, budget_marks, budget_periods, budgets, projects
from heartfly.db.tenant import demand_living
from heartfly.errors import ChangedMeanwhileError, ConflictError, HeartflyError
from heartfly.incidents.raised import Ended, end_alerts

MOST = 200
"""Of a project: all of them are looked at each minute."""
_TABLES = (budget_marks, budget_periods, budget_channels, budget_allocations)


class BudgetNameTakenError(ConflictError):
    field = "name"


class SeenAnotherError(HeartflyError):
    """The budget is not as it was when its spend was looked at: look once more, and try again."""


def create(tx: Tx, pid: int, asked: BudgetIn, *, today: date, actor: Actor, at: datetime, ids: IdSource) -> str:
    """Its public id. `today`: where the project is.

    InvalidValueError. ConflictError: its name is taken, or see MOST.
    """
    # Whoever makes one holds the project's row, so that two cannot be the last one both.
    tx.conn.execute(sa.select(projects.c.id).where(projects.c.id == pid).with_for_update())
    demand_living(tx, pid)
    wanted = agreed(asked, today=today)
    hard_stop.demand_possible(wanted)
    count = sa.select(sa.func.count()).where(budgets.c.pid == pid)
    if tx.conn.execute(count).scalar_one() >= MOST:
        raise ConflictError(f"{MOST} budgets are all that a project may have; delete one")
    hearing = channel_ids(tx, pid, asked.channels)
    number, public_id = ids.next(at), str(uuid.uuid4())
    fixed = {"pid": pid, "id": number, "uuid": public_id, "state": BudgetState.ACTIVE.value, "created_at": at, "rev": 1}
    insert = tx.insert(budgets).values(wanted.columns() | fixed).on_conflict_do_nothing(index_elements=["pid", "name"])
    if tx.conn.execute(insert.returning(budgets.c.id)).first() is None:
        raise _name_is_taken(wanted.name)
    tx.changes.jobs = True  # which looks at budgets is there from the first one on
    _divide(tx, pid, number, wanted, at=at, ids=ids)
    assign(tx, pid, number, hearing)
    row = held(tx, pid, public_id).row
    after = wanted.as_asked() | {"channels": heard(tx, pid, number)}
    _note(tx, Action.BUDGET_CREATE, row, None, after, at=at, actor=actor, ids=ids)
    return public_id


def edit(
    tx: Tx,
    pid: int,
    public_id: str,
    asked: BudgetIn,
    *,
    seen: Seen | None,
    seen_rev: int,
    rev: int | None,
    actor: Actor,
    at: datetime,
    ids: IdSource,
) -> None:
    """What was not said stays. `seen`: of the period that is now, as of `seen_rev`; None: not looked at, or none is.

    InvalidValueError, NotFoundError, ConflictError. ChangedMeanwhileError: it is not of `rev`. SeenAnotherError.
    """
    now = held(tx, pid, public_id)
    row = now.row
    demand_rev(row, rev)
    if row.rev != seen_rev:
        raise SeenAnotherError
    if now.state is BudgetState.CANCELLED:
        raise ConflictError("the budget is cancelled, and cannot be edited")
    wanted = edited(now.agreed, asked)
    hard_stop.demand_possible(wanted)
    before = now.agreed.as_asked() | {"channels": heard(tx, pid, row.id)}
    values = wanted.columns() | {"rev": row.rev + 1}
    if now.state is BudgetState.EXPIRED and not is_over(wanted.plan, now.today(at)):
        values["state"] = turned(now.state, Turn.EXTENDED).value
    try:
        with tx.conn.begin_nested():
            tx.conn.execute(sa.update(budgets).where(*is_it(row)).values(values))
    except sa.exc.IntegrityError as error:
        raise _name_is_taken(wanted.name) from error
    if wanted.allocations != now.agreed.allocations:
        a = budget_allocations.c
        tx.conn.execute(sa.delete(budget_allocations).where(a.pid == pid, a.budget_id == row.id))
        _divide(tx, pid, row.id, wanted, at=at, ids=ids)
    else:
        demand_fits(wanted.amount, _allocated(tx, pid, row.id), wanted.currency)
    if not isinstance(asked.channels, UnsetType):
        assign(tx, pid, row.id, channel_ids(tx, pid, asked.channels))
    if seen is not None:
        _rearm(tx, now, wanted, seen, at=at)
    was, is_now = differing(before, wanted.as_asked() | {"channels": heard(tx, pid, row.id)})
    if is_now:
        _note(tx, Action.BUDGET_EDIT, row, was, is_now, at=at, actor=actor, ids=ids)


_DONE: Mapping[Turn, Action] = {
    Turn.PAUSE: Action.BUDGET_PAUSE,
    Turn.RESUME: Action.BUDGET_RESUME,
    Turn.CANCEL: Action.BUDGET_CANCEL,
}


def turn(
    tx: Tx, pid: int, public_id: str, what: Turn, *, rev: int | None, actor: Actor, at: datetime, ids: IdSource
) -> None:
    """PAUSE, RESUME or CANCEL it. ConflictError: it is in no state for that. ChangedMeanwhileError."""
    now = held(tx, pid, public_id)
    demand_rev(now.row, rev)
    after = turned(now.state, what)
    if after is now.state:
        return
    tx.conn.execute(sa.update(budgets).where(*is_it(now.row)).values(state=after.value, rev=now.row.rev + 1))
    if what is not Turn.RESUME:
        _end_incident(tx, now, by=IncidentEnd.BY_HAND, at=at, ids=ids)
    facts = {"state": now.state.value}, {"state": after.value}
    _note(tx, _DONE[what], now.row, *facts, at=at, actor=actor, ids=ids)


def delete(tx: Tx, pid: int, public_id: str, *, rev: int | None, actor: Actor, at: datetime, ids: IdSource) -> None:
    """With its history; what was told of it stays with the alerts. NotFoundError, ChangedMeanwhileError."""
    now = held(tx, pid, public_id)
    demand_rev(now.row, rev)
    before = now.agreed.as_asked() | {"channels": heard(tx, pid, now.row.id)}
    _end_incident(tx, now, by=IncidentEnd.DELETED, at=at, ids=ids)
    for table in _TABLES:
        tx.conn.execute(sa.delete(table).where(table.c.pid == pid, table.c.budget_id == now.row.id))
    tx.conn.execute(sa.delete(budgets).where(*is_it(now.row)))
    _note(tx, Action.BUDGET_DELETE, now.row, before, None, at=at, actor=actor, ids=ids)


def held(tx: Tx, pid: int, public_id: str) -> Stored:
    """Nobody else changes it until this transaction ends. NotFoundError."""
    query = one_query(pid, public_id)
    row = tx.conn.execute(query.with_for_update(of=budgets) if tx.on_postgres else query).first()
    if row is None:
        raise no_such()
    return stored_of(row, tx.conn.execute(parts_query(pid, [row.id])).all())


def demand_rev(row: Any, rev: int | None) -> None:
    """ChangedMeanwhileError. None: any will do."""
    if rev is not None and row.rev != rev:
        raise ChangedMeanwhileError("the budget has changed since you read it")


def is_it(row: Any) -> tuple[sa.ColumnElement[bool], ...]:
    return budgets.c.pid == row.pid, budgets.c.id == row.id


def _divide(tx: Tx, pid: int, budget_id: int, wanted: Agreed, *, at: datetime, ids: IdSource) -> None:
    rows = [
        {"pid": pid, "budget_id": budget_id, "id": number, "by": by, "name": name, "amount": amount // MILLIONTH}
        for number, ((by, name), amount) in zip(
            ids.several(at, len(wanted.allocations)), wanted.allocations.items(), strict=True
        )
    ]
    if rows:
        tx.conn.execute(sa.insert(budget_allocations), rows)
    demand_fits(wanted.amount, _allocated(tx, pid, budget_id), wanted.currency)


def _allocated(tx: Tx, pid: int, budget_id: int) -> Money:
    """All of its parts, added up by the database."""
    a = budget_allocations.c
    query = sa.select(sa.func.sum(a.amount)).where(a.pid == pid, a.budget_id == budget_id)
    total = tx.conn.execute(query).scalar()
    return of_millionths(int(total or 0)) or 0


def _rearm(tx: Tx, now: Stored, wanted: Agreed, seen: Seen, *, at: datetime) -> None:
    period = now.period(at)
    if period is None:
        return
    known = [told_of(row) for row in tx.conn.execute(marks_query(now.row.pid, now.row.id, [period.key]))]
    standing = {one.mark: one for one in known if one.rearmed_at is None}
    m = budget_marks.c
    for mark in rearmed(standing, now.agreed.terms, wanted.terms, seen):
        of_budget = (m.pid == now.row.pid, m.budget_id == now.row.id, m.period == period.key)
        of_mark = (m.kind == mark.kind.value, m.what == mark.what, m.nth == standing[mark].nth)
        tx.conn.execute(sa.update(budget_marks).where(*of_budget, *of_mark).values(rearmed_at=at))


def _end_incident(tx: Tx, now: Stored, *, by: IncidentEnd, at: datetime, ids: IdSource) -> None:
    """Whoever does it knows: nobody is told."""
    concern, number = words.in_order(now, None, None), now.row.id
    one = Ended(pid=now.row.pid, source_id=number, concern=concern, at=at, explain="", by=by, is_told=False)
    end_alerts(tx, [one], ids=ids, now=at)


def raises(asked: BudgetIn) -> bool:
    """Whether it may raise something, so that the spend must be looked at before."""
    return asked.amount is not UNSET or asked.allocations is not UNSET


def _name_is_taken(name: str) -> BudgetNameTakenError:
    return BudgetNameTakenError(f"there is a budget {name} already")


def _note(
    tx: Tx,
    action: Action,
    row: Any,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    *,
    at: datetime,
    actor: Actor,
    ids: IdSource,
) -> None:
    record(
        tx, row.pid, actor=actor, action=action, of=f"budget:{row.uuid}",
        before=before, after=after, at=at, ids=ids,
    )  # fmt: skip
