"""Events told by column: what a body of columns holds, event by event, and all at once where they are plain.

A column is a list with a value for each event, one value that all have, or some values and for each event the place of
its own among them. What is not plain in any way is not judged here: it is told event by event, and read by the rules
(core/events.py). What is read here is the same to the last byte of its fingerprint; a property test compares both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import starmap
from typing import Any

import msgspec

from heartfly.core.amounts import Number
from heartfly.core.events import Event, Rejected

MAX_EVENTS = 5_000
"""Of one body."""
MAX_TOLD = 16 * 1024 * 1024
"""Characters that all its events come to, about. A value that many have stands in the body once."""
_BESIDE = 16
"""What a property is counted for beside its name and its value."""
_FEW = 24
"""Characters that no number has more of, unless it is one of many digits."""

_FIELDS = ("transaction_id", "customer_id", "timestamp", "event_type")
_KNOWN = frozenset((*_FIELDS, "properties", "alike"))
_CODED = frozenset(("values", "places"))
_NO_PLACE = "has a place at which there is no value"


@dataclass(frozen=True, slots=True)
class Coded:
    """`places`: for each event, where its value is among `values`."""

    values: Sequence[Any]
    places: Sequence[int]

    def each(self) -> list[Any]:
        return list(map(self.values.__getitem__, self.places))


Column = list[Any] | Coded


@dataclass(frozen=True, slots=True)
class Given:
    """`ids`: of each event, as JSON held it. `named`: properties by name; `alike`: of several properties together.

    A value that is null is none: of a property it says that the event has none of that name.
    """

    ids: list[Any]
    subjects: Column
    times: Column
    types: Column
    named: Mapping[str, Column]
    alike: Sequence[Coded]

    def __len__(self) -> int:
        return len(self.ids)

    def events(self) -> Iterator[dict[str, Any]]:
        """What would stand in the place of each, if they were told one by one."""
        heads = zip(self.ids, *map(_each, (self.subjects, self.times, self.types)), strict=True)
        columns = {name: _each(column) for name, column in self.named.items()}
        together = [one.each() for one in self.alike]
        for place, head in enumerate(heads):
            properties = {name: column[place] for name, column in columns.items()}
            for column in together:
                properties |= column[place]
            told = {name: value for name, value in properties.items() if value is not None}
            yield {**dict(zip(_FIELDS, head, strict=True)), "properties": told}


@dataclass(frozen=True, slots=True)
class EventColumns:
    """Events, none of which is refused. `sources`: what each says in `source`; None: none says anything."""

    ids: Sequence[str]
    subjects: Sequence[str]
    ats: Sequence[datetime]
    types: Sequence[str]
    properties: Sequence[str]
    prints: Sequence[bytes]
    sources: Sequence[str] | None = field(default=None)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Event]:
        columns = (self.ids, self.subjects, self.ats, self.types, self.properties, self.prints)
        return starmap(Event, zip(*columns, strict=True))


def given_in(found: Any) -> Given | Rejected:
    """`found`: what JSON held, with numbers as whoever read it has them."""
    if not isinstance(found, dict):
        return Rejected("", "the body must be an object of columns")
    if (unknown := next((name for name in found if name not in _KNOWN), None)) is not None:
        return Rejected(unknown[:100], "is not a known field")
    if (missing := next((name for name in _FIELDS if found.get(name) is None), None)) is not None:
        return Rejected(missing, "is required")
    ids = found["transaction_id"]
    if not isinstance(ids, list):
        return Rejected("transaction_id", "must be a list, with a text for each event")
    if len(ids) > MAX_EVENTS:
        return Rejected("transaction_id", f"tells of {len(ids)} events; at most {MAX_EVENTS} come in one body")
    heads: list[Column] = []
    for name in _FIELDS[1:]:
        column = _column(found[name], len(ids))
        if isinstance(column, str):
            return Rejected(name, column)
        heads.append(column)
    named = _named(found.get("properties"), len(ids))
    if isinstance(named, Rejected):
        return named
    alike = _alike(found.get("alike"), len(ids), set(named))
    if isinstance(alike, Rejected):
        return alike
    given = Given(ids, heads[0], heads[1], heads[2], named, alike)
    if _told(given) > MAX_TOLD:
        return Rejected("", f"its events hold more than {MAX_TOLD // 1024 // 1024} MiB; send fewer in one body")
    return given


def _named(found: Any, n: int) -> Mapping[str, Column] | Rejected:
    if not isinstance(found, dict | None):
        return Rejected("properties", "must be an object, with a column for each name")
    named: dict[str, Column] = {}
    for name, value in (found or {}).items():
        column = _column(value, n)
        if isinstance(column, str):
            return Rejected(f"properties.{name[:100]}", column)
        named[name] = column
    return named


def _alike(found: Any, n: int, taken: set[str]) -> list[Coded] | Rejected:
    if not isinstance(found, list | None):
        return Rejected("alike", "must be a list")
    alike: list[Coded] = []
    for place, one in enumerate(found or ()):
        where = f"alike[{place}]"
        column = _coded(one, n) if isinstance(one, dict) else "must be an object of `values` and `places`"
        if isinstance(column, str):
            return Rejected(where, column)
        if not all(isinstance(value, dict) for value in column.values):
            return Rejected(f"{where}.values", "must be objects of properties")
        names = set().union(*column.values)
        if twice := min(names & taken, default=""):
            return Rejected(where, f"tells {twice[:100]}, which is told elsewhere")
        taken |= names
        alike.append(column)
    return alike


def _column(found: Any, n: int) -> Column | str:
    """Why it is none."""
    if isinstance(found, list):
        return found if len(found) == n else f"has {len(found)} values, and there are {n} events"
    if isinstance(found, dict):
        return _coded(found, n)
    return Coded([found], [0] * n)


def _coded(found: dict[str, Any], n: int) -> Coded | str:
    if found.keys() != _CODED or not all(isinstance(one, list) for one in found.values()):
        return "must be a list, one value, or an object of `values` and `places`, which are lists"
    values, places = found["values"], found["places"]
    if len(places) != n:
        return f"has {len(places)} places, and there are {n} events"
    kinds = set(map(type, places))
    if kinds == {Number}:
        if max(map(len, places)) > _FEW or not all(one.isdecimal() for one in places):
            return _NO_PLACE
        places = [*map(int, places)]
    elif not kinds <= {int}:
        return _NO_PLACE
    if n and not 0 <= min(places) <= max(places) < len(values):
        return _NO_PLACE
    return Coded(values, places)


def _told(given: Given) -> int:
    """How many characters all events come to, about; of what stands in the body for each of them, the names only."""
    n = len(given)
    told = sum(n * (_BESIDE + len(name)) for name in given.named)
    coded = [*given.alike, given.subjects, given.times, given.types, *given.named.values()]
    for column in coded:
        if isinstance(column, Coded):
            sizes = [*map(_size, column.values)]
            told += n * sizes[0] if len(sizes) == 1 else sum(map(sizes.__getitem__, column.places))
    return told


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(_BESIDE + len(name) + _size(one) for name, one in value.items())
    if isinstance(value, list):
        return sum(_BESIDE + _size(one) for one in value)
    return len(bytes(value)) if isinstance(value, msgspec.Raw) else _FEW


def _each(column: Column) -> list[Any]:
    return column.each() if isinstance(column, Coded) else column
