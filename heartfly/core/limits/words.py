"""A limit in words, for people: how much, of what, within which time, and for whom."""

from __future__ import annotations

from datetime import time

from heartfly.core.amounts import ONE, Amount, text_of
from heartfly.core.limits.rules import COST, Kind, Limit
from heartfly.core.limits.scope import Scope
from heartfly.core.money import MONEY_ONE
from heartfly.core.rounded import money_words

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def described(limit: Limit) -> str:
    """`1,000 requests in any hour for each customer, provider openai`."""
    much = counted_words(limit.amount, limit.unit)
    if limit.unit.startswith(COST):
        whole, _, places = _grouped(limit.amount).partition(".")
        much = f"{whole}.{places.ljust(2, '0')} {unit_words(limit.unit)}"
    return f"{much} {_within(limit)}{_whom(limit.scope)}"


def unit_words(unit: str) -> str:
    return unit.removeprefix(COST) if unit.startswith(COST) else unit.replace("_", " ")


def amount_words(amount: Amount, unit: str) -> str:
    """So much of a limit's unit: money with its currency and rounded for eyes, all else to the digit."""
    if unit.startswith(COST):
        return money_words(amount * MONEY_ONE // ONE, unit.removeprefix(COST))
    return _grouped(amount)


def counted_words(amount: Amount, unit: str) -> str:
    """`2,256 input tokens`, `1 request`."""
    words = unit_words(unit)
    return f"{_grouped(amount)} {words.removesuffix('s') if amount == ONE else words}"


def duration_words(period_us: int) -> str:
    seconds = max(1, period_us // 1_000_000)
    name, length = next(unit for unit in _UNITS if seconds % unit[1] == 0)
    n = seconds // length
    return name if n == 1 else f"{n:,} {name}s"


def _within(limit: Limit) -> str:
    if limit.kind is Kind.RATE:
        burst = "" if limit.burst == limit.amount else f", at most {_grouped(limit.burst)} at once"
        return f"per {duration_words(limit.period_us)}{burst}"
    if limit.kind is Kind.ROLLING:
        return f"in any {duration_words(limit.period_us)}"
    if limit.kind is Kind.CALENDAR and limit.span is not None:
        return f"each {limit.span.value}"
    assert limit.from_at is not None
    assert limit.to_at is not None
    of_days = limit.from_at.time() == limit.to_at.time() == time()
    form = "%Y-%m-%d" if of_days else "%Y-%m-%d %H:%M"
    return f"from {limit.from_at:{form}} to {limit.to_at:{form}}{'' if of_days else ' UTC'}"


def _whom(scope: Scope) -> str:
    each = [dimension for dimension, value in scope if value is None]
    named = [f"{dimension} {value}" for dimension, value in scope if value is not None]
    told = f" for each {' and '.join(each)}" if each else ""
    return f"{told}, {', '.join(named)}" if named else told


def _grouped(amount: Amount) -> str:
    whole, dot, places = text_of(amount).partition(".")
    return f"{int(whole):,}{dot}{places}"
