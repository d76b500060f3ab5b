"""Meters and what they come to, as other makers' wires say it: by one property, as numbers, in their fields' names.

Our own values may be expressions of several properties; a wire that knows one property only is told none of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from heartfly.api.foreign import renamed
from heartfly.core.amounts import Amount, text_of
from heartfly.core.definitions import meter_from
from heartfly.core.meters import Meter
from heartfly.errors import InvalidValueError
from heartfly.usage.meters import usable

_WORD = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*", re.ASCII)
_QUOTED = re.compile(r'"([^"]+)"')
_FIELD_IN_WORDS = re.compile(r"`(\w+)`")


def meter_of_property(
    *,
    types: Sequence[str],
    aggregation: str,
    of: str | None,
    filters: Sequence[Mapping[str, Any]] = (),
    group_keys: Sequence[str] = (),
) -> Meter:
    """`of`: the property whose values are added up or told apart. InvalidValueError in our own fields' names."""
    value = of if of is None or aggregation == "unique" or _WORD.fullmatch(of) else f'"{of}"'
    definition = {"event_types": list(types), "aggregation": aggregation, "filters": list(filters), "value": value}
    return usable(meter_from(definition | {"group_keys": list(group_keys)}))


def property_of(meter: Meter) -> str | None:
    """The one that its value is. None: it counts events, or its value is worked out of properties."""
    if meter.of:
        return meter.of
    if meter.value is None:
        return None
    text = meter.value.text.strip()
    if _WORD.fullmatch(text):
        return text
    quoted = _QUOTED.fullmatch(text)
    return quoted[1] if quoted else None


def number_of(value: Amount | None) -> msgspec.Raw | None:
    """A JSON number with all its digits: what reads numbers as decimals has it exactly, others as near as they can."""
    return None if value is None else msgspec.Raw(text_of(value).encode())


def exactly(value: Amount | None) -> str | None:
    return None if value is None else text_of(value)


@contextmanager
def told_in(names: Mapping[str, str]) -> Iterator[None]:
    """What is wrong is told by the wire's names of fields. `names`: ours to theirs."""
    try:
        yield
    except InvalidValueError as error:
        words = _FIELD_IN_WORDS.sub(lambda found: f"`{names.get(found[1], found[1])}`", error.message)
        raise type(error)(_renamed(error.field, names), words) if type(error) is InvalidValueError else error from None


def _renamed(field: str, names: Mapping[str, str]) -> str:
    """`group_keys[0]` and `filters[1].any_of` have a name before the bracket, too."""
    head, bracket, rest = field.partition("[")
    if not bracket:
        return renamed(field, names)
    place, _, inner = rest.partition("].")
    return names.get(head, head) + bracket + place + (f"].{names.get(inner, inner)}" if inner else "")
