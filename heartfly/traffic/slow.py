"""The slowest requests, as they are kept of each hour: some of all, and some of each endpoint (docs/traffic.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.windows import HOUR
from heartfly.db.models import slow_requests
from heartfly.db.prepared import among
from heartfly.errors import InvalidValueError
from heartfly.traffic.asked import Asked, Slow
from heartfly.traffic.counting import counting
from heartfly.traffic.filters import Wanted, wanted_by
from heartfly.traffic.named import customers_of, endpoints_called

Place = tuple[int, int]
"""How long it took, in microseconds, and its event."""


async def slow(
    read: AsyncConnection, pid: int, asked: Asked, *, limit: int, after: Place | None = None, now: datetime
) -> tuple[list[Slow], Place | None]:
    """The slowest first, those behind `after`; and from where to go on, if there are more.

    InvalidValueError: also if it is asked for keys or sources, which are not kept of them.
    """
    del now  # what is kept is kept; what was not folded yet is not among it
    for field, unkept in (("key", asked.keys), ("source", asked.sources)):
        if unkept:
            raise InvalidValueError(field, "is not kept of slow requests: ask for the requests themselves")
    wanted = await wanted_by(read, pid, asked)
    if wanted.subjects == frozenset() or wanted.endpoints == frozenset():
        return [], None
    query, given = _statement(read, pid, wanted, after)
    rows = (await read.execute(query.limit(limit + 1), given)).all()
    customers = await customers_of(read, pid, {row.subject_id for row in rows})
    endpoints = await endpoints_called(read, pid, wanted, {row.endpoint_id for row in rows})
    found = [
        Slow(
            at=row.at,
            latency_us=row.latency_us,
            endpoint=endpoints[row.endpoint_id],
            customer_key=customers[row.subject_id].key,
            customer=customers[row.subject_id].name,
            status=row.status,
            path=row.path,
            request_id=row.request_id,
            event_id=row.event_id,
        )
        for row in rows[:limit]
    ]
    last = found[-1] if len(rows) > limit else None
    return found, None if last is None else (last.latency_us, last.event_id)


def _statement(
    read: AsyncConnection, pid: int, wanted: Wanted, after: Place | None
) -> tuple[sa.Select[Any], dict[str, Any]]:
    asked, s = wanted.asked, slow_requests.c
    w = counting(pid, "hour", asked.from_at - HOUR, asked.to_at)
    query = (
        sa.select(*(s[name] for name in _COLUMNS))
        .select_from(w.join(slow_requests, sa.and_(s.start_at == w.c.start_at, s.gen == w.c.gen)))
        .where(s.pid == pid, s.at >= asked.from_at, s.at < asked.to_at)
    )
    given: dict[str, Any] = {}
    for name, column, numbers in (
        ("endpoints", s.endpoint_id, wanted.endpoints),
        ("subjects", s.subject_id, wanted.subjects),
    ):
        if numbers is not None:
            query = query.where(among(read, column, name))
            given[name] = sorted(numbers)
    if wanted.statuses:
        query = query.where(sa.or_(*(s.status.between(low, high) for low, high in wanted.statuses)))
    if after is not None:
        latency_us, event_id = after
        query = query.where(s.latency_us <= latency_us, sa.or_(s.latency_us < latency_us, s.event_id > event_id))
    return query.order_by(s.latency_us.desc(), s.event_id), given


_COLUMNS = ("event_id", "at", "latency_us", "endpoint_id", "subject_id", "status", "path", "request_id")
