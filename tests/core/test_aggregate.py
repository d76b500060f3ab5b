"""Partials: whatever the order and however cut, the same events come to the same."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.aggregate import Partial, Place, hash_of, merged
from heartfly.core.amounts import LIMIT, ONE, Amount, decimal_of, text_of
from heartfly.core.meters import Aggregation, Counted, Meter, meter_of

START = datetime(2026, 11, 28, tzinfo=UTC)
VALUED = [kind for kind in Aggregation if kind not in {Aggregation.COUNT, Aggregation.UNIQUE}]


def meter(kind: Aggregation) -> Meter:
    given: dict[str, Any] = {} if kind is Aggregation.COUNT else {"value": "size"}
    if kind is Aggregation.PERCENTILE:
        given["percent"] = "95"
    return meter_of(types=["t"], aggregation=kind.value, **given)


METERS = {kind: meter(kind) for kind in Aggregation}


@dataclass(frozen=True)
class Seen:
    value: Amount
    place: Place

    def counted(self, of: Meter) -> Counted:
        if of.aggregation is Aggregation.COUNT:
            return Counted(())
        return Counted((), unique=text_of(self.value)) if of.of else Counted((), self.value)


def folded(of: Meter, seen: list[Seen]) -> Partial:
    partial = Partial()
    for one in seen:
        partial.add(of, one.counted(of), one.place)
    return partial


def at(second: int, number: int) -> Place:
    return START + timedelta(seconds=second), number


SEEN = st.lists(st.tuples(st.integers(-LIMIT + 1, LIMIT - 1) | st.integers(-3, 3), st.integers(0, 5)), max_size=30).map(
    lambda found: [Seen(value, at(second, number)) for number, (value, second) in enumerate(found)]
)


@pytest.mark.parametrize("kind", Aggregation)
@given(seen=SEEN, cuts=st.lists(st.integers(0, 30), max_size=4), draw=st.randoms(use_true_random=False))
def test_order_and_cuts_do_not_matter(
    kind: Aggregation, seen: list[Seen], cuts: list[int], draw: random.Random
) -> None:
    of, whole = METERS[kind], folded(METERS[kind], seen)
    shuffled = draw.sample(seen, len(seen))
    ends = [0, *sorted(cuts), len(seen)]
    parts = [folded(of, shuffled[start:end]) for start, end in pairwise(ends) if start <= end]
    draw.shuffle(parts)

    assert whole == folded(of, shuffled) == merged(parts)
    assert whole.result(of) == merged(parts).result(of)


@given(SEEN)
def test_sums_and_averages_are_those_of_decimals(seen: list[Seen]) -> None:
    with localcontext() as context:
        context.prec = 80
        total = sum((decimal_of(one.value) for one in seen), Decimal(0))
        found = folded(METERS[Aggregation.SUM], seen).result(METERS[Aggregation.SUM])
        assert found is not None
        assert total == decimal_of(found)
        average = folded(METERS[Aggregation.AVERAGE], seen).result(METERS[Aggregation.AVERAGE])
        if seen:
            assert average is not None
            rounded = (total / len(seen)).quantize(Decimal(1).scaleb(-18), "ROUND_HALF_EVEN")
            assert rounded == decimal_of(average)


@given(SEEN)
def test_the_others_are_what_their_names_say(seen: list[Seen]) -> None:
    results = {kind: folded(of, seen).result(of) for kind, of in METERS.items()}
    values = [one.value for one in seen]

    assert len(seen) * ONE == results[Aggregation.COUNT]
    assert len(set(values)) * ONE == results[Aggregation.UNIQUE]
    assert (min(values) if values else None) == results[Aggregation.MIN]
    assert (max(values) if values else None) == results[Aggregation.MAX]
    newest = max(seen, key=lambda one: one.place, default=None)
    assert (newest.value if newest else None) == results[Aggregation.LATEST]
    percentile = results[Aggregation.PERCENTILE]
    assert (percentile is None) is (not values)
    if percentile is not None:
        assert min(values) <= percentile <= max(values)


def test_of_nothing_a_count_is_zero_and_the_rest_is_unknown() -> None:
    nothing = {kind: Partial().result(of) for kind, of in METERS.items()}

    assert [0, 0, 0] == [nothing[kind] for kind in (Aggregation.COUNT, Aggregation.UNIQUE, Aggregation.SUM)]
    assert {None} == {nothing[kind] for kind in VALUED if kind is not Aggregation.SUM}


def test_of_two_at_one_instant_the_one_that_came_later_is_the_latest() -> None:
    of = METERS[Aggregation.LATEST]
    first, second = Seen(ONE, at(0, 7)), Seen(2 * ONE, at(0, 8))

    assert 2 * ONE == folded(of, [first, second]).result(of) == folded(of, [second, first]).result(of)


def test_a_sum_outgrows_the_largest_amount_and_stays_exact() -> None:
    of = METERS[Aggregation.SUM]
    found = folded(of, [Seen(LIMIT - 1, at(0, number)) for number in range(1000)]).result(of)

    assert 1000 * (LIMIT - 1) == found
    assert "99999999999999999999999.999999999999999" == text_of(1000 * (LIMIT - 1))


def test_what_floats_get_wrong() -> None:
    of = METERS[Aggregation.SUM]
    found = folded(of, [Seen(ONE // 10, at(0, number)) for number in range(1_000)]).result(of)

    assert 100 * ONE == found
    assert sum([0.1] * 1_000) != 100.0


def test_values_are_told_apart_however_long_they_are() -> None:
    values = ["a" * n for n in (1, 64, 65, 1_000)]
    assert [hashlib.blake2b(value.encode(), digest_size=16).digest() for value in values] == list(map(hash_of, values))
