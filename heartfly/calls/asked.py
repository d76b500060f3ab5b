"""What is asked of calls: which time, which of them, and by what they are told apart. Who answers is decided beside.

What the cubes of rollups hold apart (core/calls.py) is answered out of them; other mixtures out of the events, as far
as they may be looked at one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from heartfly.core.amounts import Amount
from heartfly.core.calls import CallFigures, Cube, Dimension, Named
from heartfly.core.money import Money
from heartfly.core.sketches import Histogram
from heartfly.traffic.asked import Trust
from heartfly.traffic.filters import Ranges

OTHERS = "(other)"
"""What came when the project had as many such names as it may."""
UNKNOWN_STATUS = "unknown"
Filters = Mapping[Dimension, Sequence[str]]
"""Of one dimension any of the values suffices; all dimensions must hold. Customers: public ids, or as they were sent.
Statuses: `2xx` to `5xx`, exact codes, or `unknown`. An empty text: calls that told none.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Calls that have these values in common. `key`: what a filter takes; `name`: for people, the customer's own."""

    key: Mapping[Dimension, str]
    name: Mapping[Dimension, str]
    figures: CallFigures = field(default_factory=CallFigures)

    @property
    def n(self) -> int:
        return self.figures.n

    @property
    def errors(self) -> int:
        return self.figures.n_errors

    @property
    def n_unpriced(self) -> int:
        return self.figures.n_unpriced

    @property
    def units(self) -> Mapping[str, Amount]:
        """By kind, in 10^-18."""
        return self.figures.units

    @property
    def cost(self) -> Mapping[str, Money]:
        """By currency, in 10^-48, of those calls whose cost is known. Empty: of none it is."""
        return self.figures.cost

    @property
    def latencies(self) -> Histogram:
        """In milliseconds, of those calls that told how long they took."""
        return self.figures.times.latencies


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`n_singles`: events that were looked at one by one for it."""

    lines: Sequence[Line]
    trust: Trust
    n_singles: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """[from_at, to_at). A `to_at` in the present hour, that is not before now, takes all of that hour in."""

    from_at: datetime
    to_at: datetime
    filters: Filters = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`numbers`: of each kind of keys those that are meant; None would be any, so what is not there is any.

    `texts`: of each dimension the values as they were asked for, for who looks at calls one by one. `cube` None: no
    rollup tells these calls from others.
    """

    texts: Mapping[Dimension, frozenset[str]] = field(default_factory=dict)
    numbers: Mapping[Named, frozenset[int]] = field(default_factory=dict)
    statuses: Ranges = ()
    cube: Cube | None = None

    @property
    def subjects(self) -> frozenset[int] | None:
        return self.numbers.get(Named.SUBJECT)

    @property
    def is_nobody(self) -> bool:
        """Whether the customers that are meant never sent anything."""
        return self.subjects == frozenset()

    def takes_status(self, status: int) -> bool:
        return not self.statuses or any(low <= status <= high for low, high in self.statuses)
