"""What usage must come to, told a second time: events by their ids, meters, what was folded, and days that were closed.

Nothing of the package is asked. Amounts are fractions, and nothing is ever added up before somebody asks: an hour
that was folded is the events that it was made of then, with the meters as they were.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
KEEP = timedelta(days=3)
"""So long events are kept here, that whole lives of days fit into a story."""
AHEAD = timedelta(hours=24)
MARGIN = timedelta(hours=1)
"""What is older than this and KEEP goes."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Span = tuple[datetime, datetime]
Group = tuple[str | None, ...]
Key = tuple[str, Group]
"""Of whom, and in which group."""


class Lit(str):
    """A number of JSON, as it was written."""

    __slots__ = ()


def read(text: str) -> Any:
    return json.loads(text, parse_float=Lit, parse_int=Lit)


def plain(text: str) -> str:
    """The same text for the same JSON, with numbers as they were written."""
    number: Callable[[str], Any] = lambda written: {"a number": written}  # noqa: E731
    return json.dumps(json.loads(text, parse_float=number, parse_int=number), sort_keys=True)


def hour_of(at: datetime) -> datetime:
    return at - (at - _EPOCH) % HOUR


def midnight(zone: ZoneInfo, day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def span_of(zone: ZoneInfo, day: date) -> Span:
    return midnight(zone, day), midnight(zone, day + DAY)


# --- events


@dataclass(frozen=True)
class Content:
    """What an event says, but for its id."""

    subject: str
    at: datetime
    type: str
    properties: Mapping[str, Any]

    @cached_property
    def exact(self) -> tuple[Any, ...]:
        shown = {name: _spelled(value) for name, value in self.properties.items()}
        return self.subject, self.at, self.type, tuple(sorted(shown.items()))

    @cached_property
    def loose(self) -> tuple[Any, ...]:
        """The same for what is one and the same event: whether a number was quoted does not matter."""
        shown = {name: str(value) if isinstance(value, str) else [value] for name, value in self.properties.items()}
        return self.subject, self.at, self.type, sorted(shown.items())

    def text(self, name: str) -> str | None:
        value = self.properties.get(name)
        if isinstance(value, bool):
            return "true" if value else "false"
        return None if value is None else str(value)


def _spelled(value: Any) -> str:
    return str(value) if isinstance(value, Lit) else json.dumps(value)


@dataclass
class Correction:
    """`number`: in the order in which they were made. `by_set`: by a backfill, which makes all of its own at once.

    `after` None: nothing counts in its place.
    """

    number: int
    kind: str
    before: Content
    after: Content | None
    received_at: datetime
    by_set: bool = False
    undone: bool = False


@dataclass
class Event:
    """`number`: in the order in which they were accepted. `came` is what it is compared with when its id comes again.

    `now` None: it is void, was replaced, or is one of a customer who was erased.
    """

    id: str
    number: int
    received_at: datetime
    came: Content
    now: Content | None
    corrections: list[Correction] = field(default_factory=list)

    @property
    def standing(self) -> list[Correction]:
        """The newest first."""
        return [one for one in reversed(self.corrections) if not one.undone]

    @property
    def newest(self) -> Correction | None:
        return next(iter(self.standing), None)

    @property
    def is_kept(self) -> bool:
        """Or what it was is. Of one that was erased only its id is known."""
        return self.now is not None or bool(self.corrections)


@dataclass(frozen=True)
class Conflict:
    """What came under an id that is taken. `number`: of the event that had it then."""

    id: str
    number: int
    subject: str
    received_at: datetime


@dataclass(frozen=True)
class Item:
    """Something that came as an event. `field`: where it shows that it is none, unless its time does before.

    `named`: what it calls the customer; None: nothing. `raw`: as it came, by `plain`.
    """

    id: str
    content: Content
    field: str
    named: str | None
    raw: str


@dataclass
class Letter:
    """What came as an event and is none. `field`: what was wrong with it then."""

    received_at: datetime
    item: Item
    field: str
    state: str = "open"


@dataclass
class Customer:
    """`id`: the public one, which he is called by as well. `aliases`: what else he is called."""

    name: str
    aliases: set[str]
    id: str = ""
    is_archived: bool = False

    @property
    def names(self) -> set[str]:
        return {*self.aliases, self.id}


@dataclass
class Sent:
    """An event in a backfill. `outcome` and `of`, the number of the event that it is one with: as it was closed."""

    id: str
    number: int
    received_at: datetime
    content: Content
    outcome: str = ""
    of: int = 0


@dataclass
class Backfill:
    span: Span
    types: tuple[str, ...]
    replaces: bool
    customers: tuple[str, ...] = ()
    state: str = "open"
    sent: dict[str, Sent] = field(default_factory=dict)
    run: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)

    def refused(self, content: Content, subjects: Collection[str]) -> str:
        """The field; empty: it is one of the set's. `subjects`: all that its customers are called by now."""
        if not self.span[0] <= content.at < self.span[1]:
            return "timestamp"
        if self.types and content.type not in self.types:
            return "event_type"
        return "customer_id" if self.customers and content.subject not in subjects else ""

    def takes_off(self, content: Content, subjects: Collection[str]) -> bool:
        return self.replaces and not self.refused(content, subjects)

    @property
    def coming(self) -> list[Sent]:
        return [one for one in self.sent.values() if one.outcome in {"added", "changed", "again"}]


