"""All budgets of a project together, by currency: their amounts and parts as the database adds them up, and the rest.

Every part counts, however many there are. What is left is what was agreed less what was spent, and is never counted
down; currencies are never added together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.budgets.commands import MOST
from heartfly.budgets.config import of_millionths
from heartfly.budgets.rows import list_budgets
from heartfly.core.budgets import BudgetState
from heartfly.core.money import Money, money
from heartfly.db.models import budget_allocations, budget_periods, budgets

COUNTED = (BudgetState.ACTIVE, BudgetState.EXCEEDED)
_HALF = sa.literal_column(str(10**9), sa.BigInteger)
"""A sum of halves fits where a sum of wholes may not."""


@dataclass(slots=True)
class Sum:
    """Of a currency. `left`: of budgets that have an amount."""

    currency: str
    n_budgets: int = 0
    n_unlimited: int = 0
    amount: Money = 0
    n_allocations: int = 0
    allocated: Money = 0
    spent: Money = 0
    left: Money = 0


async def summary(main: AsyncConnection, pid: int, *, now: datetime) -> Sequence[Sum]:
    """In the order of currencies. Counted are budgets that are active or exceeded."""
    b, a = budgets.c, budget_allocations.c
    counted = (b.pid == pid, b.state.in_([one.value for one in COUNTED]))
    found: dict[str, Sum] = {}
    query = sa.select(
        b.currency, sa.func.count().label("n"), sa.func.count(b.amount).label("n_limited"), *_sums(b.amount)
    )
    for row in await main.execute(query.where(*counted).group_by(b.currency).order_by(b.currency)):
        found[row.currency] = Sum(
            row.currency, n_budgets=row.n, n_unlimited=row.n - row.n_limited, amount=_together(row)
        )
    parts = (
        sa.select(b.currency, sa.func.count().label("n"), *_sums(a.amount))
        .select_from(budgets)
        .join(budget_allocations, sa.and_(a.pid == b.pid, a.budget_id == b.id))
        .where(*counted)
        .group_by(b.currency)
    )
    for row in await main.execute(parts):
        found[row.currency].n_allocations, found[row.currency].allocated = row.n, _together(row)
    await _add_spent(main, pid, found, now=now)
    return list(found.values())


async def _add_spent(main: AsyncConnection, pid: int, into: dict[str, Sum], *, now: datetime) -> None:
    p = budget_periods.c
    kept = {
        (row.budget_id, row.first_day): row.spent
        for row in await main.execute(sa.select(p.budget_id, p.first_day, p.spent).where(p.pid == pid))
    }
    for one in await list_budgets(main, pid, limit=MOST, states=COUNTED):
        period = one.period(now)
        spent = money(kept.get((one.row.id, period.first), "0")) if period is not None else 0
        mine = into[one.agreed.currency]
        mine.spent += spent
        mine.left += 0 if one.agreed.amount is None else one.agreed.amount - spent


def _sums(column: sa.Column[int]) -> tuple[sa.ColumnElement[int], sa.ColumnElement[int]]:
    return (
        sa.func.coalesce(sa.func.sum(column // _HALF), 0).label("high"),
        sa.func.coalesce(sa.func.sum(column % _HALF), 0).label("low"),
    )


def _together(row: sa.Row[Any]) -> Money:
    return of_millionths(int(row.high) * 10**9 + int(row.low)) or 0
