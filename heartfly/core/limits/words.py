"""A limit in words, for people: how much, of what, within which time, and for whom."""

from __future__ import annotations

from datetime import timedelta

from heartfly.core.amounts import Amount, text_of
from heartfly.core.limits.rules import COST, Kind, Limit
from heartfly.core.limits.scope import Scope

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def described(limit: Limit) -> str:
    """`1,000 requests in any hour for each customer, provider openai`."""
    much = f"{_grouped(limit.amount)} {unit_words(limit.unit)}"
    return f"{much} {_within(limit)}{_whom(limit.scope)}"


def unit_words(unit: str) -> str:
    return unit.removeprefix(COST) if unit.startswith(COST) else unit.replace("_", " ")


def duration_words(period_us: int) -> str:
    seconds = period_us // 1_000_000
    for name, length in _UNITS:
        if seconds % length == 0:
            n = seconds // length
            return name if n == 1 else f"{n:,} {name}s"
    return str(timedelta(microseconds=period_us))


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
    return f"from {limit.from_at:%Y-%m-%d} to {limit.to_at:%Y-%m-%d}"


def _whom(scope: Scope) -> str:
    each = [dimension for dimension, value in scope if value is None]
    named = [f"{dimension} {value}" for dimension, value in scope if value is not None]
    told = f" for each {' and '.join(each)}" if each else ""
    return f"{told}, {', '.join(named)}" if named else told


def _grouped(amount: Amount) -> str:
    whole, dot, places = text_of(amount).partition(".")
    return f"{int(whole):,}{dot}{places}"
