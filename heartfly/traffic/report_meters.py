"""What a customer's report says of meters: the meters' own answers, asked in the way that their pages and the API ask.

Where days are wanted, a meter whose days add up is asked day by day and the whole is their sum: the same figure, as
partials add up exactly, and several times the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.days import day_of
from heartfly.core.meters import Aggregation
from heartfly.core.report_periods import Period
from heartfly.core.tiles import State, cut
from heartfly.core.versions import spans
from heartfly.core.windows import Size, Window
from heartfly.errors import InvalidValueError
from heartfly.traffic.report import MeterDay, MeterOf, worst
from heartfly.usage.answers import Item, answer
from heartfly.usage.meter_queries import Stored, list_meters
from heartfly.usage.question import Question

MOST = 30
"""Meters that are told: each is a question of its own."""
_ADDITIVE = frozenset({Aggregation.COUNT, Aggregation.SUM})


async def meters_of(
    read: AsyncConnection, pid: int, customer: str, period: Period, *, now: datetime, by_day: bool
) -> tuple[Sequence[MeterOf], bool]:
    """In the order in which they were made, also those that are archived by now; and whether there are more."""
    found: list[MeterOf] = []
    known = await list_meters(read, pid, limit=MOST + 1, archived=None)
    for stored in known[:MOST]:
        found += await _told(read, pid, stored, customer, period, now, by_day=by_day)
    return found, len(known) > MOST


async def _told(  # noqa: PLR0917 - one question, and what it is asked with
    read: AsyncConnection, pid: int, stored: Stored, customer: str, period: Period, now: datetime, *, by_day: bool
) -> list[MeterOf]:
    whole = Window(period.from_at, period.to_at)
    parts = cut(whole, spans(stored.versions, whole.from_at, whole.to_at))
    adds_up = len(parts) == 1 and _aggregation(stored, whole) in _ADDITIVE
    by_day = by_day and adds_up
    question = Question(
        from_at=whole.from_at,
        to_at=whole.to_at,
        size=Size.DAY if by_day else None,
        zone=period.zone,
        customers=(customer,),
    )
    try:
        told = await answer(read, pid, stored, question, now=now, limit=period.n_days + len(parts))
    except InvalidValueError as error:  # it would take too many events one by one, or they are not kept any more
        return [_of(stored, whole, untold=error.message)]
    if not by_day:
        found = [_of(stored, one.window, one) for one in told.items]
        return [replace(one, value=one.value or 0) for one in found] if adds_up else found
    days = [
        MeterDay(date=day_of(period.zone, one.window.from_at), state=one.state, n=one.n, value=one.value or 0)
        for one in told.items
    ]
    return [
        MeterOf(
            slug=stored.row.slug,
            name=stored.row.name,
            unit=stored.row.unit,
            aggregation=_aggregation(stored, whole),
            window=whole,
            n=sum(day.n for day in days),
            value=sum(day.value for day in days),
            state=worst([day.state for day in days] or [State.OPEN]),
            days=days,
        )
    ]


def _of(stored: Stored, window: Window, item: Item | None = None, *, untold: str = "") -> MeterOf:
    return MeterOf(
        slug=stored.row.slug,
        name=stored.row.name,
        unit=stored.row.unit,
        aggregation=_aggregation(stored, window),
        window=window,
        n=0 if item is None else item.n,
        value=None if item is None else item.value,
        state=State.PROVISIONAL if item is None else item.state,
        untold=untold,
    )


def _aggregation(stored: Stored, window: Window) -> Aggregation:
    """How the figures of a window add up: all versions that count there agree on that."""
    here = spans(stored.versions, window.from_at, window.to_at)
    return (here[0].version if here else stored.newest).meter.aggregation
