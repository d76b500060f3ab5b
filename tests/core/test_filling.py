"""How near projects are to what they may store, and how much of what is removed goes at a time; all of it values."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from heartfly.core.filling import Filling, Turned
from heartfly.core.pieces import MOST_BYTES, within

ONE, OTHER = 1, 2


def test_more_than_may_be_is_full_and_as_much_is_not() -> None:
    filling = Filling(10)
    filling.add(ONE, 10)
    assert not filling.is_full(ONE)

    filling.add(ONE, 1)

    assert filling.is_full(ONE)
    assert not filling.is_full(OTHER)


def test_who_needs_room_for_one_more_is_full_with_as_much_as_may_be() -> None:
    filling = Filling(10, room_for=1)
    filling.add(ONE, 9)
    assert not filling.is_full(ONE)

    filling.add(ONE, 1)

    assert filling.is_full(ONE)


def test_without_a_bound_nothing_is_counted() -> None:
    filling = Filling(0)
    filling.add(ONE, 10**12)

    assert (0, False) == (filling.stored(ONE), filling.is_full(ONE))


def test_a_sum_replaces_what_was_counted_before_it_was_asked_for_and_nothing_since() -> None:
    filling = Filling(10)
    filling.add(ONE, 4)
    added = filling.added()
    filling.add(ONE, 3)

    filling.sum_up({ONE: 5}, added)

    assert 8 == filling.stored(ONE)


def test_a_project_that_has_nothing_any_more_has_nothing() -> None:
    filling = Filling(10)
    filling.add(ONE, 20)

    assert Turned((ONE,), ()) == filling.sum_up({ONE: 20}, filling.added())
    assert Turned((), (ONE,)) == filling.sum_up({}, filling.added())
    assert (0, False) == (filling.stored(ONE), filling.is_full(ONE))


def test_each_turn_is_told_once() -> None:
    filling = Filling(10)

    assert Turned((ONE, OTHER), ()) == filling.sum_up({OTHER: 11, ONE: 12, 3: 10}, filling.added())
    assert Turned((), ()) == filling.sum_up({OTHER: 11, ONE: 13}, filling.added())
    assert Turned((), (ONE,)) == filling.sum_up({OTHER: 11, ONE: 1}, filling.added())


@pytest.mark.parametrize(
    ("sizes", "n"), [([], 0), ([5, 5], 2), ([5, 6], 1), ([99, 1], 1), ([1, 99, 1], 1), ([0, 0, 10, 0], 4)]
)
def test_a_piece_is_no_larger_than_it_may_be_but_for_one_that_is_so_alone(sizes: list[int], n: int) -> None:
    rows = [SimpleNamespace(size=size) for size in sizes]

    assert rows[:n] == within(rows, most=10)


def test_a_hundred_bodies_of_the_most_that_is_kept_are_one_piece() -> None:
    assert 100 == len(within([SimpleNamespace(size=100_000)] * 100))
    assert MOST_BYTES == 12_000_000
