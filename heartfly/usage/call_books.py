"""What calls cost at their instant, for who goes through many: of a project's prices only those that are asked for.

A book may have ten thousands of prices (usage/price_reading.py), and a project calls a few dozen products. Which price
holds is core/prices.py's.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import sqlalchemy as sa

from heartfly.core.prices import EVERY, Book, Sheet
from heartfly.db.models import prices
from heartfly.usage.price_reading import book_version, price_of


class Sheets(Protocol):
    """A Book, or whoever else knows what calls cost."""

    @property
    def version(self) -> str: ...

    def sheet(self, provider: str, product: str, tier: str, at: datetime) -> Sheet: ...


class Books:
    """Of one state of the data, as long as its connection reads one."""

    def __init__(self, connection: sa.Connection, pid: int) -> None:
        self.version = book_version(connection, pid)
        self._connection = connection
        self._pid = pid
        known = sa.select(prices.c.provider, prices.c.product).where(prices.c.pid == pid).distinct()
        self._known = {(row.provider, row.product) for row in connection.execute(known)}
        self._books: dict[tuple[str, str], Book] = {}

    def sheet(self, provider: str, product: str, tier: str, at: datetime) -> Sheet:
        # Names that no price has are many, and are all charged as each product of the provider.
        own = product if (provider, product) in self._known else EVERY
        book = self._books.get((provider, own))
        if book is None:
            book = self._book(provider, own)
            if book is not _NO_PRICES:  # providers of no price may be of any name
                self._books[provider, own] = book
        return book.sheet(provider, own, tier, at)

    def _book(self, provider: str, product: str) -> Book:
        if not {(provider, product), (provider, EVERY)} & self._known:
            return _NO_PRICES
        p = prices.c
        mine = sa.select(prices).where(p.pid == self._pid, p.provider == provider, p.product.in_((product, EVERY)))
        return Book([price_of(row) for row in self._connection.execute(mine)], self.version)


_NO_PRICES = Book(())
