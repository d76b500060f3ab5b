"""Meters are written down and read back; what is wrong in one is named by its path."""

from __future__ import annotations

from typing import Any

import pytest

from heartfly.core.definitions import definition_of, meter_from
from heartfly.core.meters import Aggregation
from heartfly.errors import InvalidValueError

WHOLE: dict[str, Any] = {
    "event_types": ["a", "b"],
    "aggregation": "percentile",
    "filters": [
        {"property": "region", "exists": True, "any_of": ["eu", "us"]},
        {"property": "kind", "none_of": ["test"]},
    ],
    "value": "size * n",
    "percentile": "99.5",
    "group_keys": ["endpoint"],
}


@pytest.mark.parametrize(
    "definition",
    [
        WHOLE,
        {"event_types": ["a"], "aggregation": "count"},
        {"event_types": ["a"], "aggregation": "unique", "value": "user"},
        {"event_types": ["a"], "aggregation": "sum", "value": "size"},
    ],
)
def test_what_is_written_is_read_as_the_same(definition: dict[str, Any]) -> None:
    assert definition == definition_of(meter_from(definition))


def test_lists_without_an_order_are_written_in_one() -> None:
    meter = meter_from({"event_types": ["b", "a", "a"], "aggregation": "count", "filters": None, "group_keys": None})

    assert {"event_types": ["a", "b"], "aggregation": "count"} == definition_of(meter)
    assert Aggregation.COUNT is meter.aggregation


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"event_types": "a"}, "event_types"),
        ({"event_types": [1]}, "event_types"),
        ({"event_types": None}, "event_types"),
        ({"aggregation": 1}, "aggregation"),
        ({"aggregation": None}, "aggregation"),
        ({"filters": "x"}, "filters"),
        ({"filters": {}}, "value"),
        ({"filters": {"a": 1}}, "filters"),
        ({"filters": ["x"]}, "filters[0]"),
        ({"filters": [{"property": "a"}, {"exists": True}]}, "filters[1].property"),
        ({"filters": [{"property": 1}]}, "filters[0].property"),
        ({"filters": [{"property": "a", "exists": "yes"}]}, "filters[0].exists"),
        ({"filters": [{"property": "a", "any_of": "x"}]}, "filters[0].any_of"),
        ({"filters": [{"property": "a", "like": "x"}]}, "filters[0].like"),
        ({"percentile": 99}, "percentile"),
        ({"sum": "size"}, "sum"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], field: str) -> None:
    given = WHOLE | change
    if change == {"filters": {}}:
        given |= {"value": None}
    with pytest.raises(InvalidValueError) as caught:
        meter_from(given)

    assert field == caught.value.field
