"""What calls in a budget's scope have cost: in a period, on its last days, and of each of its parts.

Read from what usage has folded, each time anew; so late events, corrections and other prices are in it. Only the
budget's own currency counts. What calls come to, and how, is decided in calls/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.budgets.metering import is_metered, keys_of, metered, metered_by_day, metered_forecast
from heartfly.budgets.rows import Stored
from heartfly.calls.asked import Line
from heartfly.calls.figures import figures, lines_of
from heartfly.calls.forecasts import cost_forecast
from heartfly.calls.gather import gathered
from heartfly.core.budget_burn import BURN_DAYS, burn, gone_on
from heartfly.core.budget_periods import Period
from heartfly.core.budgets import MILLIONTH, Seen, Terms, allocation_key
from heartfly.core.calls import Dimension
from heartfly.core.days import ONE, day_in, day_of
from heartfly.core.money import Money, money_text
from heartfly.core.windows import Window
from heartfly.errors import InvalidValueError
from heartfly.traffic.filters import subjects_called
from heartfly.usage.meter_costs import MeterCosts

_AHEAD = timedelta(days=2)
"""How far beyond now a period without an end is asked about: no event is taken that lies further ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """`others`: in other currencies. `n_unpriced`: calls whose cost is not known."""

    spent: Money = 0
    others: Mapping[str, Money] = field(default_factory=dict)
    n_calls: int = 0
    n_unpriced: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """All that is known of a period. `days`: the last whole ones, and today. `burnt`: a day's, to the last place.

    `gone_on`: when it runs out, if that is within the period. `foreseen`: low, likely and high at its end. These are
    of the period that is now only.
    """

    period: Period
    terms: Terms
    seen: Seen
    cost: Cost
    by_part: Mapping[str, Money]
    days: Sequence[tuple[date, Money]] = ()
    burnt: Money | None = None
    gone_on: date | None = None
    foreseen: tuple[Money, Money, Money] | None = None


async def cost_of(read: AsyncConnection, stored: Stored, period: Period, *, now: datetime) -> Cost:
    from_at, to_at = _bounds(stored, period, now)
    if is_metered(stored):
        return _together((await metered(read, stored, from_at, to_at, now=now)).values(), stored.agreed.currency)
    lines = await _lines(read, stored, from_at, to_at, (), now=now)
    currency, others = stored.agreed.currency, dict[str, Money]()
    for line in lines:
        for name, money in line.cost.items():
            others[name] = others.get(name, 0) + money
    return Cost(
        spent=others.pop(currency, 0),
        others=dict(sorted(others.items())),
        n_calls=sum(line.n for line in lines),
        n_unpriced=sum(line.n_unpriced for line in lines),
    )


def _together(costs: Iterable[MeterCosts], currency: str) -> Cost:
    found, n, n_unpriced = dict[str, Money](), 0, 0
    for one in costs:
        for name, money in one.totals.items():
            found[name] = found.get(name, 0) + money
        n, n_unpriced = n + sum(line.n for line in one.lines), n_unpriced + one.n_unpriced
    return Cost(spent=found.pop(currency, 0), others=dict(sorted(found.items())), n_calls=n, n_unpriced=n_unpriced)


async def see(read: AsyncConnection, stored: Stored, period: Period, terms: Terms, *, now: datetime) -> Seen:
    """What is needed to judge it by these terms."""
    cost = await cost_of(read, stored, period, now=now)
    parts = await _by_part(read, stored, period, terms, now=now)
    if not _is_now(stored, period, now):
        return Seen(spent=cost.spent, by_allocation=parts)
    if terms.spike is None and terms.low_days is None:
        return Seen(spent=cost.spent, by_allocation=parts, day=stored.today(now))
    return await _seen(read, stored, period, cost, parts, now=now)


