"""Meters as they are written down: in the database, in the API, in answers. JSON in, a meter out, and back.

What makes a meter is checked in core/meters.py; which of a meter's versions counts an event, in core/versions.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from heartfly.core.amounts import text_of
from heartfly.core.meters import Meter, PropertyFilter, meter_of
from heartfly.errors import InvalidValueError

_FIELDS = frozenset({"event_types", "aggregation", "filters", "value", "percentile", "group_keys"})
_OF_FILTER = frozenset({"property", "exists", "any_of", "none_of"})


def meter_from(definition: Mapping[str, Any]) -> Meter:
    """InvalidValueError names the field, such as `filters[0].property`."""
    _only(definition, _FIELDS, "")
    filters = definition.get("filters") or []
    if not isinstance(filters, Sequence) or isinstance(filters, str):
        raise InvalidValueError("filters", "must be a list")
    return meter_of(
        types=_texts(definition, "event_types"),
        aggregation=_text(definition, "aggregation") or "",
        filters=[_filter(one, f"filters[{place}]") for place, one in enumerate(filters)],
        value=_text(definition, "value"),
        percent=_text(definition, "percentile"),
        group_keys=_texts(definition, "group_keys"),
    )


def definition_of(meter: Meter) -> dict[str, Any]:
    """The one way to write it: lists without an order are in order, what is not set is left out."""
    found: dict[str, Any] = {"event_types": sorted(meter.types), "aggregation": meter.aggregation.value}
    if meter.filters:
        found["filters"] = [_written(one) for one in meter.filters]
    if meter.value is not None or meter.of:
        found["value"] = meter.of if meter.value is None else meter.value.text
    if meter.percent:
        found["percentile"] = text_of(meter.percent)
    if meter.group_keys:
        found["group_keys"] = list(meter.group_keys)
    return found


def _written(one: PropertyFilter) -> dict[str, Any]:
    found: dict[str, Any] = {"property": one.name}
    if one.exists is not None:
        found["exists"] = one.exists
    for name, values in (("any_of", one.any_of), ("none_of", one.none_of)):
        if values:
            found[name] = sorted(values)
    return found


def _filter(one: Any, field: str) -> PropertyFilter:
    if not isinstance(one, Mapping):
        raise InvalidValueError(field, "must be an object")
    _only(one, _OF_FILTER, f"{field}.")
    exists = one.get("exists")
    if exists is not None and not isinstance(exists, bool):
        raise InvalidValueError(f"{field}.exists", "must be true or false")
    name = _text(one, "property", f"{field}.") or ""
    any_of, none_of = (frozenset(_texts(one, key, f"{field}.")) for key in ("any_of", "none_of"))
    return PropertyFilter(name, exists, any_of, none_of)


def _only(found: Mapping[str, Any], names: frozenset[str], before: str) -> None:
    for name in found:
        if name not in names:
            raise InvalidValueError(f"{before}{name}", "is not known here")


def _text(found: Mapping[str, Any], name: str, before: str = "") -> str | None:
    value = found.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidValueError(f"{before}{name}", "must be a string")
    return value


def _texts(found: Mapping[str, Any], name: str, before: str = "") -> Sequence[str]:
    values = found.get(name)
    if values is None:
        return ()
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise InvalidValueError(f"{before}{name}", "must be a list of strings")
    return values
