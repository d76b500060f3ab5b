"""The periods of a budget that have begun: what each has come to by now, and what was told of it.

What was agreed in a period is kept with it; what was spent is worked out anew, as costs come late and are corrected.
What the last look has seen is kept, too: for who cannot wait for that.
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
from heartfly.core.money import Money, money
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
        return _holds(one, self.spent, self.amount)

    @property
    def spent(self) -> Money:
        return self.cost.spent


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A period as it is kept. `spent`: as of `seen_at`, when it was looked at last; None: nobody has looked yet."""

    period: Period
    amount: Money | None
    spent: Money | None
    seen_at: datetime | None
    told: Sequence[Told]

    def holds(self, one: Told) -> bool | None:
        """As of a Past."""
        return None if self.spent is None else _holds(one, self.spent, self.amount)


def _holds(one: Told, spent: Money, amount: Money | None) -> bool | None:
    if one.mark.kind is not Kind.THRESHOLD or amount is None:
        return None
    return is_reached(spent, amount, int(one.mark.what))


async def history(
    main: AsyncConnection, usage: AsyncConnection, stored: Stored, *, before: date | None, limit: int, now: datetime
) -> Sequence[Past]:
    """The newest first. `before`: those that began before this day."""
    periods = await begun(main, stored, before=before, limit=limit, now=now)
    return await with_costs(usage, stored, periods, now=now)


async def begun(
    main: AsyncConnection, stored: Stored, *, before: date | None = None, limit: int, now: datetime
) -> Sequence[Begun]:
    """Without a question to usage. The newest first."""
    day = stored.today(now) if before is None else before - ONE
    periods = newest(stored.agreed.plan, day, most=limit)
    p = budget_periods.c
    its = (p.pid == stored.row.pid, p.budget_id == stored.row.id, p.first_day.in_([one.first for one in periods]))
    kept = {row.first_day: row for row in await main.execute(sa.select(budget_periods).where(*its))}
    marks = await told(main, stored.row.pid, stored.row.id, [one.key for one in periods])
    found = list[Begun]()
    for period in periods:
        row = kept.get(period.first)
        found.append(
            Begun(
                period=period,
                amount=stored.agreed.amount if row is None else of_millionths(row.amount),
                spent=None if row is None else money(row.spent),
                seen_at=None if row is None else row.seen_at,
                told=[one for one in marks if one.period == period.key],
            )
        )
    return found


async def with_costs(
    usage: AsyncConnection, stored: Stored, periods: Sequence[Begun], *, now: datetime
) -> Sequence[Past]:
    return [
        Past(
            period=one.period,
            amount=one.amount,
            cost=await cost_of(usage, stored, one.period, now=now),
            told=one.told,
        )
        for one in periods
    ]


def day_of_cursor(text: str | None) -> date | None:
    """InvalidValueError."""
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise InvalidValueError("cursor", "must be the `next` of a page of this list") from None
