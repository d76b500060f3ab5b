"""Which days a customer's report is about, and when one that comes by itself is due.

Days are the project's, and whole: a month, or any run of them. What is told of them is decided in traffic/report.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from heartfly.core.days import ONE, day_in, day_of
from heartfly.errors import InvalidValueError

USUAL_DAYS = 30
MOST_DAYS = 100
_MONTH = re.compile(r"\d{4}-\d{2}", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_FIRST, _LAST = date(1970, 1, 2), date(2199, 12, 1)


class Rhythm(StrEnum):
    """How often a report comes by itself."""

    MONTH = "month"
    DAYS = "30-days"


@dataclass(frozen=True, slots=True)
class Period:
    """The days from `first` to `last`, both of them in it, as `zone` has them."""

    first: date
    last: date
    zone: ZoneInfo

    @property
    def from_at(self) -> datetime:
        return day_in(self.zone, self.first).from_at

    @property
    def to_at(self) -> datetime:
        return day_in(self.zone, self.last).to_at

    @property
    def n_days(self) -> int:
        return (self.last - self.first) // ONE + 1

    @property
    def words(self) -> str:
        """`November 2026`, `1 Nov 2026`, `1–15 Nov 2026`, or with both ends in full."""
        if self.first.day == 1 and self.last == _month_end(self.first):
            return f"{self.first:%B %Y}"
        if self.first == self.last:
            return f"{self.first.day} {self.first:%b %Y}"
        if (self.first.year, self.first.month) == (self.last.year, self.last.month):
            return f"{self.first.day}–{self.last.day} {self.last:%b %Y}"
        year = "" if self.first.year == self.last.year else f" {self.first.year}"
        return f"{self.first.day} {self.first:%b}{year} – {self.last.day} {self.last:%b %Y}"

    @property
    def query(self) -> str:
        """What an address asks for it with."""
        return f"from={self.first}&to={self.last}"


def asked(month: str, first: str, last: str, *, zone: ZoneInfo, now: datetime) -> Period:
    """A month such as 2026-11; or days, of which the ends may be left out; of nothing the last 30 that are over.

    InvalidValueError, under `month`, `from` or `to`.
    """
    yesterday = day_of(zone, now) - ONE
    if month:
        if first or last:
            raise InvalidValueError("month", "says it all; leave out `from` and `to`")
        begin = _month(month)
        return Period(begin, _month_end(begin), zone)
    end = _day(last, "to") if last else None
    begin = _day(first, "from") if first else (end or yesterday) - (USUAL_DAYS - 1) * ONE
    if end is None:
        end = begin + (USUAL_DAYS - 1) * ONE
    if end < begin:
        raise InvalidValueError("to", "must not be before `from`")
    if (end - begin) // ONE >= MOST_DAYS:
        raise InvalidValueError("to", f"makes more than {MOST_DAYS} days, which is the most for one report")
    return Period(begin, end, zone)


def month_of(text: str) -> tuple[date, date]:
    """The first and the last day of a month such as 2026-11. InvalidValueError, under `month`."""
    begin = _month(text)
    return begin, _month_end(begin)


def ended(rhythm: Rhythm, since: date, *, zone: ZoneInfo, now: datetime, most: int) -> list[Period]:
    """The newest periods that are over, of those that end on `since` or later; the oldest first, at most `most`.

    Of 30 days the first one begins on `since`.
    """
    today = day_of(zone, now)
    found: list[Period] = []
    begin = since.replace(day=1) if rhythm is Rhythm.MONTH else since
    if rhythm is Rhythm.DAYS:  # it may have begun long ago
        begin += max(0, (today - since) // (USUAL_DAYS * ONE) - most) * USUAL_DAYS * ONE
    while (end := _end_of(rhythm, begin)) < today:
        found.append(Period(begin, end, zone))
        begin = end + ONE
    return found[-most:]


def _end_of(rhythm: Rhythm, begin: date) -> date:
    return _month_end(begin) if rhythm is Rhythm.MONTH else begin + (USUAL_DAYS - 1) * ONE


def _month_end(first: date) -> date:
    return (first.replace(day=1) + timedelta(days=31)).replace(day=1) - ONE


def _month(text: str) -> date:
    try:
        found = date.fromisoformat(f"{text}-01") if _MONTH.fullmatch(text) else None
    except ValueError:
        found = None
    if found is None or not _FIRST.replace(day=1) < found <= _LAST:
        raise InvalidValueError("month", "must be a month such as 2026-11, within 1970 to 2199")
    return found


def _day(text: str, field: str) -> date:
    try:
        found = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        found = None
    if found is None or not _FIRST + MOST_DAYS * ONE <= found <= _LAST - MOST_DAYS * ONE:
        raise InvalidValueError(field, "must be a day such as 2026-11-30, within 1971 to 2199")
    return found
