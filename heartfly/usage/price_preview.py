"""What a change of prices would make of the calls that there were: what they cost, and would cost, by currency.

Works on the calls themselves, the newest first, up to a number of events; they are read by what folds them
(call_columns.py), once by the prices as they are and once as they would be. Runs in the process beside (hands.py), and
only reads. Calls that tell their own cost are counted, and stay as they are; those of sealed hours, which no price
changes any more, are left out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from heartfly.core.calls import CallFigures
from heartfly.core.columns import Amounts, Page
from heartfly.core.lanes import sums_in
from heartfly.core.money import Money
from heartfly.core.price_shelf import Change, Held, Plan, Shelf
from heartfly.core.prices import ALWAYS, EVERY, Book
from heartfly.db.models import events, prices
from heartfly.db.snapshots import Place, as_read, pages, snapshot
from heartfly.db.types import micros
from heartfly.usage.call_columns import CallReader
from heartfly.usage.call_reading import call_type
from heartfly.usage.call_values import name_of, provider_of
from heartfly.usage.price_imports import Imported, PriceFile, demand_file, lay_file, read_file
from heartfly.usage.prices import Source, demand_times, held_of
from heartfly.usage.seal import sealed_with_events

_HOUR_US = 3_600_000_000
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
    type_id = call_type(connection, pid)
    if type_id is None:
        return found
    looked = _Looked(
        found,
        CallReader(Book(one.price for one in held)),
        CallReader(Book(shelf.prices())),
        {(price.provider, price.product) for price in plan.touched},
    )
    where = [events.c.pid == pid, events.c.at >= plan.from_at]
    if plan.to_at is not None:
        where.append(events.c.at < plan.to_at)
    newest = sa.select(events.c.type_id, events.c.at, events.c.properties).where(*where)
    instant, n, last = as_read(connection, events.c.at), 0, None
    sealed = {micros(at) for at in sealed_with_events(connection, pid)}
    for page in pages(connection, newest.order_by(events.c.at.desc()).limit(MOST_EVENTS)):
        n += len(page)
        last = page[-1][1]
        calls = [(micros(instant(at)), properties) for of_type, at, properties in page if of_type == type_id]
        if sealed:
            calls = [call for call in calls if call[0] - call[0] % _HOUR_US not in sealed]
        if calls:
            looked.take(calls)
    if n == MOST_EVENTS:
        found.looked_from = instant(last)
    return found


@dataclass(slots=True)
class _Looked:
    """`concerned`: products that the prices are of; with EVERY, those of a provider."""

    found: PricesForeseen
    now: CallReader
    then: CallReader
    concerned: Collection[tuple[str, str]]
    _known: Amounts = field(default_factory=Amounts)

    def take(self, calls: Sequence[tuple[int, str]]) -> None:
        """When each was, in microseconds, and its properties."""
        page = Page([properties for _, properties in calls], self._known)
        products = zip(page.texts("provider"), page.texts("model"), strict=True)
        mine = [call for call, product in zip(calls, products, strict=True) if self._is_meant(*product)]
        if not mine:
            return
        page = Page([properties for _, properties in mine], self._known)
        before, after = (_figures(reader, page, [at for at, _ in mine]) for reader in (self.now, self.then))
        for one, other in zip(before, after, strict=True):
            self._count(one, other)

    def _is_meant(self, provider: str | None, model: str | None) -> bool:
        of = provider_of(provider)
        return (of, name_of(model)) in self.concerned or (of, EVERY) in self.concerned

    def _count(self, before: CallFigures, after: CallFigures) -> None:
        found = self.found
        found.n_calls += 1
        if before.given:
            found.n_given += 1
            return
        found.n_unknown += after.n_unpriced
        if before.n_unpriced != after.n_unpriced or (not after.n_unpriced and before.priced != after.priced):
            found.n_changed += 1
            found.n_priced += before.n_unpriced > after.n_unpriced
            found.n_unpriced += before.n_unpriced < after.n_unpriced
        for sums, one in ((found.before, before), (found.after, after)):
            if not one.n_unpriced:
                for currency, value in one.priced.items():
                    sums[currency] = sums.get(currency, 0) + value


def _figures(reader: CallReader, page: Page, ats: Sequence[int]) -> Sequence[CallFigures]:
    """Of each call what it cost, and whether that is known."""
    told = reader.told(page, ats)
    measures = list(reader.layout)
    figures = []
    for worth in told.worth:
        sums = sums_in(worth)
        one = CallFigures(n_unpriced=sums.n_unpriced)
        one.add([measures[lane] for lane in sums.lanes], sums.amounts)
        figures.append(one)
    if reader.layout.is_wide:
        reader.narrow()
    return figures
