"""How a check's schedule and its other rules are spelled for people and in alerts."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import Any

from heartfly.checks.config import bounds_of, gates_of, tolerance_of
from heartfly.core.bound_text import lines_of
from heartfly.core.spans import span


def schedule_words(row: Any) -> str:
    """`every 5 min`, or `30 2 * * * (Europe/Berlin)`."""
    return words_of(row.kind, row.period_s, row.expression, row.zone)


_MOST_RULES = 12


@lru_cache(maxsize=4_096)
def rules_words(tolerance: str, bounds: str, gates: str) -> tuple[str, ...]:
    """What is tolerated, bounds and gates, out of their columns, as they are written; of many the first."""
    found = [f"down {tolerance_of(tolerance).text}"] if tolerance else []
    found += lines_of(bounds_of(bounds))
    found += [f"{gate.text} {gate.level.value}" for gate in gates_of(gates)]
    more = len(found) - _MOST_RULES
    return (*found[:_MOST_RULES], *([f"and {more} more"] if more > 0 else []))


def words_of(kind: str, period_s: int, expression: str, zone: str) -> str:
    if kind == "period":
        return f"every {span(timedelta(seconds=period_s))}"
    return f"{'; '.join(expression.splitlines())} ({zone})"
