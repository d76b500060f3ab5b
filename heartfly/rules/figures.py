"""What a source of figures tells of a scope, and what a condition reads of that. Sources are in sources/.

Whether a figure makes a rule fire is core's (alert_rules.py); here is only which figure it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from heartfly.core.alert_rules import Condition, Metric, Scope
from heartfly.core.amounts import ONE
from heartfly.core.traffic import Figures

_PERCENT = 100


@dataclass(slots=True, kw_only=True)
class Row:
    """`units` and `cost`: by kind and by currency. `value`: of what is one number by itself, such as a meter's.

    `adds`: values of two windows add up to that of both. `streak`: errors in a row at the end. `names`: its scope, for
    people.
    """

    n: int = 0
    errors: int = 0
    unpriced: int = 0
    units: dict[str, Fraction] = field(default_factory=dict)
    cost: dict[str, Fraction] = field(default_factory=dict)
    times: Figures = field(default_factory=Figures)
    value: Fraction | None = None
    adds: bool = True
    streak: int = 0
    names: Scope = ()

    def merge(self, other: Row) -> None:
        """Nothing may be in both. Of what does not add up the greater value stays."""
        self.n += other.n
        self.errors += other.errors
        self.unpriced += other.unpriced
        self.times.merge(other.times)
        for mine, theirs in ((self.units, other.units), (self.cost, other.cost)):
            for name, amount in theirs.items():
                mine[name] = mine.get(name, Fraction()) + amount
        self.streak = max(self.streak, other.streak)
        self.adds = self.adds and other.adds
        if self.value is None or other.value is None:
            self.value = other.value if self.value is None else self.value
        else:
            self.value = self.value + other.value if self.adds else max(self.value, other.value)


Table = Mapping[Scope, Row]
"""By the values of what was asked to be told apart."""


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` None: not known. `adds`: it is a sum, so that part of a window is a lower bound.

    `is_partial`: it is a lower bound already, as some of it has no price.
    """

    value: Fraction | None
    n: int
    adds: bool = True
    is_partial: bool = False


def figure(condition: Condition, row: Row | None) -> Figure:
    """`row` None: there was nothing, which is a count of 0, but no rate and no time."""
    one = row or Row()
    match condition.metric:
        case Metric.REQUESTS | Metric.COUNT:
            return Figure(Fraction(one.n), one.n)
        case Metric.ERRORS:
            return Figure(Fraction(one.errors), one.n)
        case Metric.ERROR_RATE:
            rate = Fraction(one.errors * _PERCENT, one.n) if one.n else None
            return Figure(rate, one.n, adds=False)
        case Metric.LATENCY:
            told = one.times.percentile_ms(condition.percent) if one.n else None
            return Figure(None if told is None else Fraction(told, ONE), one.n, adds=False)
        case Metric.COST:
            return _cost(condition, one)
        case Metric.UNITS:
            return Figure(one.units.get(condition.name, Fraction()), one.n)
        case Metric.UNPRICED:
            return Figure(Fraction(one.unpriced), one.n)
        case Metric.CONSECUTIVE_ERRORS:
            return Figure(Fraction(one.streak), one.n, adds=False)
        case Metric.USE:
            # What has no counter any more, as its time is over or it is gone, is not used at all.
            return Figure(Fraction() if row is None else row.value, one.n, adds=False)
        case _:
            return Figure(None if row is None else row.value, one.n, adds=row is not None and row.adds)


def _cost(condition: Condition, row: Row) -> Figure:
    """Money that is not known is not nothing: if no call has a price, neither has their sum."""
    known = row.cost.get(condition.name)
    if known is None and row.unpriced:
        return Figure(None, row.n)
    return Figure(known or Fraction(), row.n, is_partial=bool(row.unpriced))


def projected(table: Table, dims: Scope, by: Scope, where: Iterable[tuple[str, tuple[str, ...]]]) -> Table:
    """Of a table that tells apart `dims`: rows by `by` alone, of those only for which `where` holds."""
    conditions = [
        (dims.index(group), frozenset(values)) for group, values in where if group in dims and group != "status"
    ]
    places = [dims.index(group) for group in by]
    if not conditions and by == dims:
        return table
    found: dict[Scope, Row] = {}
    for scope, row in table.items():
        if any(scope[place] not in values for place, values in conditions):
            continue
        key = tuple(scope[place] for place in places)
        if key not in found:
            found[key] = Row(names=tuple(row.names[place] for place in places), adds=row.adds)
        found[key].merge(row)
    return found