async def standing(
    read: AsyncConnection, stored: Stored, period: Period, *, now: datetime, foresee: bool = True
) -> Standing:
    """What is shown of it. `foresee`: also what it will come to, which is the longest question."""
    terms = stored.agreed.terms
    cost = await cost_of(read, stored, period, now=now)
    parts = await _by_part(read, stored, period, terms, now=now)
    if not _is_now(stored, period, now):
        seen = Seen(spent=cost.spent, by_allocation=parts)
        return Standing(period=period, terms=terms, seen=seen, cost=cost, by_part=parts)
    seen, today = await _seen(read, stored, period, cost, parts, now=now), stored.today(now)
    burnt, gone = burn(seen.before), None
    if terms.amount is not None:
        gone = gone_on(today, terms.amount - seen.spent, burnt, share_left=_share_left(stored, today, now))
    first = today - len(seen.before) * ONE
    return Standing(
        period=period,
        terms=terms,
        seen=seen,
        cost=cost,
        by_part=parts,
        days=[(first + n * ONE, money) for n, money in enumerate([*seen.before, seen.today])],
        burnt=None if burnt is None else round(burnt),
        gone_on=None if gone is None or (period.last is not None and gone > period.last) else gone,
        foreseen=await _foreseen(read, stored, period, cost, now=now) if foresee else None,
    )


async def _foreseen(
    read: AsyncConnection, stored: Stored, period: Period, cost: Cost, *, now: datetime
) -> tuple[Money, Money, Money] | None:
    """None: it has no end, or there are not enough days yet."""
    to_at = period.to_at(stored.zone)
    if to_at is None:
        return None
    window = Window(period.from_at(stored.zone), to_at)
    if window.from_at >= now:
        return None
    if is_metered(stored):
        mine = await metered_forecast(read, stored, window, so_far=cost.spent, now=now)
    else:
        filters = await _filters(read, stored)
        if filters is None:
            return None
        found = await cost_forecast(read, stored.row.pid, period=window, filters=filters, zone=stored.zone, now=now)
        mine = next((one.forecast for one in found.items if one.currency == stored.agreed.currency), None)
    return None if mine is None else (mine.low, mine.expected, mine.high)


@dataclass(frozen=True, slots=True)
class Example:
    """A budget that nobody has made. `spent`: in the last thirty days."""

    currency: str
    spent: Money
    amount: Money

    @property
    def query(self) -> Mapping[str, str]:
        """Of the form that has it."""
        return {"name": "Calls to APIs", "currency": self.currency, "amount": money_text(self.amount)}


