"""Alert rules: what numbers they look at, and whether what was seen makes them fire. Pure; exact fractions, no floats.

A verdict is true, false or not known (None). No data, a figure that has no price, and time in which Heartfly itself did
not hear are not known, which is never the same as nothing. How a rule stands over time is decided in rule_states.py,
how it is written down in rule_definitions.py, where figures come from in rules/sources/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache

from heartfly.core.amounts import ONE, Amount

BURN_DAYS = 30
"""A burn rate compares with the mean day of so many, the present one among them."""
LEAST_KNOWN = Fraction(1, 2)
"""Of a baseline so much must have been heard, or nothing is compared with it."""
MOST_BRIDGED = Fraction(1, 10)
"""So much of a window may be unheard: it is taken to have been like the rest. One restart would leave a window of a day
in doubt for a day otherwise, and an alert of it open.
"""
ABSENCE_WINDOWS = 24
"""Of what is absent something must have come within so many windows before: nobody misses what never was."""


class Family(StrEnum):
    """Whose numbers they are."""

    CALLS = "calls"
    REQUESTS = "requests"
    METER = "meter"
    LIMITS = "limits"
    BUDGETS = "budgets"
    DEAD_LETTERS = "dead_letters"


class Metric(StrEnum):
    COST = "cost"
    UNITS = "units"
    REQUESTS = "requests"
    ERRORS = "errors"
    ERROR_RATE = "error_rate"
    LATENCY = "latency"
    CONSECUTIVE_ERRORS = "consecutive_errors"
    UNPRICED = "unpriced"
    VALUE = "value"
    USE = "use"
    COUNT = "count"


METRICS: Mapping[Family, tuple[Metric, ...]] = {
    Family.CALLS: (
        Metric.COST,
        Metric.UNITS,
        Metric.REQUESTS,
        Metric.ERRORS,
        Metric.ERROR_RATE,
        Metric.LATENCY,
        Metric.CONSECUTIVE_ERRORS,
        Metric.UNPRICED,
    ),
    Family.REQUESTS: (
        Metric.REQUESTS,
        Metric.ERRORS,
        Metric.ERROR_RATE,
        Metric.LATENCY,
        Metric.CONSECUTIVE_ERRORS,
    ),
    Family.METER: (Metric.VALUE,),
    Family.LIMITS: (Metric.USE,),
    Family.BUDGETS: (Metric.USE,),
    Family.DEAD_LETTERS: (Metric.COUNT,),
}
GROUPS: Mapping[Family, tuple[str, ...] | None] = {
    Family.CALLS: ("provider", "model", "endpoint", "customer", "user", "key", "tag", "status"),
    Family.REQUESTS: ("endpoint", "customer"),
    Family.METER: None,
    Family.LIMITS: ("limit",),
    Family.BUDGETS: ("budget",),
    Family.DEAD_LETTERS: (),
}
"""By what a family can be grouped and filtered; None: by whatever the meter knows."""
IN_PERCENT = frozenset({Metric.ERROR_RATE, Metric.USE})


class Op(StrEnum):
    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="

    def holds(self, value: Fraction, limit: Fraction) -> bool:
        match self:
            case Op.ABOVE:
                return value > limit
            case Op.AT_LEAST:
                return value >= limit
            case Op.BELOW:
                return value < limit
            case _:
                return value <= limit

    @property
    def is_upward(self) -> bool:
        return self in {Op.ABOVE, Op.AT_LEAST}


class Against(StrEnum):
    """What a figure is compared with."""

    NUMBER = "number"
    """The threshold itself."""
    BEFORE = "before"
    """So many times the mean of the windows before."""
    BURN = "burn"
    """So many times the mean day of the last BURN_DAYS."""
    ABSENCE = "absence"
    """Nothing came, and there was something before."""


class Match(StrEnum):
    ALL = "all"
    ANY = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`name`: of units their kind, of cost the currency, of a meter its id. `threshold`, `clear` and `percent`: exact
    (core/amounts.py); of BEFORE and BURN they are factors. `clear`: what fires goes on until the figure is past it.

    `n_before`: windows of a baseline. `least`: fewer requests in the window tell nothing.
    """

    of: Family
    metric: Metric
    window: timedelta
    threshold: Amount = 0
    op: Op = Op.ABOVE
    against: Against = Against.NUMBER
    n_before: int = 0
    least: int = 0
    clear: Amount | None = None
    name: str = ""
    percent: Amount = 95 * ONE
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Group → any of these values; all groups must hold."""

    @property
    def aspect(self) -> tuple[object, ...]:
        """What is seen of it, and what of that is compared with: the same in many rules of other thresholds."""
        return self.of, self.metric, self.window, self.against, self.n_before, self.name, self.percent, self.where

    @property
    def baseline(self) -> timedelta | None:
        """How far back from the window's beginning is looked; of BURN from its end. None: not at all."""
        match self.against:
            case Against.BEFORE:
                return self.n_before * self.window
            case Against.BURN:
                return timedelta(days=BURN_DAYS)
            case Against.ABSENCE:
                return ABSENCE_WINDOWS * self.window
            case _:
                return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`by`: it is looked at for each value of these groups. `wait`: so long it must hold. `cooldown`: after it fired in
    a scope, it does not fire there again for so long.
    """

    conditions: tuple[Condition, ...]
    match: Match = Match.ALL
    by: tuple[str, ...] = ()
    wait: timedelta = timedelta()
    cooldown: timedelta = timedelta()


Scope = tuple[str, ...]
"""A value for each of the rule's groups; of a rule without groups: ()."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a look saw of a condition in a scope. `value` None: not known. `n`: how much there was to judge by.

    `base`: the mean that it is compared with, or of ABSENCE how much came before. `is_partial`: not all of it has a
    price. `unheard`: the share of the window that was not heard. `adds`: what was not seen would have added to it.
    """

    value: Fraction | None
    n: int = 0
    base: Fraction | None = None
    is_partial: bool = False
    unheard: Fraction = Fraction()
    adds: bool = True

    @property
    def is_doubtful(self) -> bool:
        """Too little of it is known to say how much there was: this much at least."""
        return self.is_partial or self.unheard > MOST_BRIDGED

    def whole(self, heard: Fraction | int) -> Fraction:
        """What would have come of the window, had all of it been heard and been alike."""
        return heard / (1 - self.unheard)


NOTHING_KNOWN = Seen(value=None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`each`: of the conditions, in order."""

    holds: bool | None
    each: tuple[bool | None, ...]


