"""What a limit lets through: so much of a unit, as a rate or within a window; and which of them hold for a call.

A rate is GCRA's: so much per period, and a burst. A quota is for a rolling window, for one of the calendar, or for one
span. Whom it is for is in scope.py; what was used stands in counters.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from heartfly.core.amounts import ONE, Amount
from heartfly.core.days import day_in, day_of
from heartfly.core.limits.scope import Call, Scope, counters_for, is_more_special
from heartfly.core.windows import Size, window_at
from heartfly.errors import InvalidValueError

BUCKETS = 60
"""Of a rolling window: what was used counts for at most a sixtieth of the window longer than it says."""
APPROACHING = 80
"""Percent."""
SHORTEST_US, LONGEST_US = 1_000_000, 366 * 86_400 * 1_000_000
REQUESTS, TOKENS, COST = "requests", "tokens", "cost:"
_UNIT = re.compile(r"[a-z][a-z0-9_]{0,39}|cost:[A-Z]{3}", re.ASCII)


class Kind(StrEnum):
    RATE = "rate"
    ROLLING = "rolling"
    CALENDAR = "calendar"
    BETWEEN = "between"


class Span(StrEnum):
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """`period_us`: of a rate and a rolling window. `burst`: of a rate, how much at once. `span`, `zone`: of the
    calendar. `from_at`, `to_at`: [from, to) of what holds once.

    `always`: no more special limit replaces it. `opens`: where nothing can be looked up, calls are let through.
    """

    id: int
    scope: Scope
    unit: str
    kind: Kind
    amount: Amount
    period_us: int = 0
    burst: Amount = 0
    span: Span | None = None
    zone: str = "UTC"
    from_at: datetime | None = None
    to_at: datetime | None = None
    always: bool = False
    opens: bool = True
    approaching: int = APPROACHING
    most: Amount = field(init=False, compare=False)
    """What is used at most at one time."""
    bucket_us: int = field(init=False, compare=False)
    """Of a rolling window."""

    def __post_init__(self) -> None:
        # Each check asks for them several times.
        object.__setattr__(self, "most", self.burst if self.kind is Kind.RATE else self.amount)
        object.__setattr__(self, "bucket_us", -(-self.period_us // BUCKETS))

    @property
    def family(self) -> tuple[object, ...]:
        """What two limits have in common of which one may replace the other."""
        return self.unit, self.kind, self.period_us, self.span, self.zone, self.from_at, self.to_at


def usable(limit: Limit) -> Limit:
    """The same. InvalidValueError names the field."""
    if not _UNIT.fullmatch(limit.unit):
        raise InvalidValueError("unit", "must be such as requests, tokens, input_tokens or cost:USD")
    if limit.amount < 0:
        raise InvalidValueError("amount", "must not be negative")
    if not 1 <= limit.approaching <= 100:
        raise InvalidValueError("approaching", "must be 1 to 100 (percent)")
    if limit.kind in {Kind.RATE, Kind.ROLLING} and not SHORTEST_US <= limit.period_us <= LONGEST_US:
        raise InvalidValueError("period_s", f"must be 1 to {LONGEST_US // 1_000_000}")
    if limit.kind is Kind.RATE:
        if not limit.amount:
            raise InvalidValueError("amount", "must be more than 0 for a rate; pause calls by a quota of 0")
        if limit.burst <= 0:
            raise InvalidValueError("burst", "must be more than 0")
    if limit.kind is Kind.CALENDAR and limit.span is None:
        raise InvalidValueError("window", f"must be one of {', '.join(Span)}")
    if limit.kind is Kind.BETWEEN:
        if limit.from_at is None or limit.to_at is None:
            raise InvalidValueError("from_at", "and to_at are required")
        if limit.to_at <= limit.from_at:
            raise InvalidValueError("to_at", "must be after from_at")
    return limit


Key = tuple[int, tuple[str, ...]]
"""Of a counter: the limit's number, and the values of what it counts apart."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A limit that holds for a call, and which of its counters: the values of what it counts apart."""

    limit: Limit
    values: tuple[str, ...]
    key: Key = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (self.limit.id, self.values))


def holding(limits: Iterable[Limit], call: Call) -> list[Applied]:
    """In the order of the limits; those of the same family that are more general than one that fits are left out."""
    fitting = [(limit, values) for limit in limits for values in counters_for(limit.scope, call)]
    by_family: dict[tuple[object, ...], list[Limit]] = {}
    for limit, _ in fitting:
        by_family.setdefault(limit.family, []).append(limit)
    return [
        Applied(limit, values)
        for limit, values in fitting
        if limit.always or not any(is_more_special(other.scope, limit.scope) for other in by_family[limit.family])
    ]


def wanted(limit: Limit, units: Mapping[str, Amount]) -> Amount | None:
    """How much of the limit's unit a call takes. None: nothing, as it says nothing of that unit.

    A call is a request. What it will cost and how many tokens it takes is often not known before: it is 0 then, and the
    call is let through unless nothing at all is left.
    """
    unit = limit.unit
    found = units.get(unit)
    if found is not None:
        return found
    if unit == REQUESTS:
        return ONE
    if unit == TOKENS:
        return sum(value for name, value in units.items() if name.endswith("_tokens"))
    return 0 if unit.endswith("_tokens") or unit.startswith(COST) else None


def bounds(limit: Limit, at: datetime) -> tuple[datetime, datetime]:
    """[from, to) of the limit's window of the calendar that holds the instant, in the limit's zone, or its one span."""
    if limit.kind is Kind.BETWEEN:
        assert limit.from_at is not None
        assert limit.to_at is not None
        return limit.from_at, limit.to_at
    zone, span = ZoneInfo(limit.zone), limit.span
    if span is Span.HOUR:
        found = window_at(Size.HOUR, zone, at)
        return found.from_at, found.to_at
    day = day_of(zone, at)
    if span is Span.DAY:
        first, after = day, day + timedelta(days=1)
    elif span is Span.WEEK:
        first = day - timedelta(days=day.weekday())
        after = first + timedelta(days=7)
    else:
        months = {Span.MONTH: 1, Span.QUARTER: 3, Span.YEAR: 12}[span or Span.MONTH]
        n = day.year * 12 + (day.month - 1) // months * months
        first = day.replace(year=n // 12, month=n % 12 + 1, day=1)
        after = first.replace(year=(n + months) // 12, month=(n + months) % 12 + 1)
    return day_in(zone, first).from_at, day_in(zone, after).from_at
