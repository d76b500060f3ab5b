"""A budget as it is stored, and what it agrees on: its row, its parts, the channels that hear of it.

The queries are made here and asked by both, commands in their transaction and readers; each is bound to its project.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import Row, Select
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.budgets.config import Agreed, of_millionths
from heartfly.checks.queries import UUID
from heartfly.core.budget_periods import Period, Plan, Rhythm, newest, period_on
from heartfly.core.budgets import BudgetState, Kind, Mark, Spike
from heartfly.core.days import day_of
from heartfly.core.money import Money, money
from heartfly.core.zones import is_zone
from heartfly.db.models import budget_allocations, budget_channels, budget_marks, budgets, channels, projects
from heartfly.db.tenant import ERASED
from heartfly.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class Stored:
    """A budget, read whole. `zone`: its project's."""

    row: Row[Any]
    agreed: Agreed
    zone: ZoneInfo

    @property
    def state(self) -> BudgetState:
        return BudgetState(self.row.state)

    def today(self, now: datetime) -> date:
        return day_of(self.zone, now)

    def period(self, now: datetime) -> Period | None:
        """That is now; None: it has not begun, or is over."""
        return period_on(self.agreed.plan, self.today(now))

    def shown_period(self, now: datetime) -> Period | None:
        """That is now, or was the last one; None: none has begun."""
        found = newest(self.agreed.plan, self.today(now), most=1)
        return found[0] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A mark as it is kept. `spent` and `amount`: as they were then. `rearmed_at`: since when it may be told anew."""

    mark: Mark
    period: str
    nth: int
    at: datetime
    spent: Money
    amount: Money | None
    rearmed_at: datetime | None


# --- the questions


def one_query(pid: int, public_id: str) -> Select[Any]:
    """NotFoundError: it is no id."""
    lower = public_id.lower()
    if not UUID.fullmatch(lower):
        raise no_such()
    return _budgets(pid).where(budgets.c.uuid == lower)


def by_number_query(pid: int, budget_id: int) -> Select[Any]:
    return _budgets(pid).where(budgets.c.id == budget_id)


def list_query(pid: int, *, after: int, limit: int, states: Sequence[BudgetState] = ()) -> Select[Any]:
    query = _budgets(pid).where(budgets.c.id > after)
    if states:
        query = query.where(budgets.c.state.in_([one.value for one in states]))
    return query.order_by(budgets.c.id).limit(limit)


def _budgets(pid: int) -> Select[Any]:
    zone = sa.select(projects.c.zone).where(projects.c.id == pid).scalar_subquery()
    return sa.select(budgets, zone.label("zone")).where(budgets.c.pid == pid)


def parts_query(pid: int, budget_ids: Sequence[int]) -> Select[Any]:
    a = budget_allocations.c
    return sa.select(budget_allocations).where(a.pid == pid, a.budget_id.in_(budget_ids)).order_by(a.budget_id, a.id)


def channels_query(pid: int, budget_ids: Sequence[int]) -> Select[Any]:
    b, c = budget_channels.c, channels.c
    return (
        sa.select(b.budget_id, c.id, c.uuid, c.name, c.kind)
        .join(channels, sa.and_(c.pid == b.pid, c.id == b.channel_id))
        .where(b.pid == pid, b.budget_id.in_(budget_ids))
        .order_by(b.budget_id, c.id)
    )


def marks_query(pid: int, budget_id: int, periods: Sequence[str]) -> Select[Any]:
    """The oldest first; of an instant thresholds, from the lowest on, before all else."""
    m = budget_marks.c
    query = sa.select(budget_marks).where(m.pid == pid, m.budget_id == budget_id, m.period.in_(periods))
    return query.order_by(m.period, m.at, m.kind.desc(), sa.func.length(m.what), m.what, m.nth)


# --- and what becomes of the answers


def stored_of(row: Row[Any], parts: Iterable[Any]) -> Stored:
    """`parts`: also those of others."""
    mine = [part for part in parts if part.budget_id == row.id]
    spike = None
    if row.spike_percent is not None:
        spike = Spike(percent=row.spike_percent, least=_money(row.spike_least))
    agreed = Agreed(
        name=row.name,
        currency=row.currency,
        amount=of_millionths(row.amount),
        plan=Plan(
            rhythm=Rhythm(row.rhythm),
            starts_on=row.starts_on,
            ends_on=row.ends_on,
            every_days=row.every_days,
            renews=row.renews,
        ),
        scope=dict(row.scope),
        thresholds=tuple(row.thresholds),
        allocations={(part.by, part.name): _money(part.amount) for part in mine},
        spike=spike,
        low_days=row.low_days,
        hard_stop=row.hard_stop,
    )
    # A zone that has left the tz database must not end the telling.
    return Stored(row, agreed, ZoneInfo(row.zone if is_zone(row.zone) else "UTC"))


def told_of(row: Row[Any]) -> Told:
    return Told(
        mark=Mark(Kind(row.kind), row.what),
        period=row.period,
        nth=row.nth,
        at=row.at,
        spent=money(row.spent),
        amount=of_millionths(row.amount),
        rearmed_at=row.rearmed_at,
    )


def _money(amount: int) -> Money:
    found = of_millionths(amount)
    assert found is not None
    return found


def no_such() -> NotFoundError:
    return NotFoundError("there is no such budget")


# --- reads


async def one_budget(main: AsyncConnection, pid: int, public_id: str) -> Stored:
    """NotFoundError, for one of another project too."""
    row = (await main.execute(one_query(pid, public_id))).first()
    if row is None:
        raise no_such()
    return stored_of(row, (await main.execute(parts_query(pid, [row.id]))).all())


async def list_budgets(
    main: AsyncConnection, pid: int, *, after: int = 0, limit: int, states: Sequence[BudgetState] = ()
) -> Sequence[Stored]:
    """In the order in which they were made."""
    rows = (await main.execute(list_query(pid, after=after, limit=limit, states=states))).all()
    parts = (await main.execute(parts_query(pid, [row.id for row in rows]))).all() if rows else ()
    return [stored_of(row, parts) for row in rows]


async def told(main: AsyncConnection, pid: int, budget_id: int, periods: Sequence[str]) -> Sequence[Told]:
    """The oldest first, with those that were re-armed since."""
    return [told_of(row) for row in (await main.execute(marks_query(pid, budget_id, periods))).all()]


async def heard_by(main: AsyncConnection, pid: int, budget_ids: Sequence[int]) -> Sequence[Row[Any]]:
    """Channels, each with the `budget_id` that it hears of."""
    return (await main.execute(channels_query(pid, budget_ids))).all() if budget_ids else ()


async def channels_of(main: AsyncConnection, pid: int) -> Sequence[Any]:
    """All of the project, in the order in which they were made."""
    c = channels.c
    return (await main.execute(sa.select(c.id, c.uuid, c.name, c.kind).where(c.pid == pid).order_by(c.id))).all()


async def projects_with_budgets(main: AsyncConnection) -> Sequence[int]:
    """Those that live, and have one that is looked at."""
    query = sa.select(budgets.c.pid).distinct().join(projects, projects.c.id == budgets.c.pid)
    query = query.where(~projects.c.slug.startswith(ERASED), budgets.c.state != BudgetState.CANCELLED.value)
    return (await main.execute(query)).scalars().all()
