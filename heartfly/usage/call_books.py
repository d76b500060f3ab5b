"""What calls cost at their instant, for who goes through many: of a project's prices only those that are asked for.

A book may have ten thousands of prices (usage/price_reading.py), and a project calls a few dozen products. Which price
holds is core/prices.py's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa

from heartfly.core.prices import EVERY, Book, Price, Sheet
from heartfly.db.models import prices
from heartfly.usage.price_reading import book_version, prices_of

_Product = tuple[str, str]
"""A provider, and what it charges for."""


class Sheets(Protocol):
    """A Book, or whoever else knows what calls cost. `foresee`: these are asked for next."""

    @property
    def version(self) -> str: ...

    def foresee(self, products: Iterable[_Product]) -> None: ...

    def sheet(self, provider: str, product: str, tier: str, at: datetime) -> Sheet: ...


class Books:
    """Of one state of the data, as long as its connection reads one."""

    def __init__(self, connection: sa.Connection, pid: int) -> None:
        self.version = book_version(connection, pid)
        self._connection = connection
        self._pid = pid
        known = sa.select(prices.c.provider, prices.c.product).where(prices.c.pid == pid).distinct()
        self._known = {(row.provider, row.product) for row in connection.execute(known)}
        self._books: dict[_Product, Book] = {}

    def foresee(self, products: Iterable[_Product]) -> None:
        """Whatever they are, their prices are one query, where each would be one of its own."""
        missing = {place for place in map(self._charged_as, products) if place not in self._books}
        # Providers of no price may be of any name: nothing is remembered of those.
        missing = {(provider, own) for provider, own in missing if {(provider, own), (provider, EVERY)} & self._known}
        if missing:
            found = self._prices(missing | {(provider, EVERY) for provider, _ in missing})
            for provider, own in missing:
                mine = {(provider, own), (provider, EVERY)}
                self._books[provider, own] = Book(
                    [price for place in mine for price in found.get(place, ())], self.version
                )

    def sheet(self, provider: str, product: str, tier: str, at: datetime) -> Sheet:
        place = self._charged_as((provider, product))
        if place not in self._books:
            self.foresee([place])
        return self._books.get(place, _NO_PRICES).sheet(*place, tier, at)

    def _charged_as(self, product: _Product) -> _Product:
        """Names that no price has are many, and are all charged as each product of the provider."""
        return product if product in self._known else (product[0], EVERY)

    def _prices(self, places: Collection[_Product]) -> Mapping[_Product, Sequence[Price]]:
        found: dict[_Product, list[Price]] = {}
        for price in prices_of(self._connection, self._pid, sorted(places)):
            found.setdefault((price.provider, price.product), []).append(price)
        return found


_NO_PRICES = Book(())
