"""The shapes of prices of meters, and of what their use costs. Amounts are texts: exact."""

from __future__ import annotations

import msgspec

from heartfly.api.v1.wire import Instant
from heartfly.api.v1.wire_meters import exact
from heartfly.api.v1.wire_prices import amounts_out
from heartfly.core.money import currency_of, money_text, rate_text
from heartfly.core.price_given import amount_of
from heartfly.core.prices import ALWAYS
from heartfly.usage.meter_costs import CostLine, MeterCosts
from heartfly.usage.meter_prices import KeptPrice, Wanted


class MeterPriceIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What one unit of the meter's figure costs. `only`: values of group keys, null for figures without one; left out:
    whatever the group. Both instants are the beginning of an hour of UTC; left out: since ever, until further notice.
    """

    amount: str
    currency: str
    only: dict[str, str | None] = msgspec.field(default_factory=dict)
    from_at: Instant | None = None
    to_at: Instant | None = None


class MeterPriceEnd(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Null: until further notice."""

    to_at: Instant | None


class MeterPriceOut(msgspec.Struct, kw_only=True):
    """In force in [from_at, to_at). Null: since ever, until further notice."""

    id: str
    only: dict[str, str | None]
    from_at: Instant | None
    to_at: Instant | None
    amount: str
    currency: str
    created_at: Instant


class MeterPricePage(msgspec.Struct):
    items: list[MeterPriceOut]
    next: str | None


class MeterCostLineOut(msgspec.Struct, kw_only=True):
    """What was used in [from_at, to_at) under a price. `cost` is `quantity` times `amount`, to the last digit; null:
    there is no price, or `untold` says why it is not known what was used.
    """

    meter: str
    name: str
    unit: str
    from_at: Instant
    to_at: Instant
    price_id: str | None
    only: dict[str, str | None] | None
    events: int
    quantity: str | None
    amount: str | None
    currency: str | None
    cost: str | None
    state: str
    untold: str


class MeterCostsOut(msgspec.Struct, kw_only=True):
    """`totals`: by currency, what the lines add up to. `lines_without_cost` of them have none."""

    from_at: Instant
    to_at: Instant
    customer_id: str | None
    lines: list[MeterCostLineOut]
    totals: dict[str, str]
    lines_without_cost: int


SHAPES = (MeterPriceIn, MeterPriceEnd, MeterPricePage, MeterCostsOut)


def wanted_in(data: MeterPriceIn) -> Wanted:
    """InvalidValueError."""
    return Wanted(
        only=data.only,
        amount=amount_of(data.amount),
        currency=currency_of(data.currency),
        from_at=data.from_at,
        to_at=data.to_at,
    )


def meter_price_out(one: KeptPrice) -> MeterPriceOut:
    price = one.price
    return MeterPriceOut(
        id=str(price.id),
        only=dict(price.only),
        from_at=None if price.from_at <= ALWAYS else price.from_at,
        to_at=price.to_at,
        amount=rate_text(price.amount),
        currency=price.currency,
        created_at=one.created_at,
    )


def cost_lines_out(costs: MeterCosts) -> list[MeterCostLineOut]:
    return [_line(one) for one in costs.lines]


def totals_out(costs: MeterCosts) -> dict[str, str]:
    return amounts_out(costs.totals)


def _line(line: CostLine) -> MeterCostLineOut:
    price, cost = line.price, line.cost
    return MeterCostLineOut(
        meter=line.meter,
        name=line.name,
        unit=line.unit,
        from_at=line.from_at,
        to_at=line.to_at,
        price_id=None if price is None else str(price.id),
        only=None if price is None else dict(price.only),
        events=line.n,
        quantity=None if line.untold else exact(line.quantity),
        amount=None if price is None else rate_text(price.amount),
        currency=None if price is None else price.currency,
        cost=None if cost is None else money_text(cost),
        state=line.state.value,
        untold=line.untold,
    )
