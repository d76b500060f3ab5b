"""Whether far fewer pings come than usually do: those of a minute, beside the same minute of the days before.

Counts in, a word out. Who counts them is pings/tally.py; what is done where they are few, core/guard.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median

PART = timedelta(seconds=10)
"""Pings are counted by so much, so that the last minute may end at any of them."""
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
DAYS = 7
FEWEST_DAYS = 4
"""Of them so many must be known: where it is fewer, one odd day could be the median."""
LEAST = 10
"""Where fewer are usual in a minute, it is chance how many come."""
MOST_KEPT = timedelta(days=8)
"""Counts that are older are asked for no more."""


class Volume(StrEnum):
    UNKNOWN = "unknown"
    ENOUGH = "enough"
    FEW = "few"


def part_of(at: datetime) -> datetime:
    """When the part began that an instant of UTC is in; so, when the one before ended."""
    return at.replace(second=at.second - at.second % 10, microsecond=0)


def minute_of(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def parts_of(minute: datetime) -> Sequence[datetime]:
    """When each part of a minute, wherever it begins, began."""
    return [minute + n * PART for n in range(MINUTE // PART)]


def same_minutes(until: datetime) -> Sequence[datetime]:
    """When the minute began that ends at `until`, and when it did on each of the days before; the newest first."""
    return [until - MINUTE - n * DAY for n in range(DAYS + 1)]


def volume(n: int, before: Sequence[int]) -> Volume:
    """`n`: what came in a minute. `before`: what came in the same one of those days of which it is known."""
    if len(before) < FEWEST_DAYS:
        return Volume.UNKNOWN
    usual = median(before)
    if usual < LEAST:
        return Volume.UNKNOWN
    return Volume.FEW if n < usual / 2 else Volume.ENOUGH
