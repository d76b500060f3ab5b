"""Histograms come out of their bytes as they went in, whatever they hold, and add up in any order to the same bytes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.amounts import ONE
from heartfly.core.packed import added, merged, packed, unpacked
from heartfly.core.sketches import Histogram

BUCKETS = st.integers(-2_200, 2_200)
COUNTS = st.sampled_from([1, 2, 127, 128, 255, 256, 65_535, 65_536, (1 << 32) - 1, 1 << 32, 1 << 40])
HISTOGRAMS = st.builds(
    Histogram,
    st.sampled_from([0, 1, 127, 128, 1 << 40]),
    st.one_of(
        st.dictionaries(BUCKETS, COUNTS, max_size=12),
        st.dictionaries(st.integers(90, 130), st.integers(1, 300), max_size=40),
    ),
)


@given(HISTOGRAMS)
def test_what_goes_in_comes_out(it: Histogram) -> None:
    assert it == unpacked(packed(it.zero, it.above))


@given(st.lists(HISTOGRAMS, max_size=6), st.randoms(use_true_random=False))
def test_they_add_up_in_any_order_and_by_any_parts(some: list[Histogram], draw: random.Random) -> None:
    expected = Histogram()
    for one in some:
        expected.merge(one)
    blobs = [packed(one.zero, one.above) for one in some]
    draw.shuffle(blobs)
    cut = draw.randrange(len(blobs) + 1)
    parts = [merged(blobs[:cut]), merged(blobs[cut:])]
    together = merged([packed(one.zero, one.above) for one in parts])

    assert expected == merged(blobs) == together
    assert packed(expected.zero, expected.above) == packed(together.zero, dict(reversed(together.above.items())))


@given(st.lists(HISTOGRAMS, max_size=4))
def test_percentiles_are_read_without_a_histogram(some: list[Histogram]) -> None:
    blobs, percents = [packed(one.zero, one.above) for one in some], [ONE // 100, 50 * ONE, 95 * ONE, 100 * ONE]

    assert merged(blobs).percentiles(percents) == added(blobs).percentiles(percents)


def test_thousands_of_full_lanes_run_over_nowhere() -> None:
    full = packed(0, dict.fromkeys(range(50, 60), 255))
    wide = packed(0, dict.fromkeys(range(55, 65), 65_535))

    found = merged([full, wide] * 1_000)

    assert {50: 255_000, 57: 65_790_000, 64: 65_535_000} == {at: found.above[at] for at in (50, 57, 64)}


@pytest.mark.parametrize(
    ("above", "size"),
    [({}, 2), ({200: 1}, 5), ({-3: 1}, 4), ({10: 1, 500: 2}, 8), (dict.fromkeys(range(100, 140), 9), 44)],
)
def test_they_take_few_bytes(above: dict[int, int], size: int) -> None:
    assert size == len(packed(0, above))


def test_rows_that_count_more_than_sixteen_bits_hold_add_up() -> None:
    many = {bucket: 70_000 + bucket for bucket in range(90, 130) if bucket != 95}
    few = dict.fromkeys(range(100, 140), 3)

    found = merged([packed(1, many), packed(0, few), packed(2, many)])

    assert 3 == found.zero
    assert {
        bucket: 2 * many.get(bucket, 0) + few.get(bucket, 0) for bucket in range(90, 140) if bucket != 95
    } == found.above
