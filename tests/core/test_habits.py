"""What is usual of a job, and what that suggests."""

from __future__ import annotations

from datetime import timedelta

import pytest

from heartfly.core.habits import ENOUGH, limit, quantile

S = timedelta(seconds=1)


@pytest.mark.parametrize(("share", "wanted"), [(0, 1), (0.5, 50), (0.501, 51), (0.95, 95), (0.99, 99), (1, 100)])
def test_a_quantile_is_a_value_that_was_seen(share: float, wanted: int) -> None:
    assert wanted * S == quantile([n * S for n in range(1, 101)], share)


def test_of_one_value_each_quantile_is_that_one() -> None:
    assert [7 * S, 7 * S] == [quantile([7 * S], share) for share in (0, 1)]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([600 * S] * ENOUGH, timedelta(minutes=12)),
        ([601 * S] * ENOUGH, timedelta(minutes=13)),
        ([timedelta(0)] * ENOUGH, S),
        ([30 * S] * ENOUGH, 36 * S),
        ([60 * S] * 99 + [9_000 * S], 80 * S),
        ([600 * S] * (ENOUGH - 1), None),
    ],
)
def test_a_limit_is_suggested_that_leaves_room_and_of_which_one_run_in_a_hundred_decides_nothing(
    values: list[timedelta], wanted: timedelta | None
) -> None:
    assert wanted == limit(values)


def test_a_limit_has_a_least() -> None:
    assert 60 * S == limit([S] * ENOUGH, least=60 * S)
