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
    query, given = _statement(read, pid, wanted, after, limit + 1)
    rows = (await read.execute(query, given)).all()
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
    read: AsyncConnection, pid: int, wanted: Wanted, after: Place | None, n: int
) -> tuple[sa.Select[Any], dict[str, Any]]:
    """Where nothing is filtered, only the `n` slowest of each hour are looked at; more cannot be among those of all."""
    asked = wanted.asked
    w = counting(pid, "hour", asked.from_at - HOUR, asked.to_at)
    given: dict[str, Any] = {}

    def asked_of(table: sa.FromClause) -> list[sa.ColumnElement[bool]]:
        s = table.c
        found = [s.pid == pid, s.start_at == w.c.start_at, s.gen == w.c.gen]
        found += [s.at >= asked.from_at, s.at < asked.to_at]
        if after is not None:
            latency_us, event_id = after
            found += [s.latency_us <= latency_us, sa.or_(s.latency_us < latency_us, s.event_id > event_id)]
        return found

    s = slow_requests.c
    where = asked_of(slow_requests)
    for name, column, numbers in (
        ("endpoints", s.endpoint_id, wanted.endpoints),
        ("subjects", s.subject_id, wanted.subjects),
    ):
        if numbers is not None:
            where.append(among(read, column, name))
            given[name] = sorted(numbers)
    if wanted.statuses:
        where.append(sa.or_(*(s.status.between(low, high) for low, high in wanted.statuses)))
    if not given and not wanted.statuses:
        same_hour = slow_requests.alias()
        nth = sa.select(same_hour.c.latency_us).where(*asked_of(same_hour)).order_by(same_hour.c.latency_us.desc())
        where.append(s.latency_us >= sa.func.coalesce(nth.limit(1).offset(n - 1).correlate(w).scalar_subquery(), 0))
    query = sa.select(*(s[name] for name in _COLUMNS)).select_from(w.join(slow_requests, sa.and_(*where[:3])))
    return query.where(*where[3:]).order_by(s.latency_us.desc(), s.event_id).limit(n), given


_COLUMNS = ("event_id", "at", "latency_us", "endpoint_id", "subject_id", "status", "path", "request_id")
