"""Budgets of our own meters: what their use has cost, by meter and by the day, and what it will by the end of a period.

What use costs is told as in reports (usage/meter_costs.py), what days ahead will come to as of calls
(core/forecast.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.budgets.config import ALL_METERS, METER, Agreed
from heartfly.budgets.rows import Stored
from heartfly.calls.forecasts import HISTORY, days_from
from heartfly.checks.queries import UUID
from heartfly.core.days import ONE, day_in, day_of
from heartfly.core.forecast import Forecast, forecast
from heartfly.core.money import Money
from heartfly.core.windows import Size, Window
from heartfly.db.models import aliases, customers
from heartfly.errors import InvalidValueError, NotFoundError
from heartfly.usage.meter_costs import CostLine, MeterCosts, costs_of
from heartfly.usage.meter_queries import find_meter


def is_metered(stored: Stored) -> bool:
    return METER in stored.agreed.scope


async def demand_meters(read: AsyncConnection, pid: int, agreed: Agreed) -> None:
    """InvalidValueError: there is none of that name."""
    for n, name in enumerate(agreed.scope.get(METER, ())):
        if name == ALL_METERS:
            continue
        try:
            await find_meter(read, pid, name)
        except NotFoundError:
            raise InvalidValueError(f"scope.meter[{n}]", "there is no such meter") from None


async def metered(
    read: AsyncConnection,
    stored: Stored,
    from_at: datetime,
    to_at: datetime,
    *,
    now: datetime,
    size: Size | None = None,
) -> Mapping[str, MeterCosts]:
    """By the slug of each meter that has a price and is meant. `size`: as of `costs_of`."""
    pid, wanted = stored.row.pid, stored.agreed.scope[METER]
    asked: Sequence[str | None] = (None,)
    if named := stored.agreed.scope.get("customer"):
        known = await keys_of(read, pid, named)
        asked = sorted({known[name] for name in named if name in known})
    found: dict[str, list[CostLine]] = {}
    seen: set[tuple[str | None, str]] = set()
    for customer in asked:
        for meter in [None] if ALL_METERS in wanted else wanted:
            try:
                costs = await costs_of(
                    read, pid, from_at=from_at, to_at=to_at, zone=stored.zone, now=now, customer=customer, meter=meter,
                    size=size,
                )  # fmt: skip
            except InvalidValueError:
                if customer is None:
                    raise
                continue  # he was erased, and no use is his any more
            for line in costs.lines:
                if (customer, line.meter) not in seen:  # a meter may be named by its slug and by its id
                    found.setdefault(line.meter, []).append(line)
            seen |= {(customer, line.meter) for line in costs.lines}
    return {slug: MeterCosts(lines, _totals(lines)) for slug, lines in found.items()}


@dataclass(frozen=True, slots=True)
class ByDay:
    """`costs`: in the budget's currency, of the days on which something was used. `is_whole`: nothing else is to be
    known of them, but for what has no price.
    """

    costs: Mapping[date, Money]
    is_whole: bool


async def metered_by_day(read: AsyncConnection, stored: Stored, first: date, last: date, *, now: datetime) -> ByDay:
    """In one question, and in halves where that is more than can be looked at."""
    from_at, to_at = day_in(stored.zone, first).from_at, day_in(stored.zone, last).to_at
    if not from_at < to_at:
        return ByDay({}, is_whole=True)  # a day that the zone skipped
    costs = await metered(read, stored, from_at, to_at, now=now, size=Size.DAY)
    lines = [line for one in costs.values() for line in one.lines]
    if first < last and any(line.untold for line in lines):
        middle = first + (last - first) // ONE // 2 * ONE
        before = await metered_by_day(read, stored, first, middle, now=now)
        after = await metered_by_day(read, stored, middle + ONE, last, now=now)
        return ByDay({**before.costs, **after.costs}, is_whole=before.is_whole and after.is_whole)
    found: dict[date, Money] = {}
    for line in lines:
        day = day_of(stored.zone, line.from_at)
        found[day] = found.get(day, 0) + _cost_in(line, stored.agreed.currency)
    return ByDay(found, is_whole=not any(line.untold for line in lines))


async def metered_forecast(
    read: AsyncConnection, stored: Stored, period: Window, *, so_far: Money, now: datetime
) -> Forecast | None:
    """Of the period, which holds now. None: there are not enough days yet of which costs are known."""
    today = stored.today(now)
    found = await metered_by_day(read, stored, today - HISTORY, today, now=now)
    if not found.costs or not found.is_whole:
        return None
    began = min(found.costs)
    known = {began + n * ONE: found.costs.get(began + n * ONE, 0) for n in range((today - began) // ONE)}
    ahead = days_from(today + ONE, period, stored.zone)
    return forecast(known, so_far=so_far, today=(today, found.costs.get(today, 0)), ahead=ahead)


def _cost_in(line: CostLine, currency: str) -> Money:
    return (line.cost or 0) if line.price is not None and line.price.currency == currency else 0


def _totals(lines: Sequence[CostLine]) -> Mapping[str, Money]:
    found: dict[str, Money] = {}
    for line in lines:
        if line.cost is not None and line.price is not None:
            found[line.price.currency] = found.get(line.price.currency, 0) + line.cost
    return found


async def keys_of(read: AsyncConnection, pid: int, names: Sequence[str]) -> Mapping[str, str]:
    """Of those that name a customer by an alias, or by his id in other letters: his id, by which figures name him."""
    query = (
        sa.select(aliases.c.text, customers.c.uuid)
        .join(customers, sa.and_(customers.c.pid == aliases.c.pid, customers.c.id == aliases.c.customer_id))
        .where(aliases.c.pid == pid, aliases.c.text.in_(names))
    )
    found = {row.text: row.uuid for row in await read.execute(query)}
    return {name: name.lower() for name in names if UUID.fullmatch(name.lower())} | found
