"""How a check's schedule is spelled for people and in alerts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from heartfly.core.spans import span


def schedule_words(row: Any) -> str:
    """`every 5 min`, or `30 2 * * * (Europe/Berlin)`."""
    return words_of(row.kind, row.period_s, row.expression, row.zone)


def words_of(kind: str, period_s: int, expression: str, zone: str) -> str:
    if kind == "period":
        return f"every {span(timedelta(seconds=period_s))}"
    return f"{'; '.join(expression.splitlines())} ({zone})"
