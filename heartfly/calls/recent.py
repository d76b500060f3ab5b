"""Single calls, the newest first, out of the events, a page at a time, each with its cost at the prices of now.

A page looks at so many events and no more; it may hold few calls, or none, and the next one goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.calls.asked import Asked, Wanted
from heartfly.calls.single import Singles, Slice
from heartfly.calls.wanted import wanted_by
from heartfly.core.amounts import Amount
from heartfly.core.calls import CallFigures
from heartfly.core.events import read as parsed
from heartfly.core.lanes import sums_in
from heartfly.core.meters import text_at
from heartfly.core.money import Money
from heartfly.core.windows import Window
from heartfly.traffic.named import customers_of
from heartfly.traffic.single import Place
from heartfly.usage.call_columns import NO_TIME
from heartfly.usage.call_values import name_of, provider_of

MOST_LOOKED_AT = 20_000
"""Events of any kind that a page looks at."""
_LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """`latency_us` None: it was not told. `cost` None: not known, as `unpriced` kinds have no price. `given`: the
    caller told it. `customer_key`: what a filter takes. `n_odd`: values that could be read as nothing.
    """

    event_id: int
    transaction_id: str
    at: datetime
    provider: str
    model: str
    endpoint: str
    tier: str
    customer_key: str
    customer: str
    user: str
    key: str
    tags: Sequence[str]
    status: int
    error: str
    latency_us: int | None
    units: Mapping[str, Amount]
    cost: Mapping[str, Money] | None
    given: bool
    unpriced: Sequence[str]
    n_odd: int
    request_id: str


@dataclass(frozen=True, slots=True)
class Page:
    """`next`: from where to go on; None: that was all. `looked_up_to`: everything that is later was looked at."""

    calls: Sequence[Recent]
    next: Place | None
    looked_up_to: datetime


async def recent_calls(
    read: AsyncConnection, pid: int, asked: Asked, *, limit: int, after: Place | None = None
) -> Page:
    """InvalidValueError."""
    span = Window(asked.from_at, asked.to_at)
    wanted: Wanted = await wanted_by(read, pid, span, filters=asked.filters, by=())
    singles = Singles(read, pid, wanted)
    found: list[tuple[Any, Slice, int]] = []
    n, place = 0, after
    async for some in singles.between(span.from_at, span.to_at, before=after):
        found += [(some.rows[line], some, line) for line in some.lines]
        n += some.n
        place = some.last
        if place is None or len(found) > limit or n >= MOST_LOOKED_AT:
            break
    if len(found) > limit:
        found = found[:limit]
        place = (found[-1][0].at, found[-1][0].id)
    customers = await customers_of(read, pid, {row.subject_id for row, _, _ in found})
    measures = singles.measures
    calls = [_recent(row, some, line, measures, customers[row.subject_id]) for row, some, line in found]
    return Page(calls, place, asked.from_at if place is None else place[0])


def _recent(row: Any, some: Slice, line: int, measures: Sequence[str], customer: Any) -> Recent:
    told = some.told
    if told is None:
        raise ValueError("a line is of a page that was read")
    sums = sums_in(told.worth[line])
    figures = CallFigures()
    figures.add([measures[lane] for lane in sums.lanes], sums.amounts)
    properties = parsed(row.properties)
    return Recent(
        event_id=row.id,
        transaction_id=row.transaction_id,
        at=row.at,
        provider=provider_of(told.providers[line]),
        model=name_of(told.models[line]),
        endpoint=name_of(told.endpoints[line]),
        tier=name_of(text_at(properties, "tier")),
        customer_key=customer.key,
        customer=customer.name,
        user=name_of(told.users[line]),
        key=name_of(told.keys[line]),
        tags=[tag for tag in told.tags[line] if tag],
        status=told.statuses[line],
        error=(text_at(properties, "error") or "")[:_LONGEST_ERROR],
        latency_us=None if told.us[line] == NO_TIME else told.us[line],
        units=dict(sorted(figures.units.items())),
        cost=None if figures.unpriced or sums.n_unpriced else figures.cost,
        given=bool(figures.given),
        unpriced=sorted(figures.unpriced),
        n_odd=sums.n_odd,
        request_id=text_at(properties, "request_id") or "",
    )
