"""An endpoint is degraded by its own past, and only when two looks in a row say so."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.degradation import Seen, Standing, degraded, stepped


def seen(p95: int | None = 100, *, n: int = 1000, errors: int = 0) -> Seen:
    return Seen(n=n, p95_ms=None if p95 is None else Fraction(p95), errors=errors)


USUAL = [seen(90), seen(100), seen(110), seen(100)]


@pytest.mark.parametrize(
    ("now", "past", "words"),
    [
        (seen(199), USUAL, ""),
        (seen(200), USUAL, "p95 200 ms, usual 100 ms"),
        (seen(109), [seen(10)], ""),  # ten times, but no hundred milliseconds
        (seen(110), [seen(10)], "p95 110 ms, usual 10 ms"),
        (seen(2_000), [], ""),
        (seen(2_000, n=49), USUAL, ""),
        (seen(2_000), [seen(100, n=49)], ""),
        (seen(None), USUAL, ""),
        (seen(1_100), [seen(100), seen(900), seen(500), seen(500)], "p95 1,100 ms, usual 500 ms"),
        (seen(1_200), [seen(100), seen(900), seen(100), seen(900)], ""),  # they differ as much among themselves
        (seen(errors=19), USUAL, ""),
        (seen(errors=20), USUAL, "2% of requests failed, usual 0%"),
        (seen(errors=59), [seen(errors=30)], ""),
        (seen(200, errors=60), [seen(errors=30)], "p95 200 ms, usual 100 ms; 6% of requests failed, usual 3%"),
    ],
)
def test_it_is_slower_or_fails_more_by_the_factor_and_by_an_amount(now: Seen, past: list[Seen], words: str) -> None:
    assert words == degraded(now, past, factor=2, least=50)


@given(looks=st.lists(st.booleans(), max_size=30))
def test_what_holds_is_what_the_last_two_equal_looks_said(looks: list[bool]) -> None:
    known: dict[str, Standing] = {}
    expected = False
    for place, bad in enumerate(looks):
        known = stepped(known, ["a"] if bad else [])
        if place + 1 >= 2 and set(looks[place + 1 - 2 : place + 1]) == {bad}:
            expected = bad
        assert expected == ("a" in known and known["a"].is_bad)


def test_whoever_is_well_is_forgotten() -> None:
    assert {} == stepped({"a": Standing(is_bad=True, other=1), "b": Standing(is_bad=False, other=1)}, [])
