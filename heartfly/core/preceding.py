"""The time before a time, to compare it with: as many months or days, as the zone has them, or as long.

Of a time that is not over, only as much of the former one as has passed of it by now.
"""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from heartfly.core.days import ONE, day_in, day_of
from heartfly.core.windows import Window


def preceding(window: Window, zone: ZoneInfo, now: datetime) -> Window | None:
    """None: it has not begun, or there is none before."""
    if now <= window.from_at:
        return None
    try:
        from_at, to_at = _whole(window, zone)
    except (OverflowError, ValueError):
        return None
    if now < window.to_at:
        to_at = min(to_at, from_at + (now - window.from_at))
    return Window(from_at, to_at) if from_at < to_at else None


def _whole(window: Window, zone: ZoneInfo) -> tuple[datetime, datetime]:
    first, end = day_of(zone, window.from_at), day_of(zone, window.to_at)
    are_days = day_in(zone, first).from_at == window.from_at and day_in(zone, end).from_at == window.to_at
    if are_days and first.day == end.day == 1:
        months = 12 * (end.year - first.year) + end.month - first.month
        return day_in(zone, _months_before(first, months)).from_at, window.from_at
    if are_days:
        return day_in(zone, first - (end - first) // ONE * ONE).from_at, window.from_at
    return window.from_at - (window.to_at - window.from_at), window.from_at


def _months_before(first: date, months: int) -> date:
    whole = 12 * first.year + first.month - 1 - months
    return date(whole // 12, whole % 12 + 1, 1)
