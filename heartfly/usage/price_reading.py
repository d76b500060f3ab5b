"""A project's prices of calls, as one book that whoever works out costs can keep for as long as its version holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.prices import Book, Price
from heartfly.db.models import price_books, prices
from heartfly.db.types import Json

NO_CHANGES = "0"
"""The version of a book of a project whose prices nobody has ever written."""

_COLUMNS = ("provider", "product", "unit", "tier", "condition", "from_at", "to_at", "amount", "currency")


def book_of(connection: sa.Connection, pid: int) -> Book:
    """All in one state, if the connection reads one."""
    version = connection.execute(_version(pid)).scalar()
    return _book(connection.execute(_all(pid)), version)


async def read_book(read: AsyncConnection, pid: int) -> Book:
    version = (await read.execute(_version(pid))).scalar()
    return _book(await read.execute(_all(pid)), version)


def book_version(connection: sa.Connection, pid: int) -> str:
    """That of the book which `book_of` would make: a row of the database, where that may be some ten thousand."""
    return str(connection.execute(_version(pid)).scalar() or NO_CHANGES)


def prices_of(connection: sa.Connection, pid: int, products: Sequence[tuple[str, str]]) -> list[Price]:
    """Of these providers' products, however many, in one query."""
    p, given = prices.c, sa.bindparam("products", type_=Json())
    if connection.dialect.name == "postgresql":
        each = sa.func.jsonb_array_elements(given).table_valued(sa.column("value", JSONB))
        places = sa.select(each.c.value[0].astext, each.c.value[1].astext)
    else:
        each = sa.func.json_each(given).table_valued("value")
        places = sa.select(*(sa.func.json_extract(each.c.value, f"$[{place}]") for place in (0, 1)))
    query = _all(pid).where(sa.tuple_(p.provider, p.product).in_(places))
    return _told(connection.execute(query, {"products": [list(one) for one in products]}))


def price_of(row: Any) -> Price:
    return Price(**{name: getattr(row, name) for name in _COLUMNS})


def _book(rows: Iterable[Any], version: int | None) -> Book:
    return Book(_told(rows), str(version or NO_CHANGES))


def _told(rows: Iterable[Any]) -> list[Price]:
    return [Price(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]


def _version(pid: int) -> sa.Select[Any]:
    return sa.select(price_books.c.seq).where(price_books.c.pid == pid)


def _all(pid: int) -> sa.Select[Any]:
    return sa.select(*(prices.c[name] for name in _COLUMNS)).where(prices.c.pid == pid)
