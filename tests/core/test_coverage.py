from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.coverage import SCANNED, Span, breaches, coverage, of_body, of_query, reaches_ahead

NOW = datetime(2026, 3, 20, 2, 0, tzinfo=UTC)


def day(n: int) -> datetime:
    return datetime(2026, 3, n, tzinfo=UTC)


def span(first: int, after: int) -> Span:
    return Span(day(first), day(after))


def said(covers: Span | None, *known: Span) -> list[str]:
    return breaches(covers, known, at=NOW)


def test_a_run_that_goes_on_where_the_last_one_ended_breaks_nothing() -> None:
    assert [] == said(span(1, 2))
    assert [] == said(span(3, 4), span(2, 3), span(1, 2))


def test_a_run_that_leaves_out_a_day_leaves_a_gap_until_a_late_run_fills_it() -> None:
    gap = "has a gap: 2026-03-02 00:00 to 2026-03-03 00:00 UTC is missing"
    assert [gap] == said(span(3, 4), span(1, 2))
    assert [gap] == said(span(4, 5), span(1, 2), span(3, 4))
    assert [] == said(span(2, 3), span(1, 2), span(3, 4), span(4, 5))
    assert [] == said(span(1, 4), span(1, 2), span(3, 4))
    assert [gap + ", and 1 more"] == said(span(5, 6), span(1, 2), span(3, 4))
    half = Span(day(2), day(2) + timedelta(hours=12, seconds=5))
    assert ["has a gap: 2026-03-02 12:00:05 to 2026-03-03 00:00 UTC is missing"] == said(half, span(1, 2), span(3, 4))


def test_a_run_that_does_again_a_part_of_what_is_done_overlaps() -> None:
    assert ["overlaps: 2026-03-02 00:00 to 2026-03-03 00:00 UTC was covered before"] == said(span(2, 4), span(1, 3))


def test_a_run_that_does_not_get_on_stands_still() -> None:
    still = "stands still: it was covered until 2026-03-03 00:00 UTC before"
    assert [still] == said(span(2, 3), span(1, 2), span(2, 3))
    assert [still] == said(span(1, 3), span(1, 2), span(2, 3))


def test_a_day_long_past_may_be_done_again() -> None:
    assert [] == said(span(1, 2), span(1, 2), span(2, 3))


def test_a_run_that_says_nothing_breaks_coverage() -> None:
    assert ["was not reported: no from and to"] == said(None, span(1, 2))


def test_what_is_still_to_come_cannot_have_been_covered() -> None:
    today = Span(day(20), day(21))
    assert ["ends at 2026-03-21 00:00 UTC, which is still to come"] == said(today, span(19, 20))
    assert not reaches_ahead(Span(day(19), NOW + timedelta(minutes=5)), NOW)


def test_spans_join_where_they_touch_and_what_is_covered_twice_is_named() -> None:
    found = coverage([span(5, 6), span(1, 3), span(2, 4), span(3, 4), span(8, 9)])

    assert [span(1, 4), span(5, 6), span(8, 9)] == found.spans
    assert [span(4, 5), span(6, 8)] == found.gaps
    assert [span(2, 4)] == found.overlaps
    assert day(9) == found.until
    assert coverage([]).until is None


def test_what_is_covered_twice_is_named_once() -> None:
    assert [span(1, 2), span(4, 5)] == coverage([span(1, 5), span(1, 2), span(4, 5)]).overlaps
    assert [span(1, 4)] == coverage([span(1, 5), span(1, 4), span(2, 3)]).overlaps


@given(st.lists(st.tuples(st.integers(1, 15), st.integers(1, 5)), max_size=6))
def test_every_day_is_covered_missing_or_outside(spans: list[tuple[int, int]]) -> None:
    given_spans = [span(first, first + length) for first, length in spans]
    found = coverage(given_spans)

    for n in range(1, 21):
        times = sum(one.from_at <= day(n) < one.to_at for one in given_spans)
        within = [any(one.from_at <= day(n) < one.to_at for one in each) for each in (found.spans, found.overlaps)]
        assert [times >= 1, times >= 2] == within
    assert all(one.to_at < other.from_at for one, other in zip(found.spans, found.spans[1:], strict=False))
    assert all(coverage(order) == found for order in list(permutations(given_spans))[:24])


# --- how it is said ----------------------------------------------------------------------------------

FROM, TO = "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"


@pytest.mark.parametrize(
    "body",
    [
        f"from={FROM} to={TO}",
        f"from: {FROM}\nto: {TO}\n",
        f"rows=1\ncovers_from={FROM},covers_to={TO};",
        f'{{"rows": 3, "from": "{FROM}", "to":"{TO}"}}',
        f'{{"covers_from":"{FROM}","covers_to":"{TO}"}}',
        "from=2026-03-01T01:00:00+01:00 to=2026-03-02T02:00:00.000+02:00",
        f"from={int(day(1).timestamp())} to={int(day(2).timestamp())}",
        f"from=2020-01-01T00:00:00Z\nfrom={FROM} to={TO}",
    ],
)
def test_a_body_says_what_was_covered(body: str) -> None:
    assert span(1, 2) == of_body(body.encode())


@pytest.mark.parametrize(
    "body",
    [
        "",
        "copied from a to b",
        f"from={FROM}",
        f"until={FROM} from={TO}",
        f"from={TO} to={FROM}",
        f"from={FROM} to={FROM}",
        "from=2026-03-01 to=2026-03-02",
        "from=2026-03-01T00:00:00 to=2026-03-02T00:00:00",
        "from=2026-02-30T00:00:00Z to=2026-03-02T00:00:00Z",
        "from=12345678901 to=12345678999",
        f"xfrom={FROM} xto={TO}",
    ],
)
def test_a_body_that_says_nothing_of_it_is_none(body: str) -> None:
    assert of_body(body.encode()) is None


def test_of_a_long_body_its_beginning_and_its_end_are_read() -> None:
    long = b"x" * SCANNED
    ends = f"from={FROM} to={TO}".encode()

    assert span(1, 2) == of_body(long + b"\n" + ends)
    assert span(1, 2) == of_body(ends + b"\n" + long)
    assert span(1, 2) == of_body(b"begin", end=ends)
    assert of_body(long + ends + b"\n" + long) is None


def test_a_query_says_what_was_covered() -> None:
    assert span(1, 2) == of_query({"from": [FROM], "to": [TO]})
    assert span(1, 2) == of_query({"from": ["2026-03-01T01:00:00 01:00"], "to": [TO]})  # a plus that was not escaped


def test_a_query_that_says_nothing_of_it_refuses_nothing() -> None:
    assert of_query({}) is None
    assert of_query({"from": [FROM]}) is None
    assert of_query({"to": [TO]}) is None
    assert of_query({"from": ["cron"], "to": ["heartfly"]}) is None