# --- meters

_AMOUNT = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,18})?")
MOST = 10**20
WRONG = Fraction(11, 1000)
"""A percentile by as much of itself at most,"""
LEAST = Fraction(1, 10**18)
"""and by the last place that any amount has."""
VALUES: Mapping[str, tuple[tuple[str, ...], Callable[..., Fraction]]] = {
    "size": (("size",), lambda size: size),
    "size * 3": (("size",), lambda size: size * 3),
    "size * size": (("size",), lambda size: size * size),
    "size - extra": (("size", "extra"), lambda size, extra: size - extra),
}


@dataclass(frozen=True)
class Definition:
    types: tuple[str, ...]
    aggregation: str
    value: str | None = None
    filter: tuple[str, Any] | None = None
    keys: tuple[str, ...] = ()
    percent: str | None = None

    def wire(self) -> dict[str, Any]:
        found: dict[str, Any] = {"event_types": list(self.types), "aggregation": self.aggregation}
        if self.value is not None:
            found["value"] = self.value
        if self.percent is not None:
            found["percentile"] = self.percent
        if self.filter is not None:
            name, asked = self.filter
            found["filters"] = [{"property": "region", name: asked if name == "exists" else list(asked)}]
        return found | ({"group_keys": list(self.keys)} if self.keys else {})

    def of(self, content: Content) -> tuple[Group, Any] | str | None:
        """Its group and what it adds; why it cannot be counted; None: it is none of this meter's."""
        if content.type not in self.types or not self._passes(content.text("region")):
            return None
        group = tuple(content.text(key) for key in self.keys)
        if self.value is None:
            return group, None
        if self.aggregation == "unique":
            text = content.text(self.value)
            return "missing" if text is None else (group, text)
        names, work_out = VALUES[self.value]
        texts = [content.text(name) for name in names]
        for text in texts:
            if text is None:
                return "missing"
            if not _AMOUNT.fullmatch(text):
                return "no amount"
        result = work_out(*(Fraction(str(text)) for text in texts))
        return (group, result) if abs(result) < MOST and (result * 10**18).denominator == 1 else "no amount"

    def _passes(self, text: str | None) -> bool:
        match self.filter:
            case ("exists", asked):
                return bool(asked) is (text is not None)
            case ("any_of", some):
                return text in some
            case ("none_of", some):
                return text not in some
            case _:
                return True

    def is_told_by(self, must: Fraction | None, given: Fraction | None) -> bool:
        if self.aggregation != "percentile" or must is None or given is None:
            return must == given
        return bool(abs(given - must) <= WRONG * abs(must) + LEAST)

    def result(self, found: Sequence[Counted]) -> Fraction | None:
        amounts = [one.adds for one in found]
        match self.aggregation:
            case "count":
                return Fraction(len(found))
            case "unique":
                return Fraction(len(set(amounts)))
            case "sum":
                return sum(amounts, Fraction(0))
            case "min":
                return min(amounts, default=None)
            case "max":
                return max(amounts, default=None)
            case "percentile" if found:
                # The least of them that so many per cent of all do not exceed.
                ordered: Sequence[Fraction] = sorted(amounts)
                return ordered[math.ceil(Fraction(self.percent or 0) * len(found) / 100) - 1]
            case "percentile":
                return None
            case "latest":
                return max(found, key=lambda one: (one.at, one.number)).adds if found else None
            case _:
                # To 18 places, and of two that are as near the even one, as `round` does.
                return Fraction(round(sum(amounts) / len(found) * 10**18), 10**18) if found else None


