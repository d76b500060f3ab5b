"""What calls will have cost by the end of a period, by currency, with a range: core/forecast.py says how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.calls.asked import Asked, Filters
from heartfly.calls.figures import answer
from heartfly.calls.series import series
from heartfly.core.calls import CallFigures
from heartfly.core.days import ONE, day_in, day_of
from heartfly.core.forecast import Forecast, forecast
from heartfly.core.money import Money
from heartfly.core.windows import Size, Window, window_at
from heartfly.traffic.asked import Trust

HISTORY = timedelta(days=56)
"""Days before today that a forecast looks at: eight weeks."""
_MONTHS_OF_QUARTER = 3


class Period(StrEnum):
    """That holds now, as the zone has it. Weeks begin on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """Of a currency. `forecast` None: there are not enough days yet of which costs are known."""

    currency: str
    so_far: Money
    forecast: Forecast | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostForecast:
    """`n_days`: whole days with calls, or after the first of them, that were looked at. `n_unpriced`: calls of the
    period whose cost is not known, so that all of this is too little.
    """

    period: Window
    items: Sequence[Foreseen]
    n_days: int
    n_unpriced: int
    trust: Trust


async def cost_forecast(
    read: AsyncConnection, pid: int, *, period: Window, filters: Filters, zone: ZoneInfo, now: datetime
) -> CostForecast:
    """`period`: holds now. InvalidValueError."""
    spent = await answer(read, pid, period.from_at, now, by=(), filters=filters, now=now, times=False)
    today = day_of(zone, now)
    first = day_in(zone, today - HISTORY).from_at
    asked = Asked(from_at=first, to_at=now, filters=filters)
    bins, _ = await series(read, pid, asked, size=Size.DAY, zone=zone, times=False, now=now)
    of_day: dict[date, CallFigures] = {
        day_of(zone, one.window.from_at): one.lines[0].figures if one.lines else CallFigures() for one in bins
    }
    whole = CallFigures() if not spent.lines else spent.lines[0].figures
    began = min((day for day, figures in of_day.items() if figures.n), default=today)
    known = [day for day in sorted(of_day) if began <= day < today]
    ahead = days_from(today + ONE, period, zone)
    currencies = sorted({*whole.cost, *(one for day in known for one in of_day[day].cost)})
    return CostForecast(
        period=period,
        items=[
            Foreseen(
                currency=currency,
                so_far=whole.cost.get(currency, 0),
                forecast=forecast(
                    _known(of_day, known, currency),
                    so_far=whole.cost.get(currency, 0),
                    today=(today, _cost(of_day, today, currency)),
                    ahead=ahead,
                ),
            )
            for currency in currencies
        ],
        n_days=len(known),
        n_unpriced=whole.n_unpriced,
        trust=spent.trust,
    )


def _known(of_day: Mapping[date, CallFigures], days: Sequence[date], currency: str) -> Mapping[date, Money]:
    """From the first day on that cost something in it: before, nobody could have said what a day of it costs."""
    began = next((place for place, day in enumerate(days) if currency in of_day[day].cost), len(days))
    return {day: of_day[day].cost.get(currency, 0) for day in days[began:]}


def _cost(of_day: Mapping[date, CallFigures], day: date, currency: str) -> Money:
    return of_day[day].cost.get(currency, 0) if day in of_day else 0


def days_from(first: date, period: Window, zone: ZoneInfo) -> Sequence[date]:
    """Of the period, from that one on."""
    found, day = [], first
    while day_in(zone, day).from_at < period.to_at:
        found.append(day)
        day += ONE
    return found


def period_at(period: Period, zone: ZoneInfo, now: datetime) -> Window:
    """The one that holds now."""
    if period in {Period.DAY, Period.WEEK, Period.MONTH}:
        return window_at(Size(period.value), zone, now)
    today = day_of(zone, now)
    if period is Period.YEAR:
        first, end = date(today.year, 1, 1), date(today.year + 1, 1, 1)
    else:
        month = (today.month - 1) // _MONTHS_OF_QUARTER * _MONTHS_OF_QUARTER + 1
        first = date(today.year, month, 1)
        last = month + _MONTHS_OF_QUARTER
        end = date(today.year + (last > 12), (last - 1) % 12 + 1, 1)
    return Window(day_in(zone, first).from_at, day_in(zone, end).from_at)
