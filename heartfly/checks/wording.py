"""How a check's schedule is spelled for people and in alerts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from heartfly.core.spans import span


def schedule_words(row: Any) -> str:
    """`every 5 min`, or `30 2 * * * (Europe/Berlin)`."""
    if row.kind == "period":
        return f"every {span(timedelta(seconds=row.period_s))}"
    return f"{'; '.join(row.expression.splitlines())} ({row.zone})"
