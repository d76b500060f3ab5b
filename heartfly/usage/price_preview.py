"""What a change of prices would make of the calls that there were: what they cost, and would cost, by currency.

Works on the calls themselves, the newest first, up to a number of events. Runs in the process beside (hands.py), and
only reads. Calls that tell their own cost are counted, and stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.core.calls import TYPE
from heartfly.core.events import read as parsed
from heartfly.core.money import Money
from heartfly.core.price_shelf import Change, Held, Plan, Shelf
from heartfly.core.prices import ALWAYS, EVERY, Book
from heartfly.db.models import events, prices, usage_names
from heartfly.db.snapshots import Place, as_read, pages, snapshot
from heartfly.usage.call_units import failed, text_of, units_of
from heartfly.usage.price_imports import Imported, PriceFile, demand_file, lay_file, read_file
from heartfly.usage.prices import Source, demand_times, held_of

MOST_EVENTS = 200_000
"""Of any type: the newest of the span."""


@dataclass(slots=True)
class PricesForeseen:
    """In [from_at, to_at) prices would be others; None: since ever, until further notice. `looked_from`: from when on
    calls were looked at; None: all of the span.

    `n_calls`: of what the prices are about. `n_given`: of these, such as tell their own cost. `n_priced` would have a
    cost and have none now, `n_unpriced` the other way about. `before` and `after`: by currency, of those whose cost is
    known.
    """

    from_at: datetime | None = None
    to_at: datetime | None = None
    looked_from: datetime | None = None
    n_prices: int = 0
    n_calls: int = 0
    n_given: int = 0
    n_changed: int = 0
    n_priced: int = 0
    n_unpriced: int = 0
    n_unknown: int = 0
    before: dict[str, Money] = field(default_factory=dict)
    after: dict[str, Money] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImportForeseen:
    file: PriceFile
    imported: Imported
    calls: PricesForeseen


def foresee_change(place: Place, pid: int, change: Change, now: datetime) -> PricesForeseen:
    """InvalidValueError, NotFoundError: as the change itself."""
    demand_times(change)
    with snapshot(place) as connection:
        held = _all(connection, pid)
        shelf = Shelf(held)
        shelf.apply(change, Source.HAND, now)
        return _foreseen(connection, pid, shelf.plan(), held, shelf)


def foresee_import(
    place: Place, pid: int, raw: bytes, kind: str, *, from_at: datetime, over_hand: bool
) -> ImportForeseen:
    """InvalidValueError: it is no such file."""
    file = read_file(raw, kind, from_at=from_at)
    demand_file(file)
    with snapshot(place) as connection:
        held = _all(connection, pid)
        shelf = Shelf(held)
        imported = lay_file(shelf, held, file, over_hand=over_hand)
        return ImportForeseen(file, imported, _foreseen(connection, pid, imported.plan, held, shelf))


def _all(connection: sa.Connection, pid: int) -> Sequence[Held]:
    return [held_of(row) for row in connection.execute(sa.select(prices).where(prices.c.pid == pid))]


def _foreseen(connection: sa.Connection, pid: int, plan: Plan, held: Sequence[Held], shelf: Shelf) -> PricesForeseen:
    found = PricesForeseen()
    if not plan:
        return found
    found.n_prices = len(plan.added) + len(plan.changed) + len(plan.gone)
    found.from_at = None if plan.from_at <= ALWAYS else plan.from_at
    found.to_at = plan.to_at
    query = sa.select(usage_names.c.id).where(
        usage_names.c.pid == pid, usage_names.c.text == TYPE, usage_names.c.kind == "type"
    )
    type_id: int | None = connection.execute(query).scalar()
    if type_id is None:
        return found
    books = Book(one.price for one in held), Book(shelf.prices())
    concerned = {(price.provider, price.product) for price in plan.touched}
    where = [events.c.pid == pid, events.c.at >= plan.from_at]
    if plan.to_at is not None:
        where.append(events.c.at < plan.to_at)
    newest = sa.select(events.c.type_id, events.c.at, events.c.properties).where(*where)
    instant, n, last = as_read(connection, events.c.at), 0, None
    for page in pages(connection, newest.order_by(events.c.at.desc()).limit(MOST_EVENTS)):
        n += len(page)
        last = page[-1][1]
        for of_type, at, properties in page:
            if of_type == type_id:
                _take(found, books, concerned, parsed(properties), instant(at))
    if n == MOST_EVENTS:
        found.looked_from = instant(last)
    return found


def _take(
    found: PricesForeseen,
    books: tuple[Book, Book],
    concerned: set[tuple[str, str]],
    properties: Mapping[str, Any],
    at: datetime,
) -> None:
    provider, product = text_of(properties, "provider").lower(), text_of(properties, "model")
    if (provider, product) not in concerned and (provider, EVERY) not in concerned:
        return
    found.n_calls += 1
    if text_of(properties, "cost"):
        found.n_given += 1
        return
    units, tier, is_wrong = units_of(properties), text_of(properties, "tier"), failed(properties)
    before, after = (book.cost(provider, product, tier, units, at, failed=is_wrong) for book in books)
    found.n_unknown += not after.known
    if before.known != after.known or (after.known and before.amounts != after.amounts):
        found.n_changed += 1
        found.n_priced += after.known and not before.known
        found.n_unpriced += before.known and not after.known
    for sums, cost in ((found.before, before), (found.after, after)):
        if cost.known:
            for currency, value in cost.amounts.items():
                sums[currency] = sums.get(currency, 0) + value
