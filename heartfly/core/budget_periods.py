"""When a budget's periods begin and end: calendar months, quarters and years, a project's days, or every so many days.

Periods are whole days of the project's zone, so one with a change of the clock is an hour shorter or longer. What is
spent in one, and who is told, is decided in budgets.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from heartfly.core.days import ONE, day_in
from heartfly.errors import InvalidValueError

MOST_EVERY = 3_660
"""Days of a custom period."""
_FIRST, _LAST = date(1971, 1, 1), date(2189, 12, 31)
_MONTHS_OF = {"monthly": 1, "quarterly": 3, "yearly": 12}


class Rhythm(StrEnum):
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    YEARLY = "yearly"
    PROJECT = "project"
    """Once, from a day to a day."""
    CUSTOM = "custom"
    """Every so many days from a day on."""
    UNLIMITED = "unlimited"
    """Tracked only: no amount, and no end."""


ENDLESS = frozenset({Rhythm.MONTHLY, Rhythm.QUARTERLY, Rhythm.YEARLY, Rhythm.CUSTOM})
"""Those that may be renewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`starts_on`: the first day that counts; of calendar periods the first one is whole. `ends_on`: of a project."""

    rhythm: Rhythm
    starts_on: date
    ends_on: date | None = None
    every_days: int | None = None
    renews: bool = True


@dataclass(frozen=True, slots=True)
class Period:
    """The days from `first` to `last`, both of them in it. `last` None: it has no end."""

    first: date
    last: date | None

    @property
    def key(self) -> str:
        """What it is known by for ever, whatever becomes of its end or of the zone."""
        return self.first.isoformat()

    @property
    def words(self) -> str:
        if self.last is None:
            return f"since {self.first}"
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"

    @property
    def within(self) -> str:
        """As it is said behind `in`."""
        first, last = self.first, self.last
        if last is None:
            return f"all {self.words}"
        after = last + ONE
        if first.day == after.day == 1 and first.month == last.month and first.year == last.year:
            return f"{first:%B %Y}"
        if first == date(first.year, 1, 1) and after == date(first.year + 1, 1, 1):
            return str(first.year)
        return str(first) if first == last else f"the days {self.words}"

    def from_at(self, zone: ZoneInfo) -> datetime:
        return day_in(zone, self.first).from_at

    def to_at(self, zone: ZoneInfo) -> datetime | None:
        """Not in it any more."""
        return None if self.last is None else day_in(zone, self.last).to_at


def plan_of(rhythm: str, *, starts_on: date, ends_on: date | None, every_days: int | None, renews: bool | None) -> Plan:
    """`renews` None: as is usual for that rhythm. InvalidValueError, by the field's name on the wire."""
    if rhythm not in list(Rhythm):
        raise InvalidValueError("period", f"must be one of {', '.join(Rhythm)}")
    kind = Rhythm(rhythm)
    if not _FIRST <= starts_on <= _LAST:
        raise InvalidValueError("starts_on", f"must be within {_FIRST.year} to {_LAST.year}")
    if kind is Rhythm.PROJECT:
        if ends_on is None:
            raise InvalidValueError("ends_on", "is needed for a project: its last day")
        if ends_on < starts_on:
            raise InvalidValueError("ends_on", "must not be before `starts_on`")
        if ends_on > _LAST:
            raise InvalidValueError("ends_on", f"must be within {_FIRST.year} to {_LAST.year}")
    elif ends_on is not None:
        raise InvalidValueError("ends_on", "is of a project's budget only; others end by `auto_renew` or are cancelled")
    if kind is Rhythm.CUSTOM:
        if every_days is None or not 1 <= every_days <= MOST_EVERY:
            raise InvalidValueError("every_days", f"must be 1 to {MOST_EVERY} for a custom period")
    elif every_days is not None:
        raise InvalidValueError("every_days", "is of a custom period only")
    if renews and kind not in ENDLESS:
        raise InvalidValueError("auto_renew", f"is not possible: there is one period only ({kind})")
    return Plan(
        rhythm=kind,
        starts_on=starts_on,
        ends_on=ends_on,
        every_days=every_days,
        renews=kind in ENDLESS if renews is None else renews,
    )


def period_on(plan: Plan, day: date) -> Period | None:
    """The one that has this day; None: before the first, or behind the last."""
    first = first_of(plan)
    if day < first.first:
        return None
    if first.last is None or day <= first.last:
        return first
    return _around(plan, day) if plan.renews else None


def first_of(plan: Plan) -> Period:
    return _around(plan, plan.starts_on)


def newest(plan: Plan, day: date, *, most: int) -> list[Period]:
    """The periods that have begun by this day, the newest first, at most so many."""
    first = first_of(plan)
    if day < first.first or most < 1:
        return []
    found = [period_on(plan, day) or first]
    while len(found) < most and found[-1].first > first.first:
        found.append(_around(plan, found[-1].first - ONE))
    return found


def is_over(plan: Plan, day: date) -> bool:
    """Whether its last period has ended, and none follows."""
    return day >= first_of(plan).first and period_on(plan, day) is None


def _around(plan: Plan, day: date) -> Period:
    """As if it was renewed, forwards and back."""
    if plan.rhythm is Rhythm.PROJECT:
        return Period(plan.starts_on, plan.ends_on)
    if plan.rhythm is Rhythm.UNLIMITED:
        return Period(plan.starts_on, None)
    if plan.rhythm is Rhythm.CUSTOM:
        length = timedelta(days=plan.every_days or 1)
        first = plan.starts_on + (day - plan.starts_on) // length * length
        return Period(first, first + length - ONE)
    months = _MONTHS_OF[plan.rhythm]
    first = date(day.year, (day.month - 1) // months * months + 1, 1)
    month = first.month - 1 + months
    return Period(first, date(first.year + month // 12, month % 12 + 1, 1) - ONE)
