"""Calls to other people's APIs: by what they are told apart, and what they come to. Adds up in any order.

What a call costs is core/prices.py's; how many are read at once, usage/call_columns.py's. Units are exact amounts,
money is exact and by currency, and a call whose price is not known is counted apart and costs nothing that is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from heartfly.core.amounts import Amount, text_of
from heartfly.core.money import Money, money_text
from heartfly.core.traffic import Figures

TYPE = "api.call"
"""Events of this type are calls."""
UNKNOWN = "unknown"
"""The provider of a call that names none."""
UNKNOWN_STATUS = 0
OTHER = 0
"""In place of a number: the project has more such names than it may."""
LONGEST_NAME = 200
"""Characters of a name by which calls are told apart; what is longer is cut."""


class Dimension(StrEnum):
    """By what calls are told apart. One call may have several tags: it counts with each of them."""

    PROVIDER = "provider"
    MODEL = "model"
    ENDPOINT = "endpoint"
    CUSTOMER = "customer"
    USER = "user"
    KEY = "key"
    TAG = "tag"
    STATUS = "status"


class Cube(IntEnum):
    """By what calls are summed up, besides time. A product is a provider's model."""

    TOTAL = 0  # and status
    PRODUCT = 1  # and status
    ENDPOINT = 2  # product and endpoint, and status
    CUSTOMER = 3
    USER = 4
    KEY = 5
    TAG = 6
    CUSTOMER_PRODUCT = 7
    USER_PRODUCT = 8
    KEY_PRODUCT = 9
    TAG_PRODUCT = 10


class Named(StrEnum):
    """Whose numbers stand in a cube's keys. A customer's are those of a subject (`usage_names`)."""

    PRODUCT = "product"
    ENDPOINT = "endpoint"
    SUBJECT = "subject"
    USER = "user"
    KEY = "key"
    TAG = "tag"


KEYS: Mapping[Cube, tuple[Named | None, Named | None]] = {
    Cube.TOTAL: (None, None),
    Cube.PRODUCT: (Named.PRODUCT, None),
    Cube.ENDPOINT: (Named.PRODUCT, Named.ENDPOINT),
    Cube.CUSTOMER: (Named.SUBJECT, None),
    Cube.USER: (Named.USER, None),
    Cube.KEY: (Named.KEY, None),
    Cube.TAG: (Named.TAG, None),
    Cube.CUSTOMER_PRODUCT: (Named.SUBJECT, Named.PRODUCT),
    Cube.USER_PRODUCT: (Named.USER, Named.PRODUCT),
    Cube.KEY_PRODUCT: (Named.KEY, Named.PRODUCT),
    Cube.TAG_PRODUCT: (Named.TAG, Named.PRODUCT),
}
"""What the two keys of a cube's rows are numbers of."""
WITH_STATUS = frozenset({Cube.TOTAL, Cube.PRODUCT, Cube.ENDPOINT})
COARSER: Mapping[Cube, Cube] = {
    Cube.PRODUCT: Cube.ENDPOINT,
    Cube.TOTAL: Cube.PRODUCT,
    Cube.CUSTOMER: Cube.CUSTOMER_PRODUCT,
    Cube.USER: Cube.USER_PRODUCT,
    Cube.KEY: Cube.KEY_PRODUCT,
    Cube.TAG: Cube.TAG_PRODUCT,
}
"""Cubes that are added up from another one, in an order in which that is there."""


def cube_for(asked: Iterable[Dimension]) -> Cube | None:
    """The one of fewest rows that tells calls apart by all of these. None: there is none, and events must be asked."""
    wanted = set(asked)
    product = bool(wanted & {Dimension.PROVIDER, Dimension.MODEL})
    rest = wanted - {Dimension.PROVIDER, Dimension.MODEL}
    if rest <= {Dimension.STATUS}:
        return Cube.PRODUCT if product else Cube.TOTAL
    if rest <= {Dimension.STATUS, Dimension.ENDPOINT}:
        return Cube.ENDPOINT
    if len(rest) > 1:
        return None
    alone, paired = _OF_ONE[rest.pop()]
    return paired if product else alone


_OF_ONE = {
    Dimension.CUSTOMER: (Cube.CUSTOMER, Cube.CUSTOMER_PRODUCT),
    Dimension.USER: (Cube.USER, Cube.USER_PRODUCT),
    Dimension.KEY: (Cube.KEY, Cube.KEY_PRODUCT),
    Dimension.TAG: (Cube.TAG, Cube.TAG_PRODUCT),
}


# --- measures: what a row adds up besides counts and times

UNITS, PRICED, GIVEN, UNPRICED = "u", "c", "g", "x"
"""Units of a kind; money by the price list; money as the caller told it; calls whose units of a kind have no price."""


def measure(of: str, name: str) -> str:
    """`name`: a kind of units, or a currency."""
    return f"{of}:{name}"


def amount_text(of: str, amount: int) -> str:
    """The one spelling of a measure's amount. `of`: UNITS, PRICED, GIVEN or UNPRICED."""
    if of == UNITS:
        return text_of(amount)
    return str(amount) if of == UNPRICED else money_text(amount)


@dataclass(slots=True)
class CallFigures:
    """`n_errors`: with a status from 400 on, or an error in words. `n_unpriced`: whose cost is not known, with how many
    of them lack a price for which kind in `unpriced`. `n_odd`: values that could be read as nothing, such as a number
    of tokens that is none.

    `priced` and `given`: by currency; what was given by callers is in it as well as apart. `times`: how long they took.
    """

    n: int = 0
    n_errors: int = 0
    n_unpriced: int = 0
    n_odd: int = 0
    units: dict[str, Amount] = field(default_factory=dict)
    priced: dict[str, Money] = field(default_factory=dict)
    given: dict[str, Money] = field(default_factory=dict)
    unpriced: dict[str, int] = field(default_factory=dict)
    times: Figures = field(default_factory=Figures)
    first_unpriced: datetime | None = None
    last_unpriced: datetime | None = None
    """When the first and the last one was whose cost is not known, as far as cubes tell it."""

    @property
    def cost(self) -> Mapping[str, Money]:
        """By currency: priced and given together. A currency of which there is nothing is not in it."""
        found = dict(self.priced)
        for currency, money in self.given.items():
            found[currency] = found.get(currency, 0) + money
        return dict(sorted(found.items()))

    def add(self, measures: Sequence[str], amounts: Sequence[int]) -> None:
        into = {UNITS: self.units, PRICED: self.priced, GIVEN: self.given, UNPRICED: self.unpriced}
        for one, amount in zip(measures, amounts, strict=True):
            of, _, name = one.partition(":")
            mine = into[of]
            mine[name] = mine.get(name, 0) + amount

    def note(self, first_at: datetime | None, last_at: datetime | None) -> None:
        """Between these were some whose cost is not known."""
        if first_at is not None and (self.first_unpriced is None or first_at < self.first_unpriced):
            self.first_unpriced = first_at
        if last_at is not None and (self.last_unpriced is None or last_at > self.last_unpriced):
            self.last_unpriced = last_at

    def merge(self, other: CallFigures) -> None:
        """No call may be in both."""
        self.n += other.n
        self.n_errors += other.n_errors
        self.n_unpriced += other.n_unpriced
        self.n_odd += other.n_odd
        self.times.merge(other.times)
        self.note(other.first_unpriced, other.last_unpriced)
        for mine, theirs in (
            (self.units, other.units),
            (self.priced, other.priced),
            (self.given, other.given),
            (self.unpriced, other.unpriced),
        ):
            for name, amount in theirs.items():
                mine[name] = mine.get(name, 0) + amount
