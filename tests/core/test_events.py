"""What is an event, what is none and why, and when two are the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.amounts import Number
from heartfly.core.events import (
    MAX_BYTES,
    MAX_SUBJECT,
    Event,
    Rejected,
    event_of,
    instant_of,
    read,
    read_yielding,
    written,
    wrong_subject,
)

NOW = datetime(2026, 11, 28, 13, tzinfo=UTC)
OLDEST = NOW - timedelta(days=400)
GOOD: dict[str, Any] = {
    "transaction_id": "node-1_29411",
    "customer_id": "c-17",
    "timestamp": "2026-11-28T12:59:59.123456Z",
    "event_type": "api.request",
    "properties": {"size": 45, "region": "eu"},
}


def made(**changes: Any) -> Event | Rejected:
    body = {name: value for name, value in (GOOD | changes).items() if value is not ...}
    return event_of(read(json.dumps(body)), now=NOW, oldest=OLDEST)


def event(**changes: Any) -> Event:
    found = made(**changes)
    assert isinstance(found, Event), found
    return found


def from_json(text: str) -> Event | Rejected:
    return event_of(read(text), now=NOW, oldest=OLDEST)


def test_an_event_is_kept_as_it_came() -> None:
    found = event()

    assert ("node-1_29411", "c-17", "api.request") == (found.transaction_id, found.subject, found.type)
    assert datetime(2026, 11, 28, 12, 59, 59, 123456, tzinfo=UTC) == found.at
    assert '{"region":"eu","size":45}' == found.properties


@pytest.mark.parametrize("properties", [..., None, {}])
def test_it_needs_no_properties(properties: Any) -> None:
    assert "{}" == event(properties=properties).properties


def test_numbers_are_kept_to_the_last_digit() -> None:
    text = json.dumps(GOOD).replace(": 45", ": 123456789012345678901234567890.10000000000000000000001")
    found = from_json(text)

    assert isinstance(found, Event)
    assert '"size":123456789012345678901234567890.10000000000000000000001' in found.properties


def test_unknown_and_nested_properties_are_kept() -> None:
    nested = {"b": [1, {"c": None}], "a": True, "n\N{SNOWMAN}": 'x"\\'}
    found = event(properties=nested)

    assert '{"a":true,"b":[1,{"c":null}],"n\N{SNOWMAN}":"x\\"\\\\"}' == found.properties
    assert nested == json.loads(found.properties)


def test_an_id_that_was_not_quoted_is_that_id() -> None:
    found = event(transaction_id=12345678901234567890, customer_id=17)

    assert ("12345678901234567890", "17") == (found.transaction_id, found.subject)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("transaction_id", ..., "is required"),
        ("transaction_id", None, "is required"),
        ("transaction_id", "", "must not be empty"),
        ("transaction_id", " \t", "must not be empty"),
        ("transaction_id", "x" * 129, "is longer than 128 characters"),
        ("transaction_id", ["a"], "must be a string"),
        ("transaction_id", True, "must be a string"),
        ("transaction_id", "a\0b", "holds a character that is none"),
        ("customer_id", ..., "is required"),
        ("customer_id", "x" * 257, "is longer than 256 characters"),
        ("customer_id", "\ud800", "holds a character that is none"),
        ("event_type", ..., "is required"),
        ("event_type", 7, "must be a string"),
        ("event_type", "x" * 129, "is longer than 128 characters"),
        ("timestamp", ..., "is required"),
        ("timestamp", 1795870800, "must be an instant of RFC 3339"),
        ("timestamp", "yesterday", "must be an instant of RFC 3339"),
        ("timestamp", "2026-11-28T13:00:00", "must be an instant of RFC 3339"),
        ("timestamp", {}, "must be an instant of RFC 3339"),
        ("timestamp", "2026-11-29T13:00:00.000001Z", "is more than 24 hours ahead"),
        ("timestamp", "2025-10-24T12:59:59Z", "is before 2025-10-24T13:00:00+00:00"),
        ("properties", "a=1", "must be an object"),
        ("properties", [1], "must be an object"),
        ("properties", {f"p{n}": 1 for n in range(101)}, "has more than 100 names"),
        ("properties", {"": 1}, "has a name that is not of 1 to 128 characters"),
        ("properties", {"n" * 129: 1}, "has a name that is not of 1 to 128 characters"),
        ("properties", {"a\x07": 1}, "has a name with a character that is none"),
        ("properties", {"a": "x" * MAX_BYTES}, "are longer than 32768 bytes"),
        ("properties", {"a": "\N{SNOWMAN}" * 11_000}, "are longer than 32768 bytes"),
    ],
)
def test_what_is_wrong_is_said_with_its_field(field: str, value: Any, reason: str) -> None:
    found = made(**{field: value})

    assert isinstance(found, Rejected)
    assert field == found.field
    assert reason in found.reason


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("\x00", "holds a character that is none"),
        (["ok", ["\x1b"]], "holds a character that is none"),
        ({"a": {"\x00": 1}}, "has a name with a character that is none"),
        ([[[[[[[[["deep"]]]]]]]]], "is nested more than 8 deep"),
    ],
)
def test_a_bad_property_is_named(value: Any, reason: str) -> None:
    found = made(properties={"fine": 1, "note": value})

    assert isinstance(found, Rejected)
    assert "properties.note" == found.field
    assert reason in found.reason


@pytest.mark.parametrize("body", ["[]", '"text"', "1", "null"])
def test_what_is_no_object_is_no_event(body: str) -> None:
    assert Rejected("", "must be an object") == from_json(body)


@pytest.mark.parametrize("body", ['{"a": NaN}', '{"a": -Infinity}', "{", b"\xff"])
def test_what_is_no_json_raises(body: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the decoder says
        read(body)


# --- the same, and not the same


@pytest.mark.parametrize(
    "changes",
    [
        {"properties": {"region": "eu", "size": 45}},
        {"properties": {"region": "eu", "size": "45"}},
        {"timestamp": "2026-11-28T13:59:59.123456+01:00"},
        {"transaction_id": "another"},
    ],
)
def test_the_same_content_has_the_same_fingerprint(changes: dict[str, Any]) -> None:
    assert event().fingerprint == event(**changes).fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"properties": {"region": "eu", "size": 46}},
        {"properties": {"region": "eu", "size": "45.0"}},
        {"properties": {"region": "eu", "size": 45, "more": None}},
        {"properties": {"region": "eu", "size": ["45"]}},
        {"timestamp": "2026-11-28T12:59:59.123457Z"},
        {"customer_id": "c-18"},
        {"event_type": "api.requests"},
    ],
)
def test_other_content_has_another(changes: dict[str, Any]) -> None:
    assert event().fingerprint != event(**changes).fingerprint


# --- instants


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-28T13:00:00Z", datetime(2026, 11, 28, 13, tzinfo=UTC)),
        ("2026-11-28t13:00:00z", datetime(2026, 11, 28, 13, tzinfo=UTC)),
        ("2026-11-28 13:00:00+00:00", datetime(2026, 11, 28, 13, tzinfo=UTC)),
        ("2026-11-28T18:45:00+05:45", datetime(2026, 11, 28, 13, tzinfo=UTC)),
        ("2026-11-28T09:30:00-03:30", datetime(2026, 11, 28, 13, tzinfo=UTC)),
        ("2026-11-28T13:00:00.5Z", datetime(2026, 11, 28, 13, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-11-28T13:00:00.1234569Z", datetime(2026, 11, 28, 13, 0, 0, 123_456, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2028-02-29T00:00:00Z", datetime(2028, 2, 29, tzinfo=UTC)),
    ],
)
def test_an_instant_may_have_any_offset(text: str, at: datetime) -> None:
    assert at == instant_of(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-28",
        "2026-11-28T13:00Z",
        "2026-11-28T13:00:00",
        "2026-11-28T13:00:00+24:00",
        "2026-11-28T13:00:00+01:60",
        "2026-11-28T13:00:00+0100",
        "2026-02-29T13:00:00Z",
        "2026-13-01T13:00:00Z",
        "2026-11-28T24:00:00Z",
        "2026-11-28T13:00:61Z",
        "0001-01-01T00:00:00+01:00",
        "\N{ARABIC-INDIC DIGIT TWO}026-11-28T13:00:00Z",
        "2026-11-28T13:00:00Z\n",
        "2026-11-28T13:00:00." + "1" * 19 + "Z",
    ],
)
def test_whatever_else_is_no_instant(text: str) -> None:
    assert instant_of(text) is None


def test_a_day_ahead_is_fine_to_the_microsecond() -> None:
    assert NOW + timedelta(hours=24) == event(timestamp="2026-11-29T14:00:00+01:00").at
    assert OLDEST == event(timestamp=OLDEST.isoformat()).at


# --- JSON

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_written_says_the_same(value: Any) -> None:
    text = written(read(json.dumps(value)))

    assert value == json.loads(text)
    assert text == written(read(text))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("acme", None),
        ("é" * MAX_SUBJECT, None),
        ("a" * (MAX_SUBJECT + 1), f"is longer than {MAX_SUBJECT} characters"),
        ("", "must not be empty"),
        ("a\x00b", "holds a character that is none"),
    ],
)
def test_a_name_that_no_event_could_say_is_told_why(name: str, why: str | None) -> None:
    found = wrong_subject(name)

    assert (found is None) if why is None else (found is not None and found.startswith(why))


_TEXTS = st.text(max_size=4) | st.sampled_from(["a", "é", '"', "\\", "\x7f", "\ud800", "\n", "\x00", "\u2028"])
_NUMBERS = st.sampled_from(["0", "-0", "1.50", "1e3", "12345678901234567890123"]).map(Number)
_SCALARS = st.none() | st.booleans() | _TEXTS | _NUMBERS
_NO_TEXT = {chr(code) for code in (*range(32), 127, *range(0xD800, 0xE000))} - {"\t", "\n", "\r"}


@given(st.dictionaries(_TEXTS, _SCALARS | st.lists(_SCALARS, max_size=2), max_size=3))
def test_properties_are_kept_as_they_were_written_unless_one_holds_what_is_no_text(properties: dict[str, Any]) -> None:
    texts = [*properties, *(one for value in properties.values() for one in _flat(value) if isinstance(one, str))]
    found = event_of(GOOD | {"properties": properties}, now=NOW, oldest=OLDEST)
    if "" in properties or _NO_TEXT & set("".join(texts)):
        assert isinstance(found, Rejected)
        return
    assert isinstance(found, Event)
    assert found.properties == written(properties)
    as_texts = {name: str(value) if isinstance(value, Number) else value for name, value in properties.items()}
    again = event_of(GOOD | {"properties": as_texts}, now=NOW, oldest=OLDEST)
    assert isinstance(again, Event)
    assert again.fingerprint == found.fingerprint


def _flat(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_a_thread_beside_others_reads_the_same() -> None:
    text = '{"a": [1.50, -0, 1e3, "1"], "b": 12345678901234567890.1}'

    assert read(text) == read_yielding(text)
    assert [Number, Number, Number, str] == [type(one) for one in read_yielding(text)["a"]]
    with pytest.raises(ValueError, match="NaN is no number"):
        read_yielding("NaN")


def test_properties_are_too_long_together_though_none_of_them_is_alone() -> None:
    lists = {name: ["x" * 1_000] * 15 for name in "abc"}

    assert Rejected("properties", "are longer than 32768 bytes") == made(properties=lists)
