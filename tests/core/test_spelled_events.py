"""Requests in the spelling of the import are read as the rules read them; another spelling is left to the rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartfly.core.access.as_event import Ips, Shape, event_text
from heartfly.core.access.customers import Customers, rule_of
from heartfly.core.access.request import Request
from heartfly.core.access.spelled import spelled_columns, spelled_events
from heartfly.core.columns import Amounts, Page
from heartfly.core.events import Event, event_of, read
from heartfly.core.paths import rules_of

NOW = datetime(2026, 11, 28, 13, tzinfo=UTC)
OLDEST = NOW - timedelta(days=400)
AT = NOW - timedelta(hours=1)
PLAIN = Request(AT, "GET", "/users/17", 200, "203.0.113.9", None, None, "curl/8.5", response_bytes=1234)
FULL = PLAIN._replace(host="example.com", latency_ms="12.5", upstream_ms="0", request_bytes=0, request_id="8f14")
SHAPE = Shape(rules=rules_of(["/users/{name}"]), customers=Customers([rule_of("key:k")]), ips=Ips.KEEP, source="web-1")


def body(*found: Request, shape: Shape = Shape(ips=Ips.KEEP)) -> str:  # noqa: B008 - a value
    return f"[{','.join(event_text(one, f'id-{n}', shape)[0] for n, one in enumerate(found))}]"


def fast(content: str | bytes) -> list[Event] | None:
    raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    return spelled_events(raw, now=NOW, oldest=OLDEST, most=3)


def by_the_rules(content: str) -> list[Any]:
    return [event_of(one, now=NOW, oldest=OLDEST) for one in read(content)]


texts = st.text(st.sampled_from('ab1 /"\\,:{}[]\x00\n\x7f\u00e9') | st.characters(codec="utf-8"), max_size=6)
of_json = ["0", "0.0", "12.5", "1.50", "9" * 18, "0.123456789012", "-0", "1e3"]
sizes = st.integers(min_value=0, max_value=1 << 65)


def requests(numbers: Sequence[str]) -> st.SearchStrategy[Request]:
    times = [AT, NOW + timedelta(days=1), NOW + timedelta(days=2), OLDEST, OLDEST - timedelta(seconds=1)]
    return st.sampled_from([PLAIN, FULL]) | st.builds(
        Request, st.sampled_from(times),
        st.none() | st.just("GET") | texts, st.none() | st.just("/users/17") | texts,
        st.none() | st.integers(0, 1_200), st.none() | texts, st.just(None), st.none() | texts, st.none() | texts,
        st.none() | st.sampled_from(numbers), st.none() | st.sampled_from(numbers),
        st.none() | sizes, st.none() | sizes, st.none() | texts,
        st.just({}) | st.builds(lambda key: {"k": key}, texts),
    )  # fmt: skip


@settings(max_examples=100)
@given(st.lists(requests([*of_json, "007", "1."]), max_size=3), st.sampled_from([Shape(), SHAPE]))
def test_whatever_is_read_fast_is_what_the_rules_read(some: list[Request], shape: Shape) -> None:
    content = body(*some, shape=shape)
    told = fast(content)

    assert told is None or by_the_rules(content) == told


@given(st.integers(0, 10_000), st.sampled_from(list('"\\{}[],: x1-\n\x00\u00e9')), st.booleans(), st.booleans())
def test_a_body_that_was_changed_anywhere_is_what_the_rules_read_or_left(
    place: int,
    put: str,
    instead: bool,  # noqa: FBT001 - drawn
    full: bool,  # noqa: FBT001 - drawn
) -> None:
    whole = body(*[FULL if full else PLAIN] * 2)
    place %= len(whole) + 1
    content = whole[:place] + put + whole[place + instead :]
    told = fast(content)

    assert told is None or by_the_rules(content) == told


@pytest.mark.parametrize("one", [PLAIN, FULL, FULL._replace(request_bytes=None), PLAIN._replace(ip=None)])
@pytest.mark.parametrize("shape", [Shape(), SHAPE])
@pytest.mark.parametrize("n", [1, 3])
def test_what_logs_tell_is_read_fast(one: Request, shape: Shape, n: int) -> None:
    content = body(*[one] * n, shape=shape)

    assert by_the_rules(content) == fast(content)


def test_of_several_some_may_have_numbers_that_others_have_not() -> None:
    content = body(FULL, FULL._replace(upstream_ms=None, request_bytes=None), PLAIN)

    assert by_the_rules(content) == fast(content)


def test_an_event_is_the_same_whether_its_numbers_are_texts_or_its_names_are_mixed() -> None:
    content = body(FULL)
    (told,) = fast(content) or []
    (other,) = by_the_rules(content.replace('"status":200', '"status":"200"').replace(":1234,", ':"1234",'))

    assert told.fingerprint == other.fingerprint
    assert told.properties != other.properties


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{}", "[{}]", f" {body(PLAIN)}", f"{body(PLAIN)}\n", body(PLAIN, PLAIN).replace("},", "}, "),
        body(PLAIN)[:-1], body(PLAIN, PLAIN).replace("},{", "};{"), body(PLAIN).replace("http.request", "httpxrequest"),
        body(PLAIN, FULL), body(PLAIN, PLAIN, PLAIN, PLAIN), body(PLAIN._replace(status=None)),
        body(PLAIN._replace(at=NOW + timedelta(days=2))), body(PLAIN._replace(at=OLDEST - timedelta(seconds=1))),
        body(PLAIN).replace(":00Z", ":61Z"), body(PLAIN).replace("anonymous", " "), body(PLAIN).replace("id-0", "  "),
        body(PLAIN._replace(path="/é")), body(PLAIN._replace(path='/"')), body(PLAIN._replace(user_agent="a\x7f")),
        body(PLAIN._replace(user_agent="a" * 9_000)), body(PLAIN).replace("id-0", "x" * 129),
        body(PLAIN._replace(response_bytes=10**18)), body(PLAIN).replace('"ip"', '"user"'),
    ],
)  # fmt: skip
def test_what_is_spelled_otherwise_is_left_to_the_rules(content: str) -> None:
    assert fast(content) is None


def test_bytes_that_are_no_text_are_left_to_the_rules() -> None:
    assert fast(body(PLAIN).encode().replace(b"curl", b"cu\xff\xfe")) is None


# --- pages of properties


def properties_of(*found: Request, shape: Shape = SHAPE) -> list[str]:
    made = by_the_rules(body(*found, shape=shape))
    return [one.properties for one in made if isinstance(one, Event)]


@settings(max_examples=100)
@given(st.lists(requests(of_json), max_size=3), st.sampled_from([Shape(), SHAPE]))
def test_columns_that_are_told_are_those_that_json_tells(some: list[Request], shape: Shape) -> None:
    properties = properties_of(*some, shape=shape)
    page = Page(properties, Amounts())

    for name, column in spelled_columns(properties).items():
        assert list(page.texts(name)) == list(column)


def test_of_what_logs_tell_all_columns_are_told_and_others_are_looked_up() -> None:
    properties = properties_of(PLAIN, FULL, FULL)
    told = spelled_columns(properties)
    page = Page(properties, Amounts(), told)

    assert [None, "12.5", "12.5"] == page.texts("latency_ms")
    assert ("200", "200", "200") == page.texts("status")
    assert [None, "example.com", "example.com"] == page.texts("host")
    assert "rows" in vars(page)


@pytest.mark.parametrize("other", ["{}", '{"a":"b"}', '{"method":"GET","path":"/","route":"/"}', '{"method":"\\n"}'])
def test_a_page_with_something_else_in_it_is_not_told(other: str) -> None:
    assert {} == spelled_columns([*properties_of(PLAIN), other])
    assert {} == spelled_columns([other, *properties_of(PLAIN)])
    assert {} == spelled_columns([])
