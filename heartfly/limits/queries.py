"""How limits stand: what is used and reserved of each, who was denied, and what providers say of their own.

Reads only. What was written last is looked at as of now: what has left its window counts no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.limits.ledger import Ledger, Standing
from heartfly.core.windows import HOUR
from heartfly.db.models import limit_counters, limit_denials, limit_hours, limit_told, limits
from heartfly.db.types import EPOCH, micros
from heartfly.errors import NotFoundError
from heartfly.limits.book import limit_of, rules_of
from heartfly.limits.rows import values_of

DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A limit, its fullest counter (None: nothing was counted), how many it has, and its last 24 hours."""

    row: Any
    fullest: Standing | None
    n_counters: int
    checked: int
    denied: int
    opened: int


async def list_limits(read: AsyncConnection, pid: int, *, now: datetime, after: int = 0, limit: int) -> list[Shown]:
    """In the order in which they were made."""
    query = sa.select(limits).where(limits.c.pid == pid, limits.c.id > after).order_by(limits.c.id).limit(limit)
    return await _shown(read, pid, (await read.execute(query)).all(), now=now)


async def one_limit(read: AsyncConnection, pid: int, public_id: str, *, now: datetime) -> Shown:
    """NotFoundError."""
    row = (await read.execute(sa.select(limits).where(limits.c.pid == pid, limits.c.uuid == public_id))).first()
    if row is None:
        raise NotFoundError("there is no such limit")
    return (await _shown(read, pid, [row], now=now))[0]


async def counters_of(
    read: AsyncConnection, pid: int, row: Any, *, now: datetime, after: tuple[int, str] | None = None, limit: int
) -> list[tuple[Standing, int, str]]:
    """The fullest first, as they stood when each was written, with the place in that order: `level` and `scope`."""
    c = limit_counters.c
    query = sa.select(c.scope, c.state, c.level).where(c.pid == pid, c.limit_id == row.id, c.ends_at > now)
    if after is not None:
        query = query.where(sa.or_(c.level < after[0], sa.and_(c.level == after[0], c.scope > after[1])))
    found = (await read.execute(query.order_by(c.level.desc(), c.scope).limit(limit))).all()
    return [(_standing(row, one.scope, one.state, now=now), one.level, one.scope) for one in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class OfProvider:
    """A counter that holds for calls of a provider and model; empty: of all. `values`: what else is counted apart."""

    row: Any
    standing: Standing
    provider: str
    model: str
    values: Sequence[str]


async def fullest_by_provider(read: AsyncConnection, pid: int, *, now: datetime, limit: int) -> list[OfProvider]:
    """Of all limits that hold the fullest counters, as they stood when each was written; by provider and model."""
    c, r = limit_counters.c, limits.c
    query = (
        sa.select(*limits.c, c.scope.label("counted"), c.state)
        .join(limit_counters, sa.and_(c.pid == r.pid, c.limit_id == r.id))
        .where(r.pid == pid, r.active.is_(True), c.ends_at > now)
        .order_by(c.level.desc(), r.id, c.scope)
        .limit(limit)
    )
    found = []
    for row in (await read.execute(query)).all():
        standing = _standing(row, row.counted, row.state, now=now)
        rest = iter(standing.applied.values)
        told = {name: next(rest) if value is None else value for name, value in standing.applied.limit.scope}
        apart = [told[name] for name, value in standing.applied.limit.scope if value is None and name not in _PRODUCT]
        provider, model = (told.get(name, "") for name in _PRODUCT)
        found.append(OfProvider(row=row, standing=standing, provider=provider, model=model, values=apart))
    return sorted(found, key=lambda one: (one.provider, one.model, -one.standing.percent))


_PRODUCT = ("provider", "model")


async def list_denials(
    read: AsyncConnection,
    pid: int,
    *,
    public_id: str = "",
    after: tuple[datetime, int, str] | None = None,
    limit: int,
) -> Sequence[Any]:
    """Who was denied, the newest first, a row a minute; with `name` and `uuid` of the limit, and its `limit_scope`.

    `public_id`: of one limit. `after`: `last_at`, `limit_id` and `scope` of the last of the page before.
    """
    d, r = limit_denials.c, limits.c
    query = (
        sa.select(*d, r.name, r.uuid, r.unit, r.scope.label("limit_scope"))
        .join(limits, sa.and_(r.pid == d.pid, r.id == d.limit_id))
        .where(d.pid == pid)
    )
    if public_id:
        query = query.where(r.uuid == public_id)
    if after is not None:
        at, limit_id, scope = after
        query = query.where(
            sa.or_(
                d.last_at < at,
                sa.and_(d.last_at == at, d.limit_id < limit_id),
                sa.and_(d.last_at == at, d.limit_id == limit_id, d.scope > scope),
            )
        )
    order = (d.last_at.desc(), d.limit_id.desc(), d.scope)
    return (await read.execute(query.order_by(*order).limit(limit))).all()


async def told_by_providers(
    read: AsyncConnection, pid: int, *, after: tuple[str, str] | None = None, limit: int
) -> Sequence[Any]:
    """What each provider said last, for each of its models, by name."""
    t = limit_told.c
    query = sa.select(limit_told).where(t.pid == pid)
    if after is not None:
        query = query.where(sa.or_(t.provider > after[0], sa.and_(t.provider == after[0], t.model > after[1])))
    return (await read.execute(query.order_by(t.provider, t.model).limit(limit))).all()


async def _shown(read: AsyncConnection, pid: int, rows: Sequence[Any], *, now: datetime) -> list[Shown]:
    numbers = [row.id for row in rows]
    fullest = await _fullest(read, pid, numbers, now)
    lately = await _lately(read, pid, numbers, now)
    found = []
    for row in rows:
        first = fullest.get(row.id)
        standing = None if first is None else _standing(row, first.scope, first.state, now=now)
        checked, denied, opened = lately.get(row.id, (0, 0, 0))
        n = 0 if first is None else first.n
        found.append(Shown(row=row, fullest=standing, n_counters=n, checked=checked, denied=denied, opened=opened))
    return found


async def _fullest(read: AsyncConnection, pid: int, numbers: Sequence[int], now: datetime) -> Mapping[int, Any]:
    c = limit_counters.c
    ranked = (
        sa.select(
            c.limit_id,
            c.scope,
            c.state,
            sa.func.row_number().over(partition_by=c.limit_id, order_by=(c.level.desc(), c.scope)).label("place"),
            sa.func.count().over(partition_by=c.limit_id).label("n"),
        )
        .where(c.pid == pid, c.limit_id.in_(numbers), c.ends_at > now)
        .subquery()
    )
    rows = await read.execute(sa.select(ranked).where(ranked.c.place == 1))
    return {row.limit_id: row for row in rows}


async def _lately(
    read: AsyncConnection, pid: int, numbers: Sequence[int], now: datetime
) -> Mapping[int, tuple[int, int, int]]:
    h = limit_hours.c
    since = now - (now - EPOCH) % HOUR - DAY + HOUR
    sums = [sa.func.sum(column) for column in (h.checked, h.denied, h.opened)]
    query = sa.select(h.limit_id, *sums).where(h.pid == pid, h.limit_id.in_(numbers), h.hour >= since)
    return {row[0]: (int(row[1]), int(row[2]), int(row[3])) for row in await read.execute(query.group_by(h.limit_id))}


def _standing(row: Any, scope: str, state: str, *, now: datetime) -> Standing:
    limit, values = limit_of(row), values_of(scope)
    ledger = Ledger(rules_of(0, [row]).bounds, micros(now), {(limit.id, values): state})
    return ledger.standing(limit, values)