async def example(read: AsyncConnection, pid: int, zone: ZoneInfo, *, now: datetime) -> Example | None:
    """Out of what was spent in the last thirty days, in the currency of the most of it; None: nothing was."""
    today = day_of(zone, now)
    from_at, to_at = day_in(zone, today - _EXAMPLE_DAYS * ONE).from_at, day_in(zone, today).to_at
    by_currency: dict[str, Money] = {}
    for line in await figures(read, pid, from_at, to_at, by=(), now=now, times=False):
        for currency, money in line.cost.items():
            by_currency[currency] = by_currency.get(currency, 0) + money
    known = {currency: money for currency, money in by_currency.items() if money >= MILLIONTH}
    if not known:
        return None
    currency = max(known, key=lambda one: (known[one], one))
    return Example(currency, known[currency], _rounded_up(known[currency] * 6 // 5))


_EXAMPLE_DAYS = 30


def _rounded_up(money: Money) -> Money:
    """To two digits, of a millionth at least."""
    unit: Money = MILLIONTH
    while unit * 100 <= money:
        unit *= 10
    return -(-money // unit) * unit


async def _seen(
    read: AsyncConnection, stored: Stored, period: Period, cost: Cost, parts: Mapping[str, Money], *, now: datetime
) -> Seen:
    today = stored.today(now)
    days = await _spent_by_day(read, stored, [today - n * ONE for n in range(BURN_DAYS, -1, -1)], now=now)
    left = None
    if period.last is not None:
        left = _share_left(stored, today, now) + (period.last - today) // ONE
    return Seen(
        spent=cost.spent,
        by_allocation=parts,
        day=today,
        today=days[-1],
        before=days[:-1],
        days_left=left,
    )


async def _spent_by_day(
    read: AsyncConnection, stored: Stored, days: Sequence[date], *, now: datetime
) -> Sequence[Money]:
    """`days`: one after the other. In one question. A day that the zone skipped cost nothing."""
    if is_metered(stored):
        by_day = await metered_by_day(read, stored, days[0], days[-1], now=now)
        return [by_day.costs.get(day, 0) for day in days]
    filters = await _filters(read, stored)
    if filters is None:
        return [0 for _ in days]
    spans = {day: day_in(stored.zone, day) for day in days}
    lasting = [day for day in days if spans[day].from_at < spans[day].to_at]
    windows = [Window(spans[day].from_at, spans[day].to_at) for day in lasting]
    found = await gathered(read, stored.row.pid, windows, by=(), filters=filters, now=now, times=False)
    cost = {lasting[n]: one.cost.get(stored.agreed.currency, 0) for (n, _), one in found.figures.items()}
    return [cost.get(day, 0) for day in days]


async def _by_part(
    read: AsyncConnection, stored: Stored, period: Period, terms: Terms, *, now: datetime
) -> Mapping[str, Money]:
    """Of each allocation that the terms have."""
    found: dict[str, Money] = {}
    if not terms.allocations:
        return found
    from_at, to_at = _bounds(stored, period, now)
    if is_metered(stored):
        costs = await metered(read, stored, from_at, to_at, now=now)
        return {
            allocation_key(by, name): costs[name].totals.get(stored.agreed.currency, 0) if name in costs else 0
            for by, name in stored.agreed.allocations
        }
    for by in sorted({by for by, _ in stored.agreed.allocations}):
        lines = await _lines(read, stored, from_at, to_at, (Dimension(by),), now=now)
        spent = {line.key[Dimension(by)]: line.cost.get(stored.agreed.currency, 0) for line in lines}
        names = [name for part, name in stored.agreed.allocations if part == by]
        keys = await keys_of(read, stored.row.pid, names) if by == Dimension.CUSTOMER else {}
        found |= {allocation_key(by, name): spent.get(keys.get(name, name), 0) for name in names}
    return found


async def _lines(
    read: AsyncConnection,
    stored: Stored,
    from_at: datetime,
    to_at: datetime,
    by: Sequence[Dimension],
    *,
    now: datetime,
) -> Sequence[Line]:
    filters = await _filters(read, stored)
    if filters is None:
        return ()
    # To the instant: what is asked of the present hour as a whole would reach beyond the period.
    window = Window(from_at, to_at)
    return lines_of(await gathered(read, stored.row.pid, [window], by=by, filters=filters, now=now, times=False), 0)


async def _filters(read: AsyncConnection, stored: Stored) -> Mapping[Dimension, Sequence[str]] | None:
    """None: none of its customers has ever sent anything, or is known any more."""
    found = {Dimension(name): tuple(values) for name, values in stored.agreed.scope.items()}
    if customers := found.get(Dimension.CUSTOMER):
        known = [one for one in customers if await _is_known(read, stored.row.pid, one)]
        if not known:
            return None
        found[Dimension.CUSTOMER] = tuple(known)
    return found


async def _is_known(read: AsyncConnection, pid: int, customer: str) -> bool:
    try:
        return bool(await subjects_called(read, pid, [customer]))
    except InvalidValueError:  # it is the id of nobody: he was erased, and no call is his any more
        return False


def _bounds(stored: Stored, period: Period, now: datetime) -> tuple[datetime, datetime]:
    return period.from_at(stored.zone), period.to_at(stored.zone) or now + _AHEAD


def _is_now(stored: Stored, period: Period, now: datetime) -> bool:
    return period.last is None or stored.today(now) <= period.last


def _share_left(stored: Stored, today: date, now: datetime) -> Fraction:
    """Of today, which may have 23 or 25 hours."""
    of_day = day_in(stored.zone, today)
    return Fraction((of_day.to_at - now) // _TICK, (of_day.to_at - of_day.from_at) // _TICK)


_TICK = timedelta(microseconds=1)