def verdict(rule: Rule, seen: Sequence[Seen], *, firing: bool) -> Verdict:
    each = tuple(holds(one, what, firing=firing) for one, what in zip(rule.conditions, seen, strict=True))
    return Verdict(_all(each) if rule.match is Match.ALL else _any(each), each)


def holds(condition: Condition, seen: Seen, *, firing: bool) -> bool | None:
    """`firing`: it fires already, so that what it takes to end counts."""
    if condition.against is Against.ABSENCE:
        return _is_absent(seen)
    if seen.value is None:
        # Too little to judge by is no reason to go on, and nothing at all is too little where a least is set.
        return False if condition.least and _is_too_little(condition, seen) else None
    if seen.n < condition.least:
        return False if _is_too_little(condition, seen) else None
    limit = limit_of(condition, seen, firing=firing)
    if limit is None:
        return None
    found = condition.op.holds(seen.value, limit)
    if not seen.adds or found is condition.op.is_upward:
        return found
    # What was not heard would have added to it.
    if seen.is_doubtful or condition.op.holds(seen.whole(seen.value), limit) is not found:
        return None
    return found


def _is_too_little(condition: Condition, seen: Seen) -> bool:
    """Surely less than tells anything."""
    return not seen.is_doubtful and seen.whole(seen.n) < condition.least


def limit_of(condition: Condition, seen: Seen, *, firing: bool = False) -> Fraction | None:
    """With what the value is compared. None: there is too little past to tell."""
    asked = condition.threshold if condition.clear is None or not firing else condition.clear
    told = _exact(asked)
    if condition.against is Against.NUMBER:
        return told
    return None if seen.base is None else told * seen.base


@lru_cache(maxsize=4_096)
def _exact(number: Amount) -> Fraction:
    """The same few are compared with again and again, and to reduce one takes longer than to compare."""
    return Fraction(number, ONE)


def _is_absent(seen: Seen) -> bool | None:
    if seen.n:
        return False
    return None if seen.is_doubtful or not seen.base else True


def _all(each: Iterable[bool | None]) -> bool | None:
    found = list(each)
    if any(one is False for one in found):
        return False
    return None if None in found else True


def _any(each: Iterable[bool | None]) -> bool | None:
    found = list(each)
    if any(one is True for one in found):
        return True
    return None if None in found else False


# --- baselines


@dataclass(frozen=True, slots=True)
class Past:
    """The span that a window is compared with. `first_at`: since when there is anything at all; None: there is nothing.

    `deaf`: how long of it Heartfly did not hear.
    """

    from_at: datetime
    to_at: datetime
    first_at: datetime | None
    deaf: timedelta = field(default=timedelta())

    @property
    def known(self) -> timedelta:
        if self.first_at is None:
            return timedelta()
        return max(timedelta(), self.to_at - max(self.from_at, self.first_at) - self.deaf)


def base_of(condition: Condition, total: Fraction | None, past: Past, *, adds: bool) -> Fraction | None:
    """`total`: the figure of the whole past; `adds`: it is a sum. None: too little of it is known."""
    if condition.against is Against.ABSENCE:
        return total
    size = timedelta(days=1) if condition.against is Against.BURN else condition.window
    whole = past.to_at - past.from_at
    share = Fraction(past.known // _MICROSECOND, whole // _MICROSECOND)
    if total is None or share < LEAST_KNOWN:
        return None
    if not adds:
        return total
    return total / Fraction(past.known // _MICROSECOND, size // _MICROSECOND)


_MICROSECOND = timedelta(microseconds=1)


def errors_at_the_end(failed: Iterable[bool]) -> int:
    """Of a sequence, oldest first, successes and all: how many errors stand at its end without a success between."""
    n = 0
    for one in failed:
        n = n + 1 if one else 0
    return n
