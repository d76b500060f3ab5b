"""Prices of our own meters: which price a figure of a meter is charged by, by its group.

A price is of a meter, and of those of its figures whose group has all the values that it names. Of several that fit
the one that names most counts; of those the one that names the earlier of the meter's keys.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from heartfly.core.meters import Aggregation
from heartfly.core.money import Rate
from heartfly.core.prices import ALWAYS
from heartfly.core.windows import Window

ADDITIVE = frozenset({Aggregation.COUNT, Aggregation.SUM})
"""What can have a price: what a month comes to is what its days come to, so that lines add up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterPrice:
    """In force in [from_at, to_at), both at the beginning of an hour. `only`: values of group keys; None: has none."""

    id: int
    only: Mapping[str, str | None]
    from_at: datetime = ALWAYS
    to_at: datetime | None = None
    amount: Rate
    currency: str

    def at(self, instant: datetime) -> bool:
        return self.from_at <= instant and (self.to_at is None or instant < self.to_at)

    def fits(self, group: Mapping[str, str | None]) -> bool:
        return all(name in group and group[name] == value for name, value in self.only.items())


def price_for(
    prices: Iterable[MeterPrice], keys: Sequence[str], group: Mapping[str, str | None], at: datetime
) -> MeterPrice | None:
    """`keys`: the meter's, in their order. `group`: by key, of a figure at that instant."""
    place = {name: n for n, name in enumerate(keys)}

    def rank(price: MeterPrice) -> tuple[int, list[int]]:
        return -len(price.only), sorted(place.get(name, len(place)) for name in price.only)

    return min((one for one in prices if one.at(at) and one.fits(group)), key=rank, default=None)


def pieces(prices: Iterable[MeterPrice], whole: Window) -> Sequence[Window]:
    """The window in parts, in each of which the same prices are in force."""
    ends = {at for one in prices for at in (one.from_at, one.to_at) if at is not None}
    bounds = [whole.from_at, *sorted(at for at in ends if whole.from_at < at < whole.to_at), whole.to_at]
    return [Window(start, end) for start, end in itertools.pairwise(bounds)]
