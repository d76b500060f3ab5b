"""Histograms: no value is further from its bucket's middle than promised, and order does not matter."""

from __future__ import annotations

import json
import math
import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.amounts import LIMIT, ONE, amount, decimal_of
from heartfly.core.sketches import Histogram, bucket_of, middle_of, read, rounded, spelled

POSITIVE = st.integers(1, LIMIT - 1)
VALUES = st.lists(st.integers(-LIMIT + 1, LIMIT - 1) | st.integers(-5, 5) | st.just(0), max_size=60)
ERROR = Decimal(2 ** (1 / 32) - 1) / Decimal(2 ** (1 / 32) + 1)
"""The bound that the mapping has by its making: 1.083 %."""


def of(values: list[int]) -> Histogram:
    found = Histogram()
    for value in values:
        found.add(value)
    return found


@given(POSITIVE)
def test_the_middle_of_its_bucket_is_as_near_as_promised(value: int) -> None:
    # The smallest amounts are a few units only, of which the middle is rounded down.
    assert abs(middle_of(bucket_of(value)) - value) <= value * ERROR * Decimal("1.0001") + 1


@given(POSITIVE)
def test_buckets_ascend_with_values(value: int) -> None:
    assert bucket_of(value) <= bucket_of(value + 1) <= bucket_of(value) + (32 if value < 1000 else 1)


@pytest.mark.parametrize("octave", range(-18, 66))
def test_a_power_of_two_ends_its_bucket(octave: int) -> None:
    value = (ONE << octave) if octave >= 0 else ONE >> -octave  # to 2^-18 they are whole amounts

    assert 32 * octave - 1 == bucket_of(value)
    assert 32 * octave == bucket_of(value + 1)


@given(st.floats(1e-6, 1e15))
def test_the_bucket_is_opentelemetrys(value: float) -> None:
    text = format(Decimal(value).quantize(Decimal("1e-12")), "f")
    exact = math.log2(float(text)) * 32
    if abs(exact - round(exact)) < 1e-6:
        return  # so near to a bound floats cannot say
    found = amount(text)
    assert found is not None
    assert math.ceil(exact) - 1 == bucket_of(found)


@given(VALUES)
def test_order_and_parts_do_not_matter(values: list[int]) -> None:
    whole, turned, parts = of(values), of(values[::-1]), of(values[::2])
    parts.merge(of(values[1::2]))

    assert whole.written() == turned.written() == parts.written()
    assert whole == read(json.loads(json.dumps(whole.written())))
    assert len(values) == whole.n


@given(st.lists(st.integers(-LIMIT + 1, LIMIT - 1), min_size=1, max_size=80), st.integers(1, 100))
def test_a_percentile_is_the_value_of_its_rank_within_the_error(values: list[int], percent: int) -> None:
    exact = sorted(values)[max(1, math.ceil(percent * len(values) / 100)) - 1]
    found = of(values).percentile(percent * ONE)

    assert found is not None
    assert abs(found - exact) <= abs(exact) * ERROR * Decimal("1.0001") + 1


def test_of_nothing_there_is_no_percentile() -> None:
    assert None is Histogram().percentile(50 * ONE)


@given(st.integers(10_000, LIMIT - 1))  # the smallest amounts are a few units only
def test_a_percentile_is_told_to_the_digits_that_it_holds(value: int) -> None:
    near, margin = rounded(middle_of(bucket_of(value)))

    assert abs(near - value) <= margin
    assert len(str(near).rstrip("0")) <= 3
    assert margin <= near * 3 // 100


def test_what_is_told_of_a_percentile() -> None:
    told = [spelled(amount(text) or 0) for text in ("38.188205962714603", "83.9", "69", "-0.012345", "98765", "0")]

    assert ["38.2 ± 0.5", "83.9 ± 1.0", "69.0 ± 0.8", "-0.0123 ± 0.0002", "98800 ± 1200", "0 ± 0"] == told


def test_a_hundred_thousand_latencies() -> None:
    draw = random.Random(1)
    values = [int(draw.lognormvariate(3, 1) * ONE) for _ in range(20_000)]
    found = of(values)
    values.sort()
    for percent in (50, 90, 95, 99, Decimal("99.9")):
        exact = values[math.ceil(percent * len(values) / 100) - 1]
        told = found.percentile(int(percent * ONE))
        assert told is not None
        assert abs(decimal_of(told) / decimal_of(exact) - 1) < Decimal("0.011")
    assert len(json.dumps(found.written())) < 8_000
