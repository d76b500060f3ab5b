"""Budgets: what they may come to, whom of what they tell, each thing once a period, and what they are meanwhile.

Pure: what was spent comes in, and what is to be told comes out. A thing that was told is a mark; it stays through all
corrections of the spend, and only a new period or a raise lets it be told anew. How periods lie is decided in
budget_periods.py, how fast money goes in budget_burn.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from fractions import Fraction

from heartfly.core.amounts import amount
from heartfly.core.budget_burn import burn, lasts_days, since_first
from heartfly.core.money import MONEY_ONE, Money, money_of, money_text
from heartfly.errors import ConflictError, InvalidValueError

USUAL_THRESHOLDS = (50, 80, 90, 100)
MOST_THRESHOLDS = 20
MOST_PERCENT = 1_000
WHOLE = 100
MILLIONTH: Money = MONEY_ONE // 10**6
"""The smallest part of an amount of a budget."""
_MOST_MONEY: Money = 10**12 * MONEY_ONE
SPIKE_DAYS = 7
"""With how many whole days before a day is compared."""
SPIKE_LEAST_DAYS = 3
"""Of so few days before nobody knows what is usual."""


class BudgetState(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    EXCEEDED = "exceeded"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Turn(StrEnum):
    """What happens to a budget: people do the last four, the others are seen by who looks at it."""

    BELOW = "below"
    """In the period that is now, less than all was spent; also in a new one, or after a raise."""
    REACHED = "reached"
    """All of it, or more."""
    ENDED = "ended"
    """Its last period is over."""
    EXTENDED = "extended"
    """It was edited, and has a period again."""
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


_A, _P, _X, _E, _C = BudgetState
TURNS: Mapping[BudgetState, Mapping[Turn, BudgetState]] = {
    _A: {Turn.BELOW: _A, Turn.REACHED: _X, Turn.ENDED: _E, Turn.EXTENDED: _A, Turn.PAUSE: _P, Turn.CANCEL: _C},
    _X: {Turn.BELOW: _A, Turn.REACHED: _X, Turn.ENDED: _E, Turn.EXTENDED: _X, Turn.PAUSE: _P, Turn.CANCEL: _C},
    _P: {
        Turn.BELOW: _P,
        Turn.REACHED: _P,
        Turn.ENDED: _E,
        Turn.EXTENDED: _P,
        Turn.PAUSE: _P,
        Turn.RESUME: _A,
        Turn.CANCEL: _C,
    },
    _E: {Turn.BELOW: _E, Turn.REACHED: _E, Turn.ENDED: _E, Turn.EXTENDED: _A, Turn.CANCEL: _C},
    _C: {Turn.BELOW: _C, Turn.REACHED: _C, Turn.ENDED: _C},
}
"""What follows; what is not here is refused."""


def turned(state: BudgetState, turn: Turn) -> BudgetState:
    """ConflictError."""
    found = TURNS[state].get(turn)
    if found is None:
        verb = {Turn.EXTENDED: "edited", Turn.PAUSE: "paused", Turn.RESUME: "resumed", Turn.CANCEL: "cancelled"}[turn]
        raise ConflictError(f"the budget is {state}, and cannot be {verb}")
    return found


class Kind(StrEnum):
    """Of what a mark is."""

    THRESHOLD = "threshold"
    SPIKE = "spike"
    """A day costs far more than those before it."""
    LOW = "low"
    """At the pace of the last days it runs out soon, and before its period ends."""
    ALLOCATION = "allocation"
    """A part that was set aside for one provider, model or customer is spent."""


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """One thing that is told once a period. `what`: a percent, a day, an allocation's key, or nothing."""

    kind: Kind
    what: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spike:
    """A day that costs more than `percent` of the mean of the days before, and `least` at least."""

    percent: int
    least: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What was agreed. `amount` None: unlimited. `allocations`: by `allocation_key`. `low_days` None: not told."""

    amount: Money | None
    thresholds: Sequence[int] = ()
    allocations: Mapping[str, Money] = field(default_factory=dict)
    spike: Spike | None = None
    low_days: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a period has come to. `today`: of the day that is now; `before`: of the whole days before it, oldest first.

    `days_left`: of the period, begun ones as parts; None: it has no end, or it is over and nothing can be foreseen.
    `day` None: the period is over, and no day of it is judged any more.
    """

    spent: Money
    by_allocation: Mapping[str, Money] = field(default_factory=dict)
    day: date | None = None
    today: Money = 0
    before: Sequence[Money] = ()
    days_left: Fraction | None = None


# --- what is agreed


