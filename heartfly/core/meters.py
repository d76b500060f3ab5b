"""Meters: whether an event counts, for how much, and in which group.

A meter is a question about events, asked of all that are kept: a new one, or one that was changed, knows history.
How the answers are put together is decided in core/aggregate.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from heartfly.core import expressions
from heartfly.core.amounts import ONE, Amount, amount
from heartfly.core.expressions import Expression
from heartfly.errors import InvalidValueError

MAX_FILTERS = 20
MAX_FILTER_VALUES = 200
MAX_GROUP_KEYS = 5
MAX_GROUP_LENGTH = 256


class Aggregation(StrEnum):
    COUNT = "count"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    AVERAGE = "average"
    LATEST = "latest"
    UNIQUE = "unique"
    PERCENTILE = "percentile"


@dataclass(frozen=True, slots=True)
class PropertyFilter:
    """All that is set must hold. `exists`: None, whether or not. An `any_of` that is empty asks for nothing.

    Values are compared as texts: 45 and "45" are one.
    """

    name: str
    exists: bool | None = None
    any_of: frozenset[str] = frozenset()
    none_of: frozenset[str] = frozenset()

    def holds(self, properties: Mapping[str, Any]) -> bool:
        return self.passes(text_at(properties, self.name))

    def passes(self, found: str | None) -> bool:
        """`found`: what the property is, as text."""
        if self.exists is not None and self.exists is (found is None):
            return False
        if self.any_of and found not in self.any_of:
            return False
        return found is None or found not in self.none_of


@dataclass(frozen=True, slots=True)
class Meter:
    """`value` None: events are counted. `of` a UNIQUE meter is the name of the property whose values are told apart.

    `percent` belongs to PERCENTILE: above 0, up to 100.
    """

    types: frozenset[str]
    aggregation: Aggregation
    filters: tuple[PropertyFilter, ...] = ()
    value: Expression | None = None
    of: str = ""
    percent: Amount = 0
    group_keys: tuple[str, ...] = ()


class Counted(NamedTuple):
    """What an event adds. `unique`: the value that is told apart."""

    group: tuple[str | None, ...]
    amount: Amount | None = None
    unique: str | None = None


class Uncounted(StrEnum):
    """Why an event that a meter looks at adds nothing. Both are shown: a property that stops coming is news."""

    MISSING = "missing"  # a property that it needs is not there
    NO_AMOUNT = "no amount"  # it is there, and is no exact decimal of 20 digits and 18 places


def meter_of(
    *,
    types: Sequence[str],
    aggregation: str,
    filters: Sequence[PropertyFilter] = (),
    value: str | None = None,
    percent: str | None = None,
    group_keys: Sequence[str] = (),
) -> Meter:
    """InvalidValueError names the field. `value`: an expression, or for `unique` the name of a property."""
    if not types or not all(types):
        raise InvalidValueError("event_types", "must name at least one type")
    try:
        kind = Aggregation(aggregation)
    except ValueError as error:
        raise InvalidValueError("aggregation", f"must be one of {', '.join(Aggregation)}") from error
    if (kind is Aggregation.COUNT) is bool(value):
        raise InvalidValueError("value", "is not for a count" if value else f"is required for {kind.value}")
    if (kind is Aggregation.PERCENTILE) is (percent is None):
        raise InvalidValueError("percentile", "is required" if percent is None else f"is not for {kind.value}")
    share = amount(percent) if percent is not None else 0
    if share is None or (kind is Aggregation.PERCENTILE and not 0 < share <= 100 * ONE):
        raise InvalidValueError("percentile", "must be above 0, up to 100")
    if len(filters) > MAX_FILTERS:
        raise InvalidValueError("filters", f"are more than {MAX_FILTERS}")
    for place, one in enumerate(filters):
        if not one.name:
            raise InvalidValueError(f"filters[{place}].property", "is required")
        if len(one.any_of | one.none_of) > MAX_FILTER_VALUES:
            raise InvalidValueError(f"filters[{place}]", f"has more than {MAX_FILTER_VALUES} values")
    if len(group_keys) > MAX_GROUP_KEYS or len(set(group_keys)) < len(group_keys) or not all(group_keys):
        raise InvalidValueError("group_keys", f"must be up to {MAX_GROUP_KEYS} names, each once")
    unique = kind is Aggregation.UNIQUE
    return Meter(
        types=frozenset(types),
        aggregation=kind,
        filters=tuple(filters),
        value=expressions.parse(value) if value and not unique else None,
        of=value if value and unique else "",
        percent=share,
        group_keys=tuple(group_keys),
    )


def counted(meter: Meter, type_: str, properties: Mapping[str, Any]) -> Counted | Uncounted | None:
    """What an event adds to a meter; None: it does not concern it."""
    if type_ not in meter.types:
        return None
    for one in meter.filters:
        if not one.holds(properties):
            return None
    keys = meter.group_keys
    group = tuple([cut(text_at(properties, key)) for key in keys]) if keys else _NO_GROUP
    if meter.of:
        text = text_at(properties, meter.of)
        return Uncounted.MISSING if text is None else Counted(group, unique=text)
    if meter.value is None:
        return Counted(group)
    if meter.value.is_name:
        text = text_at(properties, meter.value.names[0])
        if text is None:
            return Uncounted.MISSING
        found = amount(text)
        return Uncounted.NO_AMOUNT if found is None else Counted(group, found)
    values: dict[str, Amount] = {}
    for name in meter.value.names:
        text = text_at(properties, name)
        if text is None:
            return Uncounted.MISSING
        found = amount(text)
        if found is None:
            return Uncounted.NO_AMOUNT
        values[name] = found
    result = meter.value.of(values)
    return Uncounted.NO_AMOUNT if result is None else Counted(group, result)


def text_at(properties: Mapping[str, Any], path: str) -> str | None:
    """The scalar at a path, as text: `size`, or `request.size` within an object. None: not there, null, or no scalar.

    A property whose own name has the dot comes before one within.
    """
    found = properties.get(path)
    if found.__class__ is str:
        return found
    if found is None and "." in path:
        found = properties
        for name in path.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
    if isinstance(found, str):  # a number too: it is kept as it was written
        return str(found)
    if isinstance(found, bool):
        return "true" if found else "false"
    return None


_NO_GROUP: tuple[str | None, ...] = ()


def cut(text: str | None) -> str | None:
    """A group key's value, as far as it tells groups apart."""
    return text if text is None else text[:MAX_GROUP_LENGTH]
