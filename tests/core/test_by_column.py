"""Events told by column are those that they are one by one; what is not plain is left to the rules."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartfly.core.by_column import MAX_EVENTS, EventColumns, Given, given_in
from heartfly.core.events import Event, Rejected, event_of, read
from heartfly.core.plain_columns import columns_read, plain_columns

NOW = datetime(2026, 11, 28, 13, tzinfo=UTC)
OLDEST = NOW - timedelta(days=400)
TIMES = ["2026-11-28T12:00:00Z", "2026-11-28T12:00:00.5+02:00", "2020-01-01T00:00:00Z", "2026-11-30T13:00:01Z", "today"]
PLAIN: dict[str, Any] = {
    "transaction_id": ["t-0", "t-1", "t-2"],
    "customer_id": "acme",
    "timestamp": {"values": TIMES[:2], "places": [0, 0, 1]},
    "event_type": "e",
    "properties": {
        "bytes": [0, -1, 1 << 62], "path": ["/a", "", "/b c"], "cost": [0.5, 1e5, 1.5e-7], "cached": True,
        "region": {"values": ["eu", None], "places": [0, 1, 0]},
    },
    "alike": [{"values": [{"a": "x", "status": 200, "z": "y"}, {"status": 404}, {}], "places": [1, 0, 2]}],
}  # fmt: skip
SPELLED = json.dumps(PLAIN).encode()


def fast(content: bytes) -> EventColumns | None:
    given = given_in(columns_read(content))
    assert isinstance(given, Given), given
    return plain_columns(given, content, now=NOW, oldest=OLDEST)


def by_the_rules(content: bytes) -> list[Event | Rejected]:
    given = given_in(read(content))
    assert isinstance(given, Given), given
    return [event_of(one, now=NOW, oldest=OLDEST) for one in given.events()]


def with_properties(**columns: Any) -> bytes:
    return json.dumps(PLAIN | {"properties": columns, "alike": []}).encode()


texts = st.text(st.sampled_from('ab1 /"\\,:{}[]\x00\n\x7f\u00e9') | st.characters(codec="utf-8"), max_size=4)
numbers = st.sampled_from([0, -0.0, 1, -1, 0.5, 1e300, 1 << 62, 1 << 63, -(1 << 64), 10**30])
values = texts | numbers | st.booleans() | st.none() | st.just([1]) | st.just({"a": None})


def columns(of: st.SearchStrategy[Any], n: int) -> st.SearchStrategy[Any]:
    places = st.lists(st.integers(0, 1), min_size=n, max_size=n)
    coded = st.fixed_dictionaries({"values": st.lists(of, min_size=2, max_size=2), "places": places})
    one = of.filter(lambda value: not isinstance(value, list | dict | None))
    return st.lists(of, min_size=n, max_size=n) | coded | one


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    n = draw(st.integers(1, 3))
    ids = st.sampled_from(["t-1", "t-2", " ", "", "\u00e9"]) | st.text(max_size=3)
    names = st.sampled_from(["b", "d", "source"]) | texts
    alike = st.dictionaries(st.sampled_from(["a", "c", "e"]), values, max_size=3)
    together = st.fixed_dictionaries({
        "values": st.lists(alike, min_size=2, max_size=2),
        "places": st.lists(st.integers(0, 1), min_size=n, max_size=n),
    })  # fmt: skip
    return {
        "transaction_id": draw(st.lists(ids, min_size=n, max_size=n)),
        "customer_id": draw(columns(st.sampled_from(["acme", "x"]) | texts, n)),
        "timestamp": draw(columns(st.sampled_from([*TIMES[:2]] * 4 + TIMES), n)),
        "event_type": draw(columns(st.sampled_from(["e", "http.request"]), n)),
        "properties": draw(
            st.dictionaries(names.filter(lambda name: name not in "ace"), columns(values, n), max_size=3)
        ),
        "alike": draw(st.lists(together, max_size=1)),
    }


@settings(max_examples=200)
@given(bodies(), st.booleans())
def test_whatever_is_read_at_once_is_what_the_rules_read(body: dict[str, Any], ascii_only: bool) -> None:  # noqa: FBT001
    content = json.dumps(body, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    if columns_read(content) is None:
        return
    told = fast(content)

    assert told is None or by_the_rules(content) == list(told)


def test_what_is_plain_is_read_at_once() -> None:
    told = fast(SPELLED)

    assert told is not None
    assert by_the_rules(SPELLED) == list(told)
    assert '{"bytes":-1,"cached":true,"cost":100000.0,"path":"","a":"x"' not in told.properties[1]
    assert '{"a":"x","bytes":-1,"cached":true,"cost":100000.0,"path":"","status":200,"z":"y"}' == told.properties[1]
    assert 3 == len(told)


@pytest.mark.parametrize(
    "properties",
    [
        {"a": [0.5, 2, 1e5]}, {"a": [0.12345678901234568, 1.5, 2]},
        {}, {"a": [1, 2, 3]}, {"a": ["x", "y", "z"]}, {"a": [None, None, None]}, {"a": [None, 1, "x"]},
        {"a": [None, "x", None], "b": [None, "y", 1]}, {"a": "\u00e9"}, {"a": ["\u00e9", '"', "\\"]},
        {"a": True, "b": 0},
        {"a": {"values": [None, 1], "places": [0, 1, 0]}},
        {"a": {"values": ["x"], "places": [0, 0, 0]}, "b": [1.5, 2, 3]},
    ],
)  # fmt: skip
def test_whatever_some_of_them_have_not_they_are_plain(properties: dict[str, Any]) -> None:
    content = with_properties(**properties)
    told = fast(content)

    assert told is not None
    assert by_the_rules(content) == list(told)


@pytest.mark.parametrize(
    "changed",
    [
        {"transaction_id": ["a", "b", 3]}, {"transaction_id": ["a", "", "b"]}, {"customer_id": ["a", "b", None]},
        {"customer_id": " "}, {"customer_id": 7}, {"timestamp": TIMES[2]}, {"timestamp": TIMES[3]},
        {"timestamp": TIMES[4]},
        {"timestamp": [TIMES[0], TIMES[0], [TIMES[0]]]}, {"event_type": "x" * 129}, {"event_type": [["e"], "e", "e"]},
        {"properties": {"q": [1, 2, [3]]}}, {"properties": {"q": ["x", "\n", "y"]}}, {"properties": {"": 1}},
        {"properties": {"q": 1 << 63}}, {"properties": {"q": [1, 1 << 63, 2]}}, {"properties": {"q": -0.0}},
        {"properties": {"q": "x" * 8_200}}, {"properties": {f"p{n}": 1 for n in range(101)}},
        {"properties": {"q": "\x7f"}},
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_the_rules(changed: dict[str, Any]) -> None:
    assert fast(json.dumps(PLAIN | changed).encode()) is None


@pytest.mark.parametrize("content", [b"", b"{", b'{"transaction_id": NaN}', b"[" * 5_000])
def test_what_is_no_json_is_read_otherwise(content: bytes) -> None:
    assert columns_read(content) is None


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ("web-1", ["web-1"] * 3), (["a", None, 7], ["a", "", "7"]), ([0.50, True, "b"], ["0.5", "", "b"]),
        ({"values": ["a", 2], "places": [1, 0, 1]}, ["2", "a", "2"]), (None, ["", "", ""]),
    ],
)  # fmt: skip
def test_sources_are_what_properties_say(column: Any, says: list[str]) -> None:
    told = fast(with_properties(source=column))

    assert told is not None
    assert says == told.sources


def test_a_source_may_be_told_beside_others_or_not_at_all() -> None:
    alike = [{"values": [{"a": 1}], "places": [0, 0, 0]}, {"values": [{"source": "w"}, {}], "places": [0, 1, 0]}]
    told, without = fast(json.dumps(PLAIN | {"alike": alike}).encode()), fast(SPELLED)

    assert told is not None
    assert without is not None
    assert ["w", "", "w"] == told.sources
    assert without.sources is None


NO_PLACE = "has a place at which there is no value"
TOO_MANY = "tells of 5001 events; at most 5000 come in one body"
TOO_MUCH = "its events hold more than 16 MiB; send fewer in one body"
CODED = "must be a list, one value, or an object of `values` and `places`, which are lists"


@pytest.mark.parametrize(
    ("changed", "field", "reason"),
    [
        ({"unknown": 1}, "unknown", "is not a known field"),
        ({"timestamp": None}, "timestamp", "is required"),
        ({"transaction_id": "t"}, "transaction_id", "must be a list, with a text for each event"),
        ({"transaction_id": ["t"] * (MAX_EVENTS + 1)}, "transaction_id", TOO_MANY),
        ({"customer_id": ["a"]}, "customer_id", "has 1 values, and there are 3 events"),
        ({"event_type": {}}, "event_type", CODED),
        ({"event_type": {"values": ["e"], "places": 0}}, "event_type", CODED),
        ({"event_type": {"values": ["e"], "places": [0]}}, "event_type", "has 1 places, and there are 3 events"),
        ({"event_type": {"values": ["e"], "places": [0, 0, 1]}}, "event_type", NO_PLACE),
        ({"event_type": {"values": ["e"], "places": [0, 0, -1]}}, "event_type", NO_PLACE),
        ({"event_type": {"values": ["e"], "places": [0, 0, "0"]}}, "event_type", NO_PLACE),
        ({"event_type": {"values": ["e"], "places": [0, 0, True]}}, "event_type", NO_PLACE),
        ({"event_type": {"values": ["e"], "places": [0.0] * 3}}, "event_type", NO_PLACE),
        ({"event_type": {"values": ["e"], "places": [10**30] * 3}}, "event_type", NO_PLACE),
        ({"properties": []}, "properties", "must be an object, with a column for each name"),
        ({"properties": {"a": [1]}}, "properties.a", "has 1 values, and there are 3 events"),
        ({"alike": {}}, "alike", "must be a list"),
        ({"alike": [[]]}, "alike[0]", "must be an object of `values` and `places`"),
        ({"alike": [{"values": [{}]}]}, "alike[0]", CODED),
        ({"alike": [{"values": [{}, 1], "places": [0, 0, 0]}]}, "alike[0].values", "must be objects of properties"),
        ({"alike": [{"values": [{"path": 1}], "places": [0] * 3}]}, "alike[0]", "tells path, which is told elsewhere"),
        ({"properties": {"q": "x" * 6_000_000}}, "", TOO_MUCH),
        ({"customer_id": "x" * 6_000_000}, "", TOO_MUCH),
        ({"properties": {"q": {"values": [["x" * 6_000_000], 1], "places": [0, 0, 0]}}}, "", TOO_MUCH),
    ],
)  # fmt: skip
def test_what_are_no_columns_is_refused_whoever_reads_the_json(
    changed: dict[str, Any], field: str, reason: str
) -> None:
    content = json.dumps(PLAIN | changed)

    assert Rejected(field, reason) == given_in(read(content))
    assert Rejected(field, reason) == given_in(columns_read(content.encode()))


@pytest.mark.parametrize("found", [None, [], 1, "x"])
def test_what_is_no_object_is_refused(found: Any) -> None:
    assert Rejected("", "the body must be an object of columns") == given_in(found)


def test_there_may_be_no_events_and_no_properties() -> None:
    given = given_in(PLAIN | {"transaction_id": [], "timestamp": TIMES[0], "properties": None, "alike": None})

    assert isinstance(given, Given)
    assert [] == list(given.events())