def sum_of(text: str, name: str) -> Money:
    """An amount of a budget: above nothing, with at most six places. InvalidValueError."""
    told = amount(text)
    found = 0 if told is None else money_of(told)
    if not 0 < found <= _MOST_MONEY or found % MILLIONTH:
        raise InvalidValueError(
            name, "must be an amount above 0, to 12 digits and at most 6 places, such as 250 or 0.5"
        )
    return found


def thresholds_of(asked: Sequence[int]) -> tuple[int, ...]:
    """In order, each once. InvalidValueError."""
    if any(not 1 <= one <= MOST_PERCENT for one in asked):
        raise InvalidValueError("thresholds", f"must be percents from 1 to {MOST_PERCENT}")
    found = tuple(sorted(set(asked)))
    if len(found) > MOST_THRESHOLDS:
        raise InvalidValueError("thresholds", f"must be {MOST_THRESHOLDS} at most")
    return found


def allocation_key(by: str, name: str) -> str:
    return f"{by}:{name}"


def demand_fits(whole: Money | None, allocated: Money, currency: str) -> None:
    """InvalidValueError: parts come to more than the whole."""
    if whole is None and allocated:
        raise InvalidValueError("allocations", "are parts of an amount, and this budget has none (unlimited)")
    if whole is not None and allocated > whole:
        raise InvalidValueError(
            "allocations",
            f"come to {money_text(allocated)} {currency}, which is more than {money_text(whole)} {currency}",
        )


# --- what is told


def is_reached(spent: Money, whole: Money, percent: int) -> bool:
    return spent * WHOLE >= whole * percent


def holds(mark: Mark, terms: Terms, seen: Seen) -> bool:
    """Whether it is so now. False as well of what is not agreed (any more)."""
    if mark.kind is Kind.THRESHOLD:
        return terms.amount is not None and is_reached(seen.spent, terms.amount, int(mark.what))
    if mark.kind is Kind.ALLOCATION:
        part = terms.allocations.get(mark.what)
        return part is not None and seen.by_allocation.get(mark.what, 0) >= part
    if mark.kind is Kind.LOW:
        return _is_low(terms, seen)
    return seen.day is not None and mark.what == seen.day.isoformat() and _is_spike(terms, seen)


def due(terms: Terms, seen: Seen, told: Collection[Mark]) -> list[Mark]:
    """What is to be told now, thresholds from the lowest on. `told`: marks of this period that were not re-armed."""
    wanted = [Mark(Kind.THRESHOLD, str(percent)) for percent in sorted(terms.thresholds)]
    wanted += [Mark(Kind.ALLOCATION, key) for key in sorted(terms.allocations)]
    wanted.append(Mark(Kind.LOW))
    if seen.day is not None:
        wanted.append(Mark(Kind.SPIKE, seen.day.isoformat()))
    return [mark for mark in wanted if mark not in told and holds(mark, terms, seen)]


def rearmed(told: Collection[Mark], before: Terms, after: Terms, seen: Seen) -> list[Mark]:
    """What may be told anew since an edit: what was told, was raised, and is now below again.

    A raise of the whole re-arms thresholds and `low`, one of an allocation that allocation; to lift it is a raise.
    What is still reached stays told; so does everything if nothing was raised, whatever a correction made of the spend.
    """
    return [mark for mark in sorted(told) if _was_raised(mark, before, after) and not holds(mark, after, seen)]


def _was_raised(mark: Mark, before: Terms, after: Terms) -> bool:
    if mark.kind is Kind.SPIKE:
        return False
    if mark.kind is Kind.ALLOCATION:
        old, new = before.allocations.get(mark.what), after.allocations.get(mark.what)
    else:
        old, new = before.amount, after.amount
    return old is not None and (new is None or new > old)


def _is_low(terms: Terms, seen: Seen) -> bool:
    """Spent already is not low any more: the thresholds tell that."""
    if terms.amount is None or terms.low_days is None or seen.days_left is None or seen.spent >= terms.amount:
        return False
    lasts = lasts_days(terms.amount - seen.spent, burn(seen.before))
    return lasts is not None and lasts <= terms.low_days and lasts < seen.days_left


def _is_spike(terms: Terms, seen: Seen) -> bool:
    """Against the mean of the days since the first that cost something."""
    if terms.spike is None or seen.today < max(terms.spike.least, 1):
        return False
    before = since_first(seen.before[-SPIKE_DAYS:])
    if len(before) < SPIKE_LEAST_DAYS:
        return False
    return seen.today * WHOLE * len(before) > terms.spike.percent * sum(before)
