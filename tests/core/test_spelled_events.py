"""Requests in the spelling of the import are read as the rules read them; another spelling is left to the rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartfly.core.access.as_event import Ips, Shape, event_text
from heartfly.core.access.customers import Customers, rule_of
from heartfly.core.access.request import Request
from heartfly.core.access.spelled import spelled_events
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
numbers = st.sampled_from(["0", "0.0", "12.5", "1.50", "9" * 18, "0.123456789012", "-0", "1e3", "007", "1."])
sizes = st.integers(min_value=0, max_value=1 << 65)
requests = st.builds(
    Request,
    st.sampled_from([AT, NOW + timedelta(days=1), NOW + timedelta(days=2), OLDEST, OLDEST - timedelta(seconds=1)]),
    st.none() | st.just("GET") | texts, st.none() | st.just("/users/17") | texts,
    st.none() | st.integers(0, 1_200), st.none() | texts, st.just(None), st.none() | texts, st.none() | texts,
    st.none() | numbers, st.none() | numbers, st.none() | sizes, st.none() | sizes, st.none() | texts,
    st.just({}) | st.builds(lambda key: {"k": key}, texts),
)  # fmt: skip


@settings(max_examples=200)
@given(st.lists(requests | st.sampled_from([PLAIN, FULL]), max_size=3), st.sampled_from([Shape(), SHAPE]))
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
