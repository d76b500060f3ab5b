"""What people do to prices of calls: add one, let another hold from an instant on, end it, delete it, import many.

Each command is one transaction's work, with its entry in the audit. What it makes of the prices is decided in
core/price_shelf.py; the hours of the span in which calls may cost otherwise are marked, and folded anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from heartfly.audit.record import Action, Actor
from heartfly.core.money import rate_text
from heartfly.core.price_given import fields_of
from heartfly.core.price_shelf import Add, Change, End, Held, Plan, Remove, Reprice, Shelf
from heartfly.core.prices import ALWAYS, Price
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import price_books, prices
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.usage.audit import note
from heartfly.usage.call_prices import mark_priced
from heartfly.usage.price_reading import price_of
from heartfly.usage.question import EARLIEST, LATEST

MOST_PRICES = 100_000
"""Of one project."""
_PIECE = 1_000
"""Rows that are written at once."""
_LOCK = sa.text("SELECT pg_advisory_xact_lock(hashtextextended('prices', :pid))")


class Source(StrEnum):
    HAND = "hand"
    LITELLM = "litellm"
    CSV = "csv"


_ACTIONS = {
    Add: Action.PRICE_CREATE,
    Reprice: Action.PRICE_EDIT,
    End: Action.PRICE_END,
    Remove: Action.PRICE_DELETE,
}


def change_prices(tx: Tx, pid: int, change: Change, *, actor: Actor, at: datetime, ids: IdSource) -> int:
    """The id of the price that holds by it: a new one, if one is added or another amount holds from an instant on.

    InvalidValueError: another one of its kind holds at that time; ConflictError: there are too many; NotFoundError.
    """
    demand_times(change)
    hold_prices(tx, pid)
    if isinstance(change, Add):
        held, of_kind = None, change.price
    else:
        held = _one(tx, pid, change.id)
        of_kind = held.price
    shelf = Shelf(_of_key(tx, pid, of_kind))
    shelf.apply(change, Source.HAND, at)
    plan = shelf.plan()
    numbers = write(tx, pid, plan, at=at, ids=ids)
    number = numbers[0] if numbers else held.id if held is not None else 0
    if not plan:
        return number
    after = None if isinstance(change, Remove) else next(iter((*plan.added, *plan.changed))).price
    note(
        tx, pid, actor=actor, action=_ACTIONS[type(change)], of=f"price:{number if held is None else held.id}",
        before=None if held is None else facts(held.price), after=None if after is None else facts(after),
        at=at, ids=ids,
    )  # fmt: skip
    return number


def demand_times(change: Change) -> None:
    """InvalidValueError: no call happens then."""
    match change:
        case Add(price):
            demand_time("from_at", price.from_at)
            demand_time("to_at", price.to_at)
        case Reprice(from_at=from_at):
            demand_time("from_at", from_at)
        case End(to_at=to_at):
            demand_time("to_at", to_at)
        case Remove():
            pass


def hold_prices(tx: Tx, pid: int) -> None:
    """Nobody else changes prices of the project until this transaction ends: no two of a key may overlap."""
    if tx.on_postgres:
        tx.conn.execute(_LOCK, {"pid": pid})


def _one(tx: Tx, pid: int, number: int) -> Held:
    row = tx.conn.execute(sa.select(prices).where(prices.c.pid == pid, prices.c.id == number)).first()
    if row is None:
        raise NotFoundError("there is no such price")
    return held_of(row)


def _of_key(tx: Tx, pid: int, price: Price) -> Sequence[Held]:
    same = [prices.c[name] == value for name, value in fields_of(price).items()]
    return [held_of(row) for row in tx.conn.execute(sa.select(prices).where(prices.c.pid == pid, *same))]


def held_of(row: Any) -> Held:
    return Held(row.id, price_of(row), row.source)


def write(tx: Tx, pid: int, plan: Plan, *, at: datetime, ids: IdSource) -> Sequence[int]:
    """The ids of what is added, in order. The hours concerned are marked. ConflictError: there are too many prices."""
    if not plan:
        return ()
    p = prices.c
    gone = [one.id for one in plan.gone]
    for start in range(0, len(gone), _PIECE):
        tx.conn.execute(sa.delete(prices).where(p.pid == pid, p.id.in_(gone[start : start + _PIECE])))
    for one in plan.changed:
        told = _columns(one.price) | {"source": one.source}
        tx.conn.execute(sa.update(prices).where(p.pid == pid, p.id == one.id).values(told))
    numbers = ids.several(at, len(plan.added))
    rows = [
        {"pid": pid, "id": number, "source": one.source, "created_at": at} | _columns(one.price)
        for number, one in zip(numbers, plan.added, strict=True)
    ]
    for start in range(0, len(rows), _PIECE):
        tx.conn.execute(sa.insert(prices), rows[start : start + _PIECE])
    if rows:
        n = tx.conn.execute(sa.select(sa.func.count()).where(p.pid == pid)).scalar_one()
        if n > MOST_PRICES:
            raise ConflictError(f"the project would have {n} prices; {MOST_PRICES} is all that it may have")
    seq = ids.next(at)
    book = tx.insert(price_books).values(pid=pid, seq=seq, changed_at=at)
    tx.conn.execute(book.on_conflict_do_update(index_elements=["pid"], set_={"seq": seq, "changed_at": at}))
    mark_priced(tx, pid, from_at=None if plan.from_at <= ALWAYS else plan.from_at, to_at=plan.to_at, seq=ids.next(at))
    return numbers


def demand_time(field: str, at: datetime | None) -> None:
    """InvalidValueError: no call happens then. What is said to be since ever passes."""
    if at is not None and at != ALWAYS and not EARLIEST <= at <= LATEST:
        raise InvalidValueError(field, "must be within 1970 to 2200")


def facts(price: Price) -> Mapping[str, Any]:
    """In the words of the API."""
    start = None if price.from_at <= ALWAYS else price.from_at
    told = {"from_at": start, "to_at": price.to_at, "amount": rate_text(price.amount), "currency": price.currency}
    return dict(fields_of(price)) | told


def _columns(price: Price) -> dict[str, Any]:
    told = {"from_at": price.from_at, "to_at": price.to_at, "amount": price.amount, "currency": price.currency}
    return dict(fields_of(price)) | told
