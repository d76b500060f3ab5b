"""Reading prices: lists with filters, in the order of their keys and times, one of them, and what to begin with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.calls import TYPE, UNITS
from heartfly.core.columns import Amounts, Page
from heartfly.core.lanes import sums_in
from heartfly.core.price_shelf import Held
from heartfly.core.prices import REQUESTS, Book, Price
from heartfly.db.models import events, prices, usage_names
from heartfly.db.types import instant, micros
from heartfly.errors import InvalidValueError, NotFoundError
from heartfly.usage.call_columns import CallReader
from heartfly.usage.call_values import name_of
from heartfly.usage.prices import held_of

_ORDER = ("provider", "product", "unit", "tier", "condition", "from_at")
_NEWEST = 500
"""Events that are looked through for a call to begin with."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A price with when it was written."""

    held: Held
    created_at: datetime

    @property
    def price(self) -> Price:
        return self.held.price


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What is empty or None asks for nothing. `at`: those in force then."""

    provider: str = ""
    product: str = ""
    unit: str = ""
    tier: str | None = None
    source: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A call that came lately: what a first price could be of."""

    provider: str
    product: str
    unit: str


async def list_prices(
    read: AsyncConnection, pid: int, which: Filter, *, after: str | None, limit: int
) -> Sequence[Kept]:
    """By provider, product, unit, tier, condition, and time. `after`: `edge_of` the one before the first."""
    p = prices.c
    query = sa.select(prices).where(*_wanted(pid, which)).order_by(*(p[name] for name in _ORDER)).limit(limit)
    if after is not None:
        bound = [sa.literal(value, p[name].type) for name, value in zip(_ORDER, _place(after), strict=True)]
        query = query.where(sa.tuple_(*(p[name] for name in _ORDER)) > sa.tuple_(*bound))
    return [_kept(row) for row in await read.execute(query)]


async def count_prices(read: AsyncConnection, pid: int, which: Filter) -> int:
    query = sa.select(sa.func.count()).select_from(prices).where(*_wanted(pid, which))
    return int((await read.execute(query)).scalar_one())


async def one_price(read: AsyncConnection, pid: int, number: int) -> Kept:
    """NotFoundError."""
    row = (await read.execute(sa.select(prices).where(prices.c.pid == pid, prices.c.id == number))).first()
    if row is None:
        raise NotFoundError("there is no such price")
    return _kept(row)


async def versions_of(read: AsyncConnection, pid: int, price: Price) -> Sequence[Kept]:
    """Of its key, in the order of their times."""
    p = prices.c
    key = zip(_ORDER, price.key, strict=False)
    query = sa.select(prices).where(p.pid == pid, *(p[name] == value for name, value in key)).order_by(p.from_at)
    return [_kept(row) for row in await read.execute(query)]


async def providers_of(read: AsyncConnection, pid: int) -> Sequence[str]:
    query = sa.select(prices.c.provider).where(prices.c.pid == pid).distinct().order_by(prices.c.provider)
    return [row.provider for row in await read.execute(query)]


async def example_of(read: AsyncConnection, pid: int) -> Example | None:
    """Out of the newest events; None: there is no call among them."""
    type_id = sa.select(usage_names.c.id).where(
        usage_names.c.pid == pid, usage_names.c.text == TYPE, usage_names.c.kind == "type"
    )
    number = (await read.execute(type_id)).scalar()
    if number is None:
        return None
    newest = sa.select(events.c.type_id, events.c.properties).where(events.c.pid == pid)
    for row in await read.execute(newest.order_by(events.c.at.desc()).limit(_NEWEST)):
        if row.type_id != number:
            continue
        reader = CallReader(Book(()))
        told = reader.told(Page([row.properties], Amounts()), [0])
        if (provider := name_of(told.providers[0])) != "":
            measures = list(reader.layout)
            told_of = (measures[lane].partition(":") for lane in sums_in(told.worth[0]).lanes)
            units = sorted((name for of, _, name in told_of if of == UNITS), key=lambda unit: (unit == REQUESTS, unit))
            return Example(provider.lower(), name_of(told.models[0]), units[0])
    return None


def edge_of(one: Kept) -> str:
    """The place of one in the list."""
    return json.dumps([*one.price.key, micros(one.price.from_at)], ensure_ascii=False)


def number_of(text: str) -> int:
    """NotFoundError: no price has such an id."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise NotFoundError("there is no such price")
    return int(text)


def _place(edge: str) -> Sequence[Any]:
    try:
        found = json.loads(edge)
        texts, at = found[:5], instant(int(found[5]))
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, RecursionError):
        raise InvalidValueError("cursor", "must be the `next` of a page of this list") from None
    if len(texts) != 5 or not all(isinstance(text, str) and text.isprintable() for text in texts):
        raise InvalidValueError("cursor", "must be the `next` of a page of this list")
    return [*texts, at]


def _wanted(pid: int, which: Filter) -> Sequence[sa.ColumnElement[bool]]:
    p = prices.c
    where = [p.pid == pid]
    given = (("provider", which.provider.lower()), ("product", which.product), ("unit", which.unit))
    where += [p[name] == value for name, value in (*given, ("source", which.source)) if value]
    if which.tier is not None:
        where.append(p.tier == which.tier)
    if which.at is not None:
        where += [p.from_at <= which.at, sa.or_(p.to_at.is_(None), p.to_at > which.at)]
    return where


def _kept(row: Any) -> Kept:
    return Kept(held_of(row), row.created_at)
