"""A budget in words: what an alert says of each thing that is told.

Money is rounded for eyes only (core/rounded.py); what machines read is exact.
"""

from __future__ import annotations

from heartfly.budgets.rows import Stored
from heartfly.core.alerts import ConcernFacts
from heartfly.core.budget_burn import burn, lasts_days, since_first
from heartfly.core.budget_periods import Period
from heartfly.core.budgets import SPIKE_DAYS, WHOLE, Kind, Mark, Seen, Terms
from heartfly.core.money import Money
from heartfly.core.rounded import money_words, share_words
from heartfly.core.words import Severity

_NEAR = 90
"""From this percent on it is worse than it was before."""


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
        window="" if mark.kind is Kind.SPIKE else period.within,
        says=_says(mark),
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
        figure="" if spent is None else money_words(spent, currency),
        threshold="" if whole is None else f"of {money_words(whole, currency)}",
        window="" if period is None else period.within,
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


def _says(mark: Mark) -> str:
    return {
        Kind.THRESHOLD: f"has reached {mark.what} %",
        Kind.ALLOCATION: "has used up its part",
        Kind.LOW: "is running low",
        Kind.SPIKE: "has a spike",
    }[mark.kind]


def why(stored: Stored, mark: Mark, terms: Terms, seen: Seen) -> str:
    """In a sentence or two."""
    currency = stored.agreed.currency
    if mark.kind is Kind.SPIKE:
        usual = since_first(seen.before[-SPIKE_DAYS:])
        mean, n = money_words(sum(usual) // len(usual), currency), len(usual)
        before = f"the day before cost {mean}" if n == 1 else f"the {n} days before cost {mean} a day"
        return f"{mark.what} has cost {money_words(seen.today, currency)}; {before}."
    if mark.kind is Kind.ALLOCATION:
        part, used = terms.allocations[mark.what], seen.by_allocation.get(mark.what, 0)
        return f"{part_words(mark.what)} has used {money_words(used, currency)} of {money_words(part, currency)}."
    whole = terms.amount or 0
    spent, share = money_words(seen.spent, currency), share_words(seen.spent, whole)
    said = f"{spent} of {money_words(whole, currency)} are spent ({share})."
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
        # The threshold may be passed by far: several are, where much is spent at once.
        spent = f"{money_words(seen.spent, currency)}, {share_words(seen.spent, whole)}"
        return "spent", spent, f"{mark.what} % of {money_words(whole, currency)}"
    if mark.kind is Kind.ALLOCATION:
        used = seen.by_allocation.get(mark.what, 0)
        return "spent", money_words(used, currency), f"of {money_words(terms.allocations[mark.what], currency)}"
    if mark.kind is Kind.LOW:
        return "left", money_words(whole - seen.spent, currency), f"lasts {_days(terms.low_days or 0)} or less"
    percent = 0 if terms.spike is None else terms.spike.percent
    usual = f"more than {percent} % of the mean of the days before"
    return f"spent on {mark.what}", money_words(seen.today, currency), usual


def _days(n: int) -> str:
    return "less than a day" if n < 1 else "1 day" if n == 1 else f"{n} days"
