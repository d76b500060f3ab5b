"""Instants and durations in words, for people; those of schedules are in describe.py."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache


def utc(at: datetime) -> str:
    return f"{at.isoformat(' ')[:19]} UTC"  # a format takes four times as long, and a storm words many


@lru_cache(maxsize=1_024)
def span(duration: timedelta) -> str:
    """A duration in its two largest units: `2 h 5 min`, `45 s`."""
    seconds = max(0, round(duration.total_seconds()))
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        n, seconds = divmod(seconds, size)
        if n:
            parts.append(f"{n} {unit}")
    return " ".join(parts[:2]) or "0 s"
