"""Meters: which events count, for how much, in which group; and what is no meter."""

from __future__ import annotations

import json
from typing import Any

import pytest

from heartfly.core.amounts import ONE
from heartfly.core.events import read
from heartfly.core.meters import Counted, Meter, PropertyFilter, Uncounted, counted, meter_of, text_at
from heartfly.errors import InvalidValueError


def meter(**given: Any) -> Meter:
    return meter_of(**{"types": ["api.request"], "aggregation": "sum", "value": "size"} | given)


def of(meter: Meter, properties: dict[str, Any], type_: str = "api.request") -> Counted | Uncounted | None:
    return counted(meter, type_, read(json.dumps(properties)))


def test_an_event_adds_its_value_in_its_group() -> None:
    by_region = meter(group_keys=["region", "request.method"])

    assert Counted(("eu", "GET"), 45 * ONE) == of(by_region, {"size": 45, "region": "eu", "request": {"method": "GET"}})
    assert Counted((None, None), 45 * ONE) == of(by_region, {"size": "45"})
    assert Counted(("e" * 256, "x"), ONE) == of(by_region, {"size": 1, "region": "e" * 300, "request.method": "x"})


def test_another_type_does_not_concern_it() -> None:
    assert None is of(meter(), {"size": 1}, "api.requests")
    assert Counted((), ONE) == of(meter(types=["a", "b"]), {"size": 1}, "b")


def test_a_count_needs_no_property() -> None:
    assert Counted(()) == of(meter(aggregation="count", value=None), {})


def test_an_expression_is_worked_out_for_each_event() -> None:
    sms = meter(value="num_recipients * size")

    assert Counted((), 3 * ONE // 2) == of(sms, {"num_recipients": 3, "size": "0.5"})
    assert Uncounted.MISSING is of(sms, {"size": 1})
    assert Uncounted.NO_AMOUNT is of(sms, {"num_recipients": "three", "size": 1})
    assert Uncounted.NO_AMOUNT is of(sms, {"num_recipients": "9" * 20, "size": "9" * 20})


@pytest.mark.parametrize("value", [None, {"a": 1}, [1]])
def test_what_is_no_scalar_is_not_there(value: Any) -> None:
    assert Uncounted.MISSING is of(meter(), {"size": value})


@pytest.mark.parametrize("value", ["1e3", 1e300, "12,5", "", True])
def test_what_is_no_amount_does_not_count_and_is_told(value: Any) -> None:
    assert Uncounted.NO_AMOUNT is of(meter(), {"size": value})


def test_values_are_told_apart_as_texts() -> None:
    users = meter(aggregation="unique", value="user id", group_keys=["plan"])

    assert Counted(("pro",), unique="45") == of(users, {"user id": 45, "plan": "pro"})
    assert Counted((None,), unique="true") == of(users, {"user id": True})
    assert Uncounted.MISSING is of(users, {"plan": "pro"})


@pytest.mark.parametrize(
    ("given", "properties", "holds"),
    [
        ({"exists": True}, {"region": "eu"}, True),
        ({"exists": True}, {}, False),
        ({"exists": False}, {}, True),
        ({"exists": False}, {"region": ""}, False),
        ({"any_of": frozenset({"eu", "us"})}, {"region": "us"}, True),
        ({"any_of": frozenset({"eu", "us"})}, {"region": "ap"}, False),
        ({"any_of": frozenset({"eu"})}, {}, False),
        ({"none_of": frozenset({"test"})}, {"region": "test"}, False),
        ({"none_of": frozenset({"test"})}, {"region": "eu"}, True),
        ({"none_of": frozenset({"test"})}, {}, True),
        ({"any_of": frozenset({"45"})}, {"region": 45}, True),
        ({"any_of": frozenset({"true"})}, {"region": True}, True),
        ({"any_of": frozenset({"a", "b"}), "none_of": frozenset({"b"})}, {"region": "b"}, False),
    ],
)
def test_filters_look_at_a_property(given: dict[str, Any], properties: dict[str, Any], *, holds: bool) -> None:
    filtered = meter(aggregation="count", value=None, filters=[PropertyFilter("region", **given)])

    assert holds is (of(filtered, properties) is not None)


def test_all_filters_must_hold() -> None:
    both = meter(filters=[PropertyFilter("a", exists=True), PropertyFilter("b", exists=True)])

    assert None is of(both, {"a": 1, "size": 1})
    assert None is not of(both, {"a": 1, "b": 1, "size": 1})


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({"types": []}, "event_types", "must name at least one type"),
        ({"types": [""]}, "event_types", "must name at least one type"),
        ({"aggregation": "median"}, "aggregation", "must be one of count, sum"),
        ({"aggregation": "count"}, "value", "is not for a count"),
        ({"value": None}, "value", "is required for sum"),
        ({"aggregation": "unique", "value": ""}, "value", "is required for unique"),
        ({"value": "a /"}, "value", "at character 3"),
        ({"aggregation": "percentile"}, "percentile", "is required"),
        ({"percent": "95"}, "percentile", "is not for sum"),
        ({"aggregation": "percentile", "percent": "0"}, "percentile", "must be above 0, up to 100"),
        ({"aggregation": "percentile", "percent": "100.1"}, "percentile", "must be above 0, up to 100"),
        ({"aggregation": "percentile", "percent": "p95"}, "percentile", "must be above 0, up to 100"),
        ({"filters": [PropertyFilter("a")] * 21}, "filters", "are more than 20"),
        ({"filters": [PropertyFilter("a"), PropertyFilter("")]}, "filters[1].property", "is required"),
        (
            {"filters": [PropertyFilter("a", any_of=frozenset(map(str, range(201))))]},
            "filters[0]",
            "has more than 200 values",
        ),
        ({"group_keys": ["a", "a"]}, "group_keys", "each once"),
        ({"group_keys": [""]}, "group_keys", "each once"),
        ({"group_keys": list("abcdef")}, "group_keys", "up to 5 names"),
    ],
)
def test_what_is_no_meter_is_said_with_its_field(given: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(InvalidValueError) as raised:
        meter(**given)

    assert field == raised.value.field
    assert said in raised.value.message


def test_a_name_with_a_dot_comes_before_what_lies_within() -> None:
    assert "1" == text_at({"a.b": "1", "a": {"b": "2"}}, "a.b")
    assert None is text_at({"a": "text"}, "a.b")
