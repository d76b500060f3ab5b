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

from heartfly.budgets.commands import MOST
from heartfly.budgets.rows import Stored, list_budgets
from heartfly.core.alert_rules import Family, Scope
from heartfly.core.budgets import MILLIONTH, BudgetState
from heartfly.core.money import money
from heartfly.core.windows import Window
from heartfly.db.models import budget_periods
from heartfly.errors import NotFoundError
from heartfly.rules.figures import Row, Table
from heartfly.rules.sources.base import Reads, Source, What

_PERCENT = 100
_ALIVE = (BudgetState.ACTIVE, BudgetState.EXCEEDED)


class Budgets(Source):
    of: ClassVar[Family] = Family.BUDGETS
    has_past: ClassVar[bool] = False

    @override
    async def read(self, reads: Reads, what: What, window: Window) -> Table:
        """Each budget is a scope of its own. NotFoundError: none has that name."""
        found = await list_budgets(reads.main, reads.pid, limit=MOST)
        meant = [one for one in found if what.detail in {"", one.row.name, one.row.uuid}]
        if what.detail and not meant:
            raise NotFoundError(f"there is no budget {what.detail!r}")
        spent = await _at_present(reads, [one for one in meant if one.state in _ALIVE])
        table: dict[Scope, Row] = {}
        for one, used in spent:
            scope: Scope = (one.row.uuid,) if what.dims else ()
            told = Row(n=1, value=used, adds=False, names=(one.row.name,) if what.dims else ())
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


async def _at_present(reads: Reads, budgets: Sequence[Stored]) -> list[tuple[Stored, Fraction]]:
    """What is used, in percent, of those that have an amount and were looked at in the period that is now.

    An edit of its rhythm leaves a budget with rows of periods that overlap: by its plan one is the present one.
    """
    first_days = {one.row.id: period.first for one in budgets if (period := one.period(reads.now)) is not None}
    p = budget_periods.c
    query = sa.select(p.budget_id, p.first_day, p.amount, p.spent).where(
        p.pid == reads.pid, p.budget_id.in_(list(first_days)), p.amount.is_not(None)
    )
    rows = {(row.budget_id, row.first_day): row for row in await reads.main.execute(query)}
    kept = [(one, rows.get((one.row.id, first_days.get(one.row.id)))) for one in budgets]
    return [
        (one, Fraction(money(row.spent) * _PERCENT, row.amount * MILLIONTH)) for one, row in kept if row is not None
    ]
