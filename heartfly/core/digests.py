"""When a digest is told, and of which time: each day the day before, on Mondays the week, on the first the month.

Days are those of a time zone. What is told of them, and to whom, is decided in jobs/digest.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from heartfly.core.days import ONE, day_in, day_of
from heartfly.core.words import Cadence

TOLD_AT = time(7)
CHOICES = {
    "daily": frozenset({Cadence.DAILY}),
    "weekly": frozenset({Cadence.WEEKLY}),
    "both": frozenset({Cadence.DAILY, Cadence.WEEKLY}),
    "monthly": frozenset({Cadence.MONTHLY}),
    "daily+monthly": frozenset({Cadence.DAILY, Cadence.MONTHLY}),
    "weekly+monthly": frozenset({Cadence.WEEKLY, Cadence.MONTHLY}),
    "all": frozenset(Cadence),
}
"""What a channel may choose, and what it gets then."""
_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Period:
    """[from_at, to_at), which are the days from `first` to `last`."""

    cadence: Cadence
    first: date
    last: date
    from_at: datetime
    to_at: datetime

    @property
    def key(self) -> str:
        """Names the digest of it for ever, within its project."""
        return f"digest:{self.cadence}:{self.first.isoformat()}"


def due(zone: ZoneInfo, *, after: datetime, through: datetime) -> tuple[Period, ...]:
    """What is to be told within (after, through]; of each cadence the newest alone, however many fell due."""
    today = day_of(zone, through)
    morning = today if _told_at(zone, today) <= through else today - ONE
    monday = morning - morning.weekday() * ONE
    first = morning.replace(day=1)
    found = []
    if after < _told_at(zone, morning) <= through:
        day = _last_before(zone, morning)
        found.append(_period(zone, Cadence.DAILY, day, day))
    if after < _told_at(zone, monday) <= through:
        found.append(_period(zone, Cadence.WEEKLY, monday - _WEEK, monday - ONE))
    if after < _told_at(zone, first) <= through:
        found.append(_period(zone, Cadence.MONTHLY, (first - ONE).replace(day=1), first - ONE))
    return tuple(found)


def _told_at(zone: ZoneInfo, day: date) -> datetime:
    return datetime.combine(day, TOLD_AT, tzinfo=zone).astimezone(UTC)


def _last_before(zone: ZoneInfo, morning: date) -> date:
    """The day before; the one before that where a zone skipped it (Samoa's 30th of December 2011)."""
    day = morning - ONE
    while (found := day_in(zone, day)).from_at == found.to_at:
        day -= ONE
    return day


def _period(zone: ZoneInfo, cadence: Cadence, first: date, last: date) -> Period:
    return Period(cadence, first, last, day_in(zone, first).from_at, day_in(zone, last).to_at)
