"""Instants, durations and numbers as people read them. English, UTC, and no locale."""

from __future__ import annotations

from datetime import datetime, timedelta

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def time_of_day(at: datetime) -> str:
    """Return `02:30`, with seconds only where there are some."""
    return at.isoformat(" ")[11:19] if at.second else at.isoformat(" ")[11:16]


def day(at: datetime, *, seen_at: datetime) -> str:
    """Return `Mon 2 Mar`, with the year only for a reader in another one."""
    words = f"{_DAYS[at.weekday()]} {at.day} {_MONTHS[at.month - 1]}"
    return words if at.year == seen_at.year else f"{words} {at.year}"


def instant(at: datetime, *, seen_at: datetime) -> str:
    """Return `02:30 UTC` for today, else `Mon 2 Mar, 02:30 UTC`."""
    if at.date() == seen_at.date():
        return f"{time_of_day(at)} UTC"
    return full_instant(at, seen_at=seen_at)


def full_instant(at: datetime, *, seen_at: datetime) -> str:
    return f"{day(at, seen_at=seen_at)}, {time_of_day(at)} UTC"


def span(start: datetime, end: datetime, *, seen_at: datetime) -> str:
    """Return `02:50–03:20 UTC`, naming the days where they are not today."""
    if start.date() == end.date() == seen_at.date():
        return f"{time_of_day(start)}–{time_of_day(end)} UTC"
    return full_span(start, end, seen_at=seen_at)


def full_span(start: datetime, end: datetime, *, seen_at: datetime) -> str:
    """Return `Mon 2 Mar, 02:50–03:20 UTC`."""
    if start.date() == end.date():
        return f"{day(start, seen_at=seen_at)}, {time_of_day(start)}–{time_of_day(end)} UTC"
    return f"{full_instant(start, seen_at=seen_at)} – {full_instant(end, seen_at=seen_at)}"


def duration(value: timedelta) -> str:
    """Return the two largest units, `1 h 5 min`; below ten seconds one decimal, `0.4 s`."""
    seconds = max(0.0, value.total_seconds())
    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    left = round(seconds)
    parts: list[tuple[int, str]] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or parts:
            parts.append((count, unit))
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count)


def rough_duration(value: timedelta) -> str:
    """Return the duration to about a tenth, as people say it: `31 min`, not `30 min 31 s`."""
    seconds = max(0.0, value.total_seconds())
    for unit_s in (86_400, 3_600, 60):
        if seconds >= 10 * unit_s:
            return duration(timedelta(seconds=round(seconds / unit_s) * unit_s))
    return duration(value)


def count(number: int, one: str) -> str:
    """Return `1 run`, `14 runs`."""
    return f"{number} {one if number == 1 else one + 's'}"
