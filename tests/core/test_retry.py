"""When a failed delivery is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.retry import DELAYS_S, JITTER, MAX_ATTEMPTS, PATIENCE_S, is_one_of_many, outlasts_patience, retry_at

FAILED_AT = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
MIDDLE = 0.5
"""The jitter that leaves a delay as it is."""


def wait_s(
    attempt: int, *, permanent: bool = False, retry_after_s: float | None = None, jitter: float = MIDDLE
) -> float | None:
    at = retry_at(attempt, failed_at=FAILED_AT, permanent=permanent, retry_after_s=retry_after_s, jitter=jitter)
    return None if at is None else (at - FAILED_AT).total_seconds()


def test_the_waits_grow_from_seconds_to_hours_and_then_we_give_up() -> None:
    expected = [5, 30, 120, 600, 1800, 7200, 18000, 36000, 36000, None]
    assert expected == [wait_s(n) for n in range(1, 11)]


def test_a_permanent_failure_is_not_tried_again() -> None:
    assert wait_s(1, permanent=True) is None


def test_a_permanent_failure_is_not_tried_again_even_if_the_receiver_names_a_time() -> None:
    assert wait_s(1, permanent=True, retry_after_s=7) is None


@pytest.mark.parametrize(("jitter", "expected"), [(0.0, 27.0), (0.5, 30.0), (0.75, 31.5)])
def test_jitter_spreads_a_wait_by_ten_percent_to_either_side(jitter: float, expected: float) -> None:
    assert expected == wait_s(2, jitter=jitter)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (7.0, 30.0),  # sooner than our own wait: ours holds
        (30.0, 30.0),
        (90.0, 90.0),
        (3_600.0, 3_600.0),
        (3_601.0, 3_600.0),
        (float("inf"), 3_600.0),
        (0.0, 30.0),
        (-5.0, 30.0),
    ],
)
def test_a_longer_retry_after_is_obeyed_up_to_an_hour(asked: float, expected: float) -> None:
    assert expected == wait_s(2, retry_after_s=asked)


@given(
    attempt=st.integers(1, MAX_ATTEMPTS - 1),
    asked=st.none() | st.floats(allow_nan=False),
    jitter=st.floats(0, 1, exclude_max=True),
)
def test_the_next_try_is_never_sooner_than_planned_nor_later_than_planned_or_an_hour(
    attempt: int, asked: float | None, jitter: float
) -> None:
    planned = timedelta(seconds=DELAYS_S[attempt])
    at = retry_at(attempt, failed_at=FAILED_AT, permanent=False, retry_after_s=asked, jitter=jitter)
    assert at is not None
    assert planned * 0.9 - timedelta(microseconds=1) <= at - FAILED_AT
    assert at - FAILED_AT <= max(planned * 1.1, timedelta(hours=1)) + timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("failing_for_s", "asked", "expected"),
    [
        (0.0, None, False),
        (119.999, None, False),
        (120.0, None, True),
        (90.0, 29.9, False),
        (90.0, 30.0, True),
        (0.0, 3_600.0, True),
        (119.0, -5.0, False),
        (120.0, -5.0, True),
    ],
)
def test_two_minutes_without_a_message_are_news_and_a_wait_that_is_asked_for_counts(
    failing_for_s: float,
    asked: float | None,
    expected: bool,  # noqa: FBT001 - a column
) -> None:
    failed_at = FAILED_AT + timedelta(seconds=failing_for_s)
    assert expected == outlasts_patience(since=FAILED_AT, failed_at=failed_at, retry_after_s=asked)


def test_it_is_the_fourth_try_of_one_message_that_outlasts_our_patience() -> None:
    after_s = [sum(DELAYS_S[1:n]) for n in range(1, 5)]
    assert after_s[2] * (1 + JITTER) < PATIENCE_S <= after_s[3] * (1 - JITTER)


@pytest.mark.parametrize(
    ("told_minutes_ago", "is_one"),
    [([], False), ([None], True), ([9.9], True), ([10], False), ([600, 600], False), ([600, 1], True)],
)
def test_a_channel_fails_with_others_that_nobody_was_told_of_long_ago(
    told_minutes_ago: list[float | None], *, is_one: bool
) -> None:
    told = [None if ago is None else FAILED_AT - timedelta(minutes=ago) for ago in told_minutes_ago]
    assert is_one == is_one_of_many(told, at=FAILED_AT)
