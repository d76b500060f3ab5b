"""The periods of a budget that have begun: what each has come to by now, and what was told of it.

What was agreed in a period is kept with it; what was spent is worked out anew, as costs come late and are corrected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.budgets.config import of_millionths
from heartfly.budgets.rows import Stored, Told, told
from heartfly.budgets.spending import Cost, cost_of
from heartfly.core.budget_periods import Period, newest
from heartfly.core.budgets import Kind, is_reached
from heartfly.core.days import ONE
from heartfly.core.money import Money
from heartfly.db.models import budget_periods
from heartfly.errors import InvalidValueError

MOST = 36
"""Periods of a page: each is a question to usage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """`amount`: as it was agreed while it was that period; of one in which nobody looked, as it is now."""

    period: Period
    amount: Money | None
    cost: Cost
    told: Sequence[Told]

    def holds(self, one: Told) -> bool | None:
        """Whether what was told is so still; None: not known."""
        if one.mark.kind is not Kind.THRESHOLD or self.amount is None:
            return None
        return is_reached(self.cost.spent, self.amount, int(one.mark.what))


async def history(
    main: AsyncConnection, usage: AsyncConnection, stored: Stored, *, before: date | None, limit: int, now: datetime
) -> Sequence[Past]:
    """The newest first. `before`: those that began before this day."""
    day = stored.today(now) if before is None else before - ONE
    periods = newest(stored.agreed.plan, day, most=limit)
    p = budget_periods.c
    its = (p.pid == stored.row.pid, p.budget_id == stored.row.id, p.first_day.in_([one.first for one in periods]))
    kept = {
        row.first_day: of_millionths(row.amount) for row in await main.execute(sa.select(budget_periods).where(*its))
    }
    marks = await told(main, stored.row.pid, stored.row.id, [one.key for one in periods])
    return [
        Past(
            period=period,
            amount=kept.get(period.first, stored.agreed.amount),
            cost=await cost_of(usage, stored, period, now=now),
            told=[one for one in marks if one.period == period.key],
        )
        for period in periods
    ]


def day_of_cursor(text: str | None) -> date | None:
    """InvalidValueError."""
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise InvalidValueError("cursor", "must be the `next` of a page of this list") from None
