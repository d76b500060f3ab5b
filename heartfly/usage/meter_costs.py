"""What a customer's use of our own meters costs: lines that add up to the total, to the last digit.

Each meter is asked as its page asks it, out of rollups, in parts in which its prices stay the same; a figure is charged
by the price of its group. What no price is of is a line without a cost, and no line is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.amounts import Amount
from heartfly.core.meter_prices import ADDITIVE, MeterPrice, pieces, price_for
from heartfly.core.money import Money
from heartfly.core.tiles import State
from heartfly.core.versions import spans
from heartfly.core.windows import Size, Window
from heartfly.errors import InvalidValueError
from heartfly.usage.answers import Edge, Item, answer
from heartfly.usage.meter_prices import prices_of_meters
from heartfly.usage.meter_queries import Stored, find_meter, list_meters
from heartfly.usage.question import Question, demand_bounds
from heartfly.usage.whose import ids_of

MOST_METERS = 10_000
MOST_FIGURES = 50_000
"""Groups of one meter that are looked at."""
_AT_ONCE = 5_000
_DOUBT = (State.OPEN, State.PROVISIONAL, State.AMENDED, State.FINAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLine:
    """What was used in [from_at, to_at) under a price. `price` None: none is known, and so no cost. `untold`: why it is
    not known what was used.
    """

    meter: str
    name: str
    unit: str
    from_at: datetime
    to_at: datetime
    price: MeterPrice | None
    n: int = 0
    quantity: Amount = 0
    state: State = State.FINAL
    untold: str = ""

    @property
    def group(self) -> str:
        """For people: what the price is of. Empty: whatever the group."""
        only = {} if self.price is None else self.price.only
        return ", ".join(f"{name}: {'none' if value is None else value}" for name, value in only.items())

    @property
    def cost(self) -> Money | None:
        return None if self.price is None or self.untold else self.price.amount * self.quantity


@dataclass(frozen=True, slots=True)
class MeterCosts:
    """`totals`: by currency, of the lines that have a cost. `n_unpriced`: lines of use without one."""

    lines: Sequence[CostLine]
    totals: Mapping[str, Money]

    @property
    def n_unpriced(self) -> int:
        return sum(line.cost is None for line in self.lines)


NO_COSTS = MeterCosts((), {})


async def costs_of(
    read: AsyncConnection,
    pid: int,
    *,
    from_at: datetime,
    to_at: datetime,
    zone: ZoneInfo,
    now: datetime,
    customer: str | None = None,
    meter: str | None = None,
    size: Size | None = None,
) -> MeterCosts:
    """Of all meters that have a price, in the order in which they were made; or of one, by its slug or id.

    `customer`: by his public id; None: of all together. `size`: lines are of such windows of the zone; None: of all of
    the time. InvalidValueError; NotFoundError: there is no such meter.
    """
    demand_bounds(Question(from_at=from_at, to_at=to_at, size=None, zone=zone))
    if customer is not None:
        await ids_of(read, pid, of_customers=(customer,))  # also where no meter has a price he is asked for
    if meter is None:
        wanted = await list_meters(read, pid, limit=MOST_METERS, archived=None)
    else:
        wanted = [await find_meter(read, pid, meter)]
    priced = await prices_of_meters(read, pid, [one.row.id for one in wanted])
    lines: list[CostLine] = []
    for stored in wanted:
        prices = [kept.price for kept in priced[stored.row.id]]
        if prices:
            lines += await _lines(
                read, pid, stored, prices, Window(from_at, to_at), zone=zone, now=now, customer=customer, size=size
            )
    totals: dict[str, Money] = {}
    for line in lines:
        if line.price is not None and (cost := line.cost) is not None:
            totals[line.price.currency] = totals.get(line.price.currency, 0) + cost
    return MeterCosts(lines, totals)


async def _lines(
    read: AsyncConnection,
    pid: int,
    stored: Stored,
    prices: Sequence[MeterPrice],
    whole: Window,
    *,
    zone: ZoneInfo,
    now: datetime,
    customer: str | None,
    size: Size | None,
) -> Sequence[CostLine]:
    """One for each part and price, and one for what has none; without those that nothing was used of."""
    keys = list(dict.fromkeys(key for version in stored.versions for key in version.meter.group_keys))
    named = {key for price in prices for key in price.only}
    found: list[CostLine] = []
    for part in pieces(prices, whole):
        try:
            _demand_additive(stored, part)
            items = await _items(
                read, pid, stored, part, by=[key for key in keys if key in named], zone=zone, now=now,
                customer=customer, size=size,
            )  # fmt: skip
        except InvalidValueError as error:  # too many events one by one, or they are not kept any more
            found.append(_line(stored, part, None, untold=error.message))
            continue
        sums: dict[tuple[datetime, int], tuple[MeterPrice | None, list[Item]]] = {}
        for item in items:
            price = price_for(prices, keys, item.group, part.from_at)
            place = item.window.from_at, 0 if price is None else price.id
            sums.setdefault(place, (price, []))[1].append(item)
        for price, some in (sums[place] for place in sorted(sums)):
            n = sum(item.n for item in some)
            if n:
                quantity = sum(item.value or 0 for item in some)
                state = min((item.state for item in some), key=_DOUBT.index)
                found.append(_line(stored, some[0].window, price, n=n, quantity=quantity, state=state))
    return found


async def _items(
    read: AsyncConnection,
    pid: int,
    stored: Stored,
    part: Window,
    *,
    by: Sequence[str],
    zone: ZoneInfo,
    now: datetime,
    customer: str | None,
    size: Size | None,
) -> Sequence[Item]:
    question = Question(
        from_at=part.from_at,
        to_at=part.to_at,
        size=size,
        zone=zone,
        group_by=by,
        customers=() if customer is None else (customer,),
    )
    found: list[Item] = []
    after: Edge | None = None
    while True:
        told = await answer(read, pid, stored, question, now=now, limit=_AT_ONCE, after=after)
        found += told.items
        after = told.edge
        if after is None:
            return found
        if len(found) >= MOST_FIGURES:
            raise InvalidValueError("to", f"the meter has more than {MOST_FIGURES} groups in this time")


def _demand_additive(stored: Stored, part: Window) -> None:
    here = spans(stored.versions, part.from_at, part.to_at)
    if any(span.version.meter.aggregation not in ADDITIVE for span in here):
        raise InvalidValueError("meter", "it neither counts nor sums up in this time, so that it cannot have a price")


def _line(
    stored: Stored,
    part: Window,
    price: MeterPrice | None,
    *,
    n: int = 0,
    quantity: Amount = 0,
    state: State = State.PROVISIONAL,
    untold: str = "",
) -> CostLine:
    return CostLine(
        meter=stored.row.slug,
        name=stored.row.name,
        unit=stored.row.unit,
        from_at=part.from_at,
        to_at=part.to_at,
        price=price,
        n=n,
        quantity=quantity,
        state=state,
        untold=untold,
    )
