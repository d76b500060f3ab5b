"""Plain events read fast are those that the rules read, to the last byte; what is not plain is left to the rules."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.events import Event, event_of, read
from heartfly.core.plain_events import plain_events

NOW = datetime(2026, 11, 28, 13, tzinfo=UTC)
OLDEST = NOW - timedelta(days=400)
EVENT = (
    '{"transaction_id":"t","customer_id":"c","timestamp":"2026-11-28T12:00:00.5+02:00","event_type":"e",'
    '"properties":{"n":%s}}'
)


def fast(content: bytes) -> list[Event] | None:
    return plain_events(content, now=NOW, oldest=OLDEST, most=100)


def by_the_rules(content: bytes) -> list[Any]:
    return [event_of(one, now=NOW, oldest=OLDEST) for one in read(content.decode("utf-8", "surrogatepass"))]


texts = st.text(st.characters(codec="utf-8"), max_size=12)
scalars = texts | st.booleans() | st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
found = st.fixed_dictionaries(
    {
        "transaction_id": texts | st.integers(), "customer_id": texts, "event_type": texts,
        "timestamp": st.sampled_from(["2026-11-28T12:00:00Z", "2026-11-28T12:00:00.123456+05:30",
                                      "2020-01-01T00:00:00Z", "2026-11-29T13:00:00Z", "2026-11-29T13:00:01Z", "today"]),
    },
    optional={"properties": st.none() | st.dictionaries(texts, scalars | st.lists(scalars, max_size=2), max_size=5)},
)  # fmt: skip


@given(st.lists(found, max_size=3), st.booleans())
def test_whatever_is_read_fast_is_what_the_rules_read(some: list[Any], ascii_only: bool) -> None:  # noqa: FBT001
    content = json.dumps(some, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    told = fast(content)

    assert told is None or by_the_rules(content) == told


@pytest.mark.parametrize(
    "value",
    [
        "1", "-1", "1.50", "1e5", "1E+5", "0", "0.0", "9223372036854775807", '"text"', '"ü \\" \\\\ /"', "true",
        "false",         '"\\u00fc"', "0.1000000000000000055511151231257827",
    ],
)  # fmt: skip
def test_what_nearly_all_send_is_plain(value: str) -> None:
    content = f"[ {EVENT % value} ]".encode()

    assert by_the_rules(content) == fast(content)


@pytest.mark.parametrize(
    "value",
    [
        "-0", " -0", "-0.0", "null", "[]", "{}", "NaN", "Infinity", '"\\ud800"', '"\\u0000"', '"a\\nb"',
        "9223372036854775808",         "1" * 400, '"', "",
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_the_rules(value: str) -> None:
    assert fast(f"[{EVENT % value}]".encode()) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b"[" * 5_000, b"[{}]", b"\xef\xbb\xbf[]"])
def test_what_is_no_array_of_events_is_left_to_the_rules(content: bytes) -> None:
    assert fast(content) is None


@pytest.mark.parametrize("number", ["0", "0.0"])
def test_a_zero_is_plain_beside_a_time_that_holds_the_same_signs(number: str) -> None:
    """`-05:00` is no minus zero; of the same event sent with one, the rules must judge."""
    event = (EVENT % number).replace("T12:00:00.5+02:00", "T05:00:00.5-05:00")
    both = f"[{event},{EVENT % number}]".encode()

    assert "-0" in event
    assert by_the_rules(both) == fast(both)
    assert fast(f"[{event},{EVENT % '-0'}]".encode()) is None


@pytest.mark.parametrize(
    "times",
    [
        ["2026-11-28T10:15:00+00:00", "2026-11-28T10:15:00.123456+00:00"], ["2026-11-28T10:15:00Z"] * 2,
        ["2026-11-28T10:15:00.123456Z", "2026-11-28T10:15:00.000000Z"], ["2026-11-28T10:15:00.123Z"],
        ["2026-11-28T10:15:00Z", "2026-11-28T10:15:00+00:00"], ["2026-11-28 10:15:00+00:00"], ["2026-11-28t10:15:00z"],
        ["2026-11-28T10:15:60+00:00"], ["2026-11-28T10:15:00.123456789Z"], ["2026-11-28T10:15:00-00:00"],
        ["2026-11-28T10:15:00+00:00", "2026-11-28T12:15:00+02:00"], ["2026-11-28T12:15:00.123456+02:00"],
    ],
)  # fmt: skip
def test_however_times_are_spelled_an_event_is_known_by_the_instant(times: list[str]) -> None:
    content = json.dumps([json.loads(EVENT % 1) | {"timestamp": at} for at in times]).encode()

    assert by_the_rules(content) == fast(content)


@pytest.mark.parametrize(
    "properties",
    [
        {"a": ':5,"b":6', "n": 7}, {"a": ":5", "n": 7}, {":5": 8, "n": 7}, {"a:": 5, "b,": 6, "c{": 7},
        {"a": 'x":5', "n": 1}, {"a": "5", "b": "-0", "n": 1}, {"a": ",1}", "n": 1}, {"a\\": 1, "n": 2.5},
        {"a": 2.50, "b": True, "c": "ü:1"}, {}, {"n": 2**63 - 1, "a": ":"}, {"n": -(2**63) + 1},
        {"n": 0.30000000000000004}, {"n": 123456789012345678901.5},
    ],
)  # fmt: skip
def test_numbers_are_told_from_texts_that_look_like_them(properties: dict[str, Any]) -> None:
    content = json.dumps([json.loads(EVENT % 1) | {"properties": one} for one in ({"n": 1}, properties)]).encode()
    content_of_letters = json.dumps([json.loads(EVENT % 1) | {"properties": properties}], ensure_ascii=False).encode()

    assert by_the_rules(content) == fast(content)
    assert by_the_rules(content_of_letters) == fast(content_of_letters)


@pytest.mark.parametrize("beside", ["x", ":1", '"'])
@pytest.mark.parametrize("number", [str(2**63), str(-(2**63)), "1" + "0" * 5_000])
def test_whole_numbers_that_not_all_read_alike_are_left_to_the_rules(beside: str, number: str) -> None:
    properties = f'{{"a":{json.dumps(beside)},"n":{number}}}'

    assert fast(f"[{EVENT % 1}]".replace('{"n":1}', properties).encode()) is None


def test_more_than_come_in_one_request_are_left_to_the_rules() -> None:
    content = f"[{','.join([EVENT % 1] * 101)}]".encode()

    assert fast(content) is None


def test_an_event_too_large_and_properties_too_many_are_left_to_the_rules() -> None:
    many = json.dumps({str(n): n for n in range(101)})
    for properties in (many, '{"a":"' + "x" * 33_000 + '"}', '{"' + "n" * 129 + '":1}', '{"":1}'):
        assert fast(f"[{EVENT % 1}]".replace('{"n":1}', properties).encode()) is None


@pytest.mark.parametrize("field", ["transaction_id", "customer_id", "event_type"])
@pytest.mark.parametrize("value", ["", " ", "\u00a0", "a\nb", "\u200b", "x" * 1_000])
def test_ids_and_names_that_are_not_plain_are_left_to_the_rules(field: str, value: str) -> None:
    event = json.loads(EVENT % 1) | {field: value}

    assert fast(json.dumps([event]).encode()) is None


@pytest.mark.parametrize("at", ["today", "2020-01-01T00:00:00Z", "2026-11-29T13:00:01Z", "2026-02-30T10:15:00Z"])
def test_times_that_are_none_or_out_of_bounds_are_left_to_the_rules(at: str) -> None:
    assert fast(json.dumps([json.loads(EVENT % 1) | {"timestamp": at}]).encode()) is None
