"""Single requests as they are searched: the newest first, out of the events, a page at a time.

A page looks at so many events and no more; it may hold few requests, or none, and the next one goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.amounts import Amount
from heartfly.traffic.asked import Asked
from heartfly.traffic.filters import wanted_by
from heartfly.traffic.named import customers_of
from heartfly.traffic.single import Place, Single, singles, text_of
from heartfly.traffic.span import asked_window

MOST_LOOKED_AT = 20_000
"""Events of any kind that a page looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A request. `latency_ms` exact; None and empty texts: it was not told. `customer_key`: what a filter takes."""

    event_id: int
    transaction_id: str
    at: datetime
    method: str
    endpoint: str
    path: str
    status: int
    latency_ms: Amount | None
    bytes_in: int
    bytes_out: int
    customer_key: str
    customer: str
    key: str
    source: str
    ip: str
    user_agent: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Page:
    """`next`: from where to go on; None: that was all. `looked_up_to`: everything that is later was looked at."""

    requests: Sequence[Found]
    next: Place | None
    looked_up_to: datetime


async def requests(
    read: AsyncConnection, pid: int, asked: Asked, *, limit: int, after: Place | None = None, now: datetime
) -> Page:
    """InvalidValueError."""
    wanted = await wanted_by(read, pid, asked)
    span = asked_window(wanted, now)
    found: list[Single] = []
    n, place = 0, after
    async for some in singles(read, pid, wanted, span.from_at, span.to_at, before=after):
        found += some.singles
        n += some.n
        place = some.last
        if place is None or len(found) > limit or n >= MOST_LOOKED_AT:
            break
    if len(found) > limit:
        found = found[:limit]
        place = (found[-1].at, found[-1].id)
    customers = await customers_of(read, pid, {one.subject_id for one in found})
    rows = [
        Found(
            event_id=one.id,
            transaction_id=one.transaction_id,
            at=one.at,
            method=one.told.method,
            endpoint=one.told.endpoint,
            path=text_of(one.told.properties.path) or "",
            status=one.told.status,
            latency_ms=one.told.latency,
            bytes_in=one.told.bytes_in,
            bytes_out=one.told.bytes_out,
            customer_key=customers[one.subject_id].key,
            customer=customers[one.subject_id].name,
            key=one.told.key,
            source=one.told.source,
            ip=text_of(one.told.properties.ip) or "",
            user_agent=text_of(one.told.properties.user_agent) or "",
            request_id=text_of(one.told.properties.request_id) or "",
        )
        for one in found
    ]
    return Page(rows, place, asked.from_at if place is None else place[0])
