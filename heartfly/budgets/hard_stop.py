"""The hard stop of a budget: calls that would cost more than is left are refused by the check before a call.

It is a limit whose source is the budget, of the period that is now; what was spent by the figures is told to it, as the
cost of a call is mostly not known before it is priced. Limits lie with usage, in another part: whoever looks at a
budget sets its limit right, and their job withdraws those of budgets that are gone, so that what a crash leaves behind
lasts for a minute. How a limit counts is decided in limits/.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.audit.record import HEARTFLY
from heartfly.budgets.config import METER, Agreed
from heartfly.budgets.rows import Stored
from heartfly.core.amounts import Amount
from heartfly.core.budget_periods import Period
from heartfly.core.budgets import BudgetState
from heartfly.core.limits.rules import COST, Kind, Limit
from heartfly.core.limits.scope import LITERAL, scope_of
from heartfly.core.money import RATE_ONE, Money
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import budgets, limits
from heartfly.errors import InvalidValueError
from heartfly.limits.book import limit_of
from heartfly.limits.commands import Wanted, provide, raise_used, withdraw
from heartfly.limits.queries import counters_of

Reading = Callable[[], AbstractAsyncContextManager[AsyncConnection]]

_SOURCE = "budget:"
_STOPPING = frozenset({BudgetState.ACTIVE, BudgetState.EXCEEDED})


@dataclass(frozen=True, slots=True)
class Spent:
    """Of the period that is now."""

    period: Period
    money: Money


def demand_possible(wanted: Agreed) -> None:
    """InvalidValueError: a limit is for one value of each kind, and for calls."""
    if wanted.hard_stop and METER in wanted.scope:
        raise InvalidValueError("hard_stop", "is of calls: nobody asks before a meter counts")
    if wanted.hard_stop and any(len(values) > 1 for values in wanted.scope.values()):
        raise InvalidValueError("hard_stop", "needs a scope with one value of each kind: a limit is for one")


async def follow(usage: Database, stored: Stored, spent: Spent | None, *, now: datetime, ids: IdSource) -> None:
    """`spent` None: no period is now, or it is not judged. Nothing is written of what is right already."""
    pid, source = stored.row.pid, source_of(stored.row.uuid)
    wanted = None if spent is None else wanted_limit(stored, spent.period)
    async with usage.read() as read:
        row = await _row(read, pid, source)
        if wanted is None or spent is None:
            if row is not None:
                await usage.write(lambda tx: withdraw(tx, pid, source, actor=HEARTFLY, at=now, ids=ids))
            return
        amount, counted = _amount_of(spent.money), 0 if row is None else await _counted(read, pid, row, now=now)
    if row is not None and _is_so(row, wanted) and counted >= amount:
        return

    def put(tx: Tx) -> None:
        name = provide(tx, pid, wanted, actor=HEARTFLY, at=now, ids=ids)
        # What was counted since may be more than what the figures know of yet, also since this look began.
        raise_used(tx, pid, name, amount, at=now)

    await usage.write(put)


async def withdraw_for(usage: Database, pid: int, uuid: str, *, now: datetime, ids: IdSource) -> None:
    """Of a budget that is gone."""
    async with usage.read() as read:
        row = await _row(read, pid, source_of(uuid))
    if row is not None:
        await usage.write(lambda tx: withdraw(tx, pid, source_of(uuid), actor=HEARTFLY, at=now, ids=ids))


async def withdraw_orphans(read_main: Reading, usage: Database, pid: int, *, now: datetime, ids: IdSource) -> None:
    """Of budgets that are cancelled or gone, and whose end a crash cut off between the two parts."""
    async with usage.read() as read:
        query = sa.select(limits.c.source).distinct().where(limits.c.pid == pid, limits.c.source.startswith(_SOURCE))
        sources = (await read.execute(query)).scalars().all()
    if not sources:
        return
    # In this order: a budget is there before its limit is, so that none that is made meanwhile looks like an orphan.
    async with read_main() as read:
        b = budgets.c
        living = sa.select(b.uuid).where(b.pid == pid, b.state != BudgetState.CANCELLED.value)
        kept = {source_of(one) for one in (await read.execute(living)).scalars()}
    for source in sources:
        if source not in kept:
            await usage.write(partial(withdraw, pid=pid, source=source, actor=HEARTFLY, at=now, ids=ids))


async def is_stopping(read: AsyncConnection, pid: int, uuid: str) -> bool:
    """Whether a limit is in place now. `read` is of usage."""
    row = await _row(read, pid, source_of(uuid))
    return row is not None and bool(row.active)


def source_of(uuid: str) -> str:
    return f"{_SOURCE}{uuid}"


def wanted_limit(stored: Stored, period: Period) -> Wanted | None:
    """None: nothing is stopped."""
    agreed, to_at = stored.agreed, period.to_at(stored.zone)
    if not agreed.hard_stop or stored.state not in _STOPPING or agreed.amount is None or to_at is None:
        return None
    scope = scope_of({name: f"{LITERAL}{values[0]}" for name, values in agreed.scope.items()})
    limit = Limit(
        id=0,
        scope=scope,
        unit=f"{COST}{agreed.currency}",
        kind=Kind.BETWEEN,
        amount=_amount_of(agreed.amount),
        from_at=period.from_at(stored.zone),
        to_at=to_at,
        always=True,
        opens=False,
    )
    return Wanted(name=agreed.name, limit=limit, source=source_of(stored.row.uuid))


async def _row(read: AsyncConnection, pid: int, source: str) -> Any:
    return (await read.execute(sa.select(limits).where(limits.c.pid == pid, limits.c.source == source))).first()


async def _counted(read: AsyncConnection, pid: int, row: Any, *, now: datetime) -> Amount:
    """Without what is reserved."""
    found = await counters_of(read, pid, row, now=now, limit=1)
    return found[0][0].used - found[0][0].held if found else 0


def _is_window(row: Any, wanted: Wanted) -> bool:
    known = limit_of(row)
    return (known.scope, known.family) == (wanted.limit.scope, wanted.limit.family)


def _is_so(row: Any, wanted: Wanted) -> bool:
    return _is_window(row, wanted) and (row.name, row.amount, row.active) == (wanted.name, wanted.limit.amount, True)


def _amount_of(money: Money) -> Amount:
    """Rounded up to the last place that limits have."""
    return -(-money // RATE_ONE)