@dataclass(frozen=True)
class Version:
    """In [from_at, to_at); of those that hold at an instant the last that was made counts."""

    number: int
    definition: Definition
    from_at: datetime | None = None
    to_at: datetime | None = None


@dataclass(frozen=True)
class Meter:
    slug: str
    versions: tuple[Version, ...]
    archived_at: datetime | None = None

    def at(self, at: datetime) -> Version | None:
        if self.archived_at is not None and at >= self.archived_at:
            return None
        holding = [
            one
            for one in self.versions
            if (one.from_at is None or one.from_at <= at) and (one.to_at is None or at < one.to_at)
        ]
        return holding[-1] if holding else None

    def counts_within(self, span: Span) -> bool:
        """At any instant of it."""
        edges = [at for one in self.versions for at in (one.from_at, one.to_at) if at is not None]
        return any(self.at(at) is not None for at in [span[0], *(at for at in edges if span[0] <= at < span[1])])

    @property
    def definition(self) -> Definition:
        """Any: of one meter all add up alike, and have the same group keys."""
        return self.versions[0].definition


@dataclass(frozen=True)
class Counted:
    version: int
    subject: str
    group: Group
    at: datetime
    number: int
    adds: Any


@dataclass(frozen=True)
class Shown:
    """What events and meters come to. `meters`: as they were when it was worked out."""

    events: tuple[tuple[int, Content], ...]
    meters: Mapping[str, Meter]

    def of(self, slug: str) -> Iterator[Counted]:
        meter = self.meters.get(slug, Meter(slug, ()))
        for number, content in self.events:
            version = meter.at(content.at)
            found = None if version is None else version.definition.of(content)
            if version is not None and isinstance(found, tuple):
                yield Counted(version.number, content.subject, found[0], content.at, number, found[1])

    @property
    def n_uncounted(self) -> int:
        """Events that some meter looks at and cannot count."""

        def lacks(content: Content) -> bool:
            versions = [meter.at(content.at) for meter in self.meters.values()]
            return any(one is not None and isinstance(one.definition.of(content), str) for one in versions)

        return sum(lacks(content) for _, content in self.events)


Rows = Mapping[tuple[int, str, Group | None], tuple[Any, ...]]


def rows_of(meter: Meter, found: Iterable[Counted]) -> Rows:
    """By version, customer and group (None: all of them): how many, and what they come to."""
    alike: dict[tuple[int, str, Group | None], list[Counted]] = {}
    for one in found:
        alike.setdefault((one.version, one.subject, None), []).append(one)
        if meter.definition.keys:
            alike.setdefault((one.version, one.subject, one.group), []).append(one)
    return {key: (len(some), *_facts(meter, some)) for key, some in alike.items()}


def _facts(meter: Meter, some: Sequence[Counted]) -> tuple[Any, ...]:
    amounts = [one.adds for one in some if isinstance(one.adds, Fraction)]
    bounds = (sum(amounts), min(amounts), max(amounts)) if amounts else ()
    if meter.definition.aggregation == "percentile":
        return (*sorted(amounts), *bounds)  # others come to another estimate, although the very one is the same
    return (meter.definition.result(some), *bounds)


def by_reader(rows: Rows, meter: Meter, found: Sequence[Counted]) -> Rows:
    """The same, whichever version they were of: what somebody who asks can see."""
    return rows_of(meter, [replace(one, version=0) for one in found]) if rows else {}


# --- days


@dataclass
class Proved:
    rows: Rows
    seen: Rows
    amended: str = "no"
    """`perhaps`: nobody who asks sees another figure, but it comes of other versions."""


@dataclass
class DayTold:
    """A day that was closed. `touched`: one of its hours was folded since."""

    span: Span
    ids: frozenset[str]
    figures: Mapping[str, int]
    proved: dict[str, Proved]
    amended: str = "no"
    touched: bool = False
