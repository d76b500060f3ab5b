"""How long hours rest between two folds: one alone, many together, new ones, and those into which nothing comes now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from heartfly.usage.resting import COMING_S, REST_S, Hour, Resting

FIRST = datetime(2026, 11, 28, tzinfo=UTC)


def hours(n: int) -> list[Hour]:
    return [(7, FIRST + timedelta(hours=hour)) for hour in range(n)]


def folded(n: int, *, took_s: float, at: float = 100.0) -> Resting:
    """So many hours, each of which took so long."""
    resting = Resting()
    assert hours(n) == resting.ready(dirty(n, newest=1), at)
    for hour in hours(n):
        resting.folded(hour, at, took_s)
    return resting


def dirty(n: int, *, newest: int) -> list[tuple[int, datetime, int]]:
    return [(*hour, newest) for hour in hours(n)]


@pytest.mark.parametrize(
    ("n", "took_s", "rests_s"),
    [
        (1, 0.01, REST_S),
        (1, 2.0, 20.0),
        (1, 40.0, 400.0),
        (24, 0.01, REST_S),
        (24, 0.5, 120.0),
        (24, 3.0, COMING_S),
    ],
)
def test_hours_into_which_events_come_take_a_tenth_of_the_time_together(n: int, took_s: float, rests_s: float) -> None:
    resting = folded(n, took_s=took_s)

    assert [] == resting.ready(dirty(n, newest=2), 100.0 + rests_s - 0.5)
    assert hours(n) == resting.ready(dirty(n, newest=3), 100.0 + rests_s + 0.5)


def test_an_hour_into_which_nothing_comes_any_more_is_folded_as_if_it_were_alone() -> None:
    resting = folded(24, took_s=0.5)
    assert [] == resting.ready(dirty(24, newest=2), 101.0), "it rests in any case"

    assert [] == resting.ready(dirty(24, newest=3), 111.0), "something came since the last look"
    assert hours(24) == resting.ready(dirty(24, newest=3), 113.0)


def test_a_small_hour_beside_large_ones_is_not_held_up_by_them() -> None:
    resting = Resting()
    small, *large = hours(20)
    resting.ready(dirty(20, newest=1), 100.0)
    resting.folded(small, 100.0, 0.02)
    for hour in large:
        resting.folded(hour, 100.0, 1.0)

    assert [small] == resting.ready(dirty(20, newest=2), 111.0)


def test_rests_that_are_over_are_forgotten() -> None:
    resting = folded(3, took_s=0.01)
    assert 3 == len(resting)

    assert hours(3) == resting.ready(dirty(3, newest=3), 111.0)
    assert 0 == len(resting)


def test_an_hour_that_comes_while_others_do_waits_for_the_next_look_and_no_longer() -> None:
    resting = folded(3, took_s=0.01)

    assert [] == resting.ready(dirty(4, newest=2), 101.0)
    assert hours(4)[3:] == resting.ready(dirty(4, newest=3), 103.0), "whether or not something still comes"


def test_of_more_hours_than_are_told_none_waits_for_having_come_lately() -> None:
    resting = folded(3, took_s=0.01)

    assert hours(9)[3:] == resting.ready(dirty(9, newest=2), 101.0, are_all=False)


def test_an_hour_that_was_not_told_among_too_many_does_not_wait_for_having_come_lately() -> None:
    resting = Resting()
    resting.ready(dirty(3, newest=1), 100.0, are_all=False)

    assert hours(5)[3:] == resting.ready(dirty(5, newest=1)[3:], 102.0)


def test_an_hour_that_comes_when_there_was_nothing_is_folded_at_once() -> None:
    resting = folded(3, took_s=0.01)
    assert [] == resting.ready((), 101.0)

    assert hours(4)[3:] == resting.ready(dirty(4, newest=2), 103.0)


def test_cleared_nothing_rests() -> None:
    resting = folded(2, took_s=5.0)
    resting.clear()

    assert hours(2) == resting.ready(dirty(2, newest=2), 100.0)
