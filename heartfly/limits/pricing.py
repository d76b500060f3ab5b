"""What a call costs for limits of cost, where its caller does not say: by the project's prices of its instant.

Only looked up where a limit of cost holds. A cost that is not wholly known counts as what is known of it; prices
themselves are core/prices.py's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime

from heartfly.core.amounts import ONE, PLACES, Amount
from heartfly.core.limits.rules import COST, REQUESTS, Applied
from heartfly.core.limits.scope import Call
from heartfly.core.money import MONEY_PLACES
from heartfly.core.prices import STANDARD, Book
from heartfly.db.changes import Tx
from heartfly.usage.price_reading import book_of, book_version

_MOST_BOOKS = 100
_FINER = 10 ** (MONEY_PLACES - PLACES)


class Pricing:
    """For the writers of a process, each of which asks within its transaction."""

    def __init__(self) -> None:
        self._books: OrderedDict[int, Book] = OrderedDict()

    def priced(
        self,
        tx: Tx,
        pid: int,
        call: Call,
        units: Mapping[str, Amount],
        applied: Sequence[Applied],
        *,
        at: datetime,
        tier: str = STANDARD,
    ) -> Mapping[str, Amount]:
        """The same units, and what they cost; the same if that is said, or no limit asks for it."""
        # Two plain loops: this is asked at each check, and nearly always it is said, or there is no such limit.
        for name in units:
            if name.startswith(COST):
                return units
        for one in applied:
            if one.limit.unit.startswith(COST):
                break
        else:
            return units
        return with_cost(self._book(tx, pid), call, units, at=at, tier=tier)

    def _book(self, tx: Tx, pid: int) -> Book:
        version = book_version(tx.conn, pid)
        known = self._books.get(pid)
        if known is None or known.version != version:
            known = self._books[pid] = book_of(tx.conn, pid)
            if len(self._books) > _MOST_BOOKS:
                self._books.popitem(last=False)
        self._books.move_to_end(pid)
        return known


def with_cost(
    book: Book, call: Call, units: Mapping[str, Amount], *, at: datetime, tier: str = STANDARD
) -> Mapping[str, Amount]:
    """The same units, and what they cost by the book; the same if that is said."""
    if any(name.startswith(COST) for name in units):
        return units
    cost = book.cost(call.provider, call.model, tier, {REQUESTS: ONE} | dict(units), at)
    # Up: what is rounded away a million times would be let through.
    return {**units, **{f"{COST}{currency}": -(-money // _FINER) for currency, money in cost.amounts.items()}}
