"""How much of each budget is spent in its present period, in percent: as the budgets' own job saw it last, each minute.

A name picks one budget by its name or id, nothing all that have an amount and are neither paused nor over. What was
spent is not kept over time, so that there is no past to compare with, nor to look back on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import ClassVar

import sqlalchemy as sa
from typing_extensions import override

from heartfly.core.alert_rules import Family, Scope
from heartfly.core.budgets import MILLIONTH, BudgetState
from heartfly.core.days import day_of
from heartfly.core.money import money
from heartfly.core.windows import Window
from heartfly.db.models import budget_periods, budgets
from heartfly.rules.figures import Row, Table
from heartfly.rules.sources.base import MOST_SCOPES, Reads, Source, What

_PERCENT = 100
_ALIVE = (BudgetState.ACTIVE.value, BudgetState.EXCEEDED.value)


class Budgets(Source):
    of: ClassVar[Family] = Family.BUDGETS
    has_past: ClassVar[bool] = False

    @override
    async def read(self, reads: Reads, what: What, window: Window) -> Table:
        """Each budget is a scope of its own."""
        today = day_of(reads.zone, reads.now)
        b, p = budgets.c, budget_periods.c
        query = (
            sa.select(b.uuid, b.name, p.first_day, p.amount, p.spent)
            .join(budget_periods, sa.and_(p.pid == b.pid, p.budget_id == b.id))
            .where(
                b.pid == reads.pid,
                b.state.in_(_ALIVE),
                p.amount.is_not(None),
                p.first_day <= today,
                sa.or_(p.last_day.is_(None), p.last_day >= today),
            )
            .order_by(b.id, p.first_day)
            .limit(MOST_SCOPES)
        )
        table: dict[Scope, Row] = {}
        for row in await reads.main.execute(query):
            if what.detail not in {"", row.name, row.uuid}:
                continue
            scope: Scope = (row.uuid,) if what.dims else ()
            used = Fraction(money(row.spent) * _PERCENT, row.amount * MILLIONTH)
            told = Row(n=1, value=used, adds=False, names=(row.name,) if what.dims else ())
            if scope in table:
                table[scope].merge(told)
            else:
                table[scope] = told
        return table

    @override
    async def series(self, reads: Reads, what: What, windows: Sequence[Window]) -> Sequence[Table]:
        return [{} for _ in windows]

    @override
    async def first_at(self, reads: Reads) -> datetime | None:
        return None
