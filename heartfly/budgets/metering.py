"""Budgets of our own meters: what their use has cost, by meter, as reports tell it (usage/meter_costs.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.budgets.config import ALL_METERS, METER, Agreed
from heartfly.budgets.rows import Stored
from heartfly.checks.queries import UUID
from heartfly.core.money import Money
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
    read: AsyncConnection, stored: Stored, from_at: datetime, to_at: datetime, *, now: datetime
) -> Mapping[str, MeterCosts]:
    """By the slug of each meter that has a price and is meant."""
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
                    read, pid, from_at=from_at, to_at=to_at, zone=stored.zone, now=now, customer=customer, meter=meter
                )
            except InvalidValueError:
                if customer is None:
                    raise
                continue  # he was erased, and no use is his any more
            for line in costs.lines:
                if (customer, line.meter) not in seen:  # a meter may be named by its slug and by its id
                    found.setdefault(line.meter, []).append(line)
            seen |= {(customer, line.meter) for line in costs.lines}
    return {slug: MeterCosts(lines, _totals(lines)) for slug, lines in found.items()}


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
