"""Readings of series that only grow: what was added between two, in whatever buckets, and what can be no increase."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.series import BrokenSeriesError, Buckets, Reading, increase, kept, read

counts = st.dictionaries(st.integers(-50, 50), st.integers(1, 1_000), max_size=20)


def fixed(*n: int, total: str | None = None, bounds: tuple[str, ...] = ("0.1", "1.0")) -> Reading:
    found = Buckets(bounds, counts=dict(enumerate(n)))
    return Reading(sum(n), None if total is None else Decimal(total), found)


def exponential(some: dict[int, int], *, scale: int = 3, zero: int = 0) -> Reading:
    return Reading(sum(some.values()) + zero, None, Buckets(None, scale, zero, some))


def test_what_was_added_is_the_difference_of_all_figures() -> None:
    added = increase(fixed(1, 2, 3, total="1.5"), fixed(4, 2, 5, total="9.75"))

    assert Reading(5, Decimal("8.25"), Buckets(("0.1", "1.0"), counts={0: 3, 2: 2})) == added


def test_a_sum_that_one_of_them_does_not_tell_is_not_told_of_the_increase() -> None:
    assert increase(fixed(1), fixed(2, total="1")).total is None
    assert increase(fixed(1, total="1"), fixed(2)).total is None


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (fixed(2), fixed(1), "counts less"),
        (fixed(1), fixed(2, bounds=("0.2", "1.0")), "other buckets"),
        (fixed(1), exponential({1: 2}), "other buckets"),
        (fixed(2, 0), fixed(1, 5), "less in a bucket"),
        (fixed(0, 2), fixed(5), "less in a bucket"),
        (exponential({1: 1}, zero=2), exponential({1: 9}, zero=1), "less in a bucket"),
    ],
)
def test_what_says_less_than_before_is_no_increase(before: Reading, after: Reading, said: str) -> None:
    with pytest.raises(BrokenSeriesError, match=said):
        increase(before, after)


@given(counts, counts, st.integers(0, 9), st.integers(0, 9))
def test_of_exponential_buckets_the_increase_is_what_came_between(
    first: dict[int, int], more: dict[int, int], zero: int, more_zero: int
) -> None:
    both = {bucket: first.get(bucket, 0) + more.get(bucket, 0) for bucket in first.keys() | more.keys()}

    added = increase(exponential(first, zero=zero), exponential(both, zero=zero + more_zero))

    assert exponential(more, zero=more_zero) == added


@pytest.mark.parametrize(("before", "after"), [(3, 2), (2, 3)])
def test_two_readings_of_different_scales_are_compared_at_the_coarser_one(before: int, after: int) -> None:
    first = {3: {-3: 1, 4: 2}, 2: {-2: 1, 2: 2}}[before]
    second = {3: {-3: 1, 4: 2, 5: 4}, 2: {-2: 1, 2: 6}}[after]

    assert (
        Buckets(None, 2, 0, {2: 4})
        == increase(exponential(first, scale=before), exponential(second, scale=after)).buckets
    )


def test_buckets_fall_together_by_twos_and_below_one_too() -> None:
    found = Buckets(None, 3, 7, {-3: 1, -1: 2, 0: 4, 1: 8, 5: 16})

    assert found is found.coarser(3)
    assert Buckets(None, 2, 7, {-2: 1, -1: 2, 0: 12, 2: 16}) == found.coarser(2)


@pytest.mark.parametrize(
    ("buckets", "written"),
    [
        (Buckets(("0.1", "1.0"), counts={2: 5}), {"bounds": ["0.1", "1.0"], "counts": [0, 0, 5]}),
        (Buckets((), counts={0: 5}), {"bounds": [], "counts": [5]}),
        (Buckets(None, 3, 1, {4: 2, 7: 1, 9: 0}), {"scale": 3, "zero": 1, "offset": 4, "counts": [2, 0, 0, 1]}),
        (Buckets(None, 3, 1, {7: 1, 4: 2}), {"scale": 3, "zero": 1, "offset": 4, "counts": [2, 0, 0, 1]}),
        (Buckets(None, 3, 1), {"scale": 3, "zero": 1, "offset": 0, "counts": []}),
    ],
)
def test_buckets_are_written_without_a_gap_whatever_their_order(buckets: Buckets, written: dict[str, object]) -> None:
    assert written == buckets.written()


@given(counts, st.none() | st.decimals(-(10**18), 10**18, places=6), st.booleans())
def test_a_reading_that_is_kept_is_read_as_it_was(
    some: dict[int, int],
    total: Decimal | None,
    is_fixed: bool,  # noqa: FBT001
) -> None:
    bounds = ("0.1", "1.0") if is_fixed else None
    reading = Reading(17, total, Buckets(bounds, 0 if is_fixed else 4, 3, some))

    assert reading == read(json.loads(json.dumps(kept(reading))))
