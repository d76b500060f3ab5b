"""A budget in words: what an alert says of each thing that is told, and money as people read it.

Money is rounded here for eyes only; what machines read is exact.
"""

from __future__ import annotations

from heartfly.budgets.rows import Stored
from heartfly.core.alerts import ConcernFacts
from heartfly.core.budget_burn import burn, lasts_days, since_first
from heartfly.core.budget_periods import Period
from heartfly.core.budgets import SPIKE_DAYS, WHOLE, Kind, Mark, Seen, Terms
from heartfly.core.money import MONEY_ONE, Money, money_text
from heartfly.core.words import Severity

_CENTS, _PLACES = MONEY_ONE // 100, MONEY_ONE // 10**6
_NEAR = 90
"""From this percent on it is worse than it was before."""


def shown(money: Money, currency: str) -> str:
    """`1,234.50 USD`; less than one to six places. Halves go to the even neighbour."""
    unit, least = (_CENTS, 2) if abs(money) >= MONEY_ONE or not money else (_PLACES, 2)
    whole, rest = divmod(abs(money), unit)
    whole += 2 * rest > unit or (2 * rest == unit and whole % 2 == 1)
    before, _, after = money_text(whole * unit).partition(".")
    return f"{'-' if money < 0 and whole else ''}{int(before):,}.{after.ljust(least, '0')} {currency}"


def percent_of(spent: Money, whole: Money) -> int:
    """Rounded down: 100 is said of what is spent indeed."""
    return spent * WHOLE // whole


def concern(stored: Stored, period: Period, mark: Mark, terms: Terms, seen: Seen) -> ConcernFacts:
    """What an alert of this mark carries."""
    what, figure, threshold = _figures(stored, mark, terms, seen)
    return ConcernFacts(
        source="budget",
        uuid=stored.row.uuid,
        name=stored.agreed.name,
        severity=severity(mark),
        scope=part_words(mark.what) if mark.kind is Kind.ALLOCATION else scope_words(stored),
        what=what,
        figure=figure,
        threshold=threshold,
        window=mark.what if mark.kind is Kind.SPIKE else period.words,
    )


def in_order(stored: Stored, period: Period | None, spent: Money | None) -> ConcernFacts:
    """What the alert carries that tells of the end. `spent` None: of no period."""
    currency, whole = stored.agreed.currency, stored.agreed.amount
    return ConcernFacts(
        source="budget",
        uuid=stored.row.uuid,
        name=stored.agreed.name,
        severity=Severity.LOW,
        scope=scope_words(stored),
        what="spent" if spent is not None else "",
        figure="" if spent is None else shown(spent, currency),
        threshold="" if whole is None else f"of {shown(whole, currency)}",
        window="" if period is None else period.words,
    )


def severity(mark: Mark) -> Severity:
    if mark.kind is Kind.THRESHOLD:
        percent = int(mark.what)
        if percent >= WHOLE:
            return Severity.CRITICAL
        return Severity.HIGH if percent >= _NEAR else Severity.MEDIUM
    return Severity.MEDIUM if mark.kind is Kind.LOW else Severity.HIGH


def title(mark: Mark) -> str:
    """What was told, in a few words."""
    return {
        Kind.THRESHOLD: f"{mark.what} % spent",
        Kind.ALLOCATION: f"the part of {part_words(mark.what)} is spent",
        Kind.LOW: "runs out before its period ends",
        Kind.SPIKE: f"{mark.what} costs far more than the days before",
    }[mark.kind]


def why(stored: Stored, mark: Mark, terms: Terms, seen: Seen) -> str:
    """In a sentence or two."""
    currency = stored.agreed.currency
    if mark.kind is Kind.SPIKE:
        usual = since_first(seen.before[-SPIKE_DAYS:])
        mean = shown(sum(usual) // len(usual), currency)
        return f"{mark.what} has cost {shown(seen.today, currency)}; the {len(usual)} days before cost {mean} each."
    if mark.kind is Kind.ALLOCATION:
        part, used = terms.allocations[mark.what], seen.by_allocation.get(mark.what, 0)
        return f"{part_words(mark.what)} has used {shown(used, currency)} of {shown(part, currency)}."
    whole = terms.amount or 0
    said = f"{shown(seen.spent, currency)} of {shown(whole, currency)} are spent ({percent_of(seen.spent, whole)} %)."
    lasts = lasts_days(whole - seen.spent, burn(seen.before))
    if lasts is not None and seen.spent < whole:
        said += f" At the pace of the last days what is left lasts {_days(int(lasts))}."
    return said


def scope_words(stored: Stored) -> str:
    """Empty: all calls."""
    return "; ".join(f"{name} {', '.join(values)}" for name, values in stored.agreed.scope.items())


def part_words(key: str) -> str:
    by, _, name = key.partition(":")
    return f"{by} {name}"


def _figures(stored: Stored, mark: Mark, terms: Terms, seen: Seen) -> tuple[str, str, str]:
    currency = stored.agreed.currency
    whole = terms.amount or 0
    if mark.kind is Kind.THRESHOLD:
        return "spent", shown(seen.spent, currency), f"{mark.what} % of {shown(whole, currency)}"
    if mark.kind is Kind.ALLOCATION:
        used = seen.by_allocation.get(mark.what, 0)
        return "spent", shown(used, currency), f"all of {shown(terms.allocations[mark.what], currency)}"
    if mark.kind is Kind.LOW:
        return "left", shown(whole - seen.spent, currency), f"lasts {_days(terms.low_days or 0)} or less"
    percent = 0 if terms.spike is None else terms.spike.percent
    return "spent on a day", shown(seen.today, currency), f"more than {percent} % of the mean of the days before"


def _days(n: int) -> str:
    return "less than a day" if n < 1 else "1 day" if n == 1 else f"{n} days"
