"""A job that has changed its habits is told of, and one bad night is no habit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from heartfly.core.learned import Ran
from heartfly.core.moved import NEW, OLD, Habit, Moved, moved

S, MINUTE, HOUR, DAY = (timedelta(seconds=n) for n in (1, 60, 3600, 86_400))
BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
ROME = ZoneInfo("Europe/Rome")


def daily(hours: Sequence[float], took: Sequence[timedelta] = ()) -> list[Ran]:
    """One each day, at so many hours after midnight."""
    lasted = took or [MINUTE] * len(hours)
    begun = [BEGIN + n * DAY + hour * HOUR + n % 3 * S for n, hour in enumerate(hours)]
    return [Ran(at, at + took, took) for at, took in zip(begun, lasted, strict=True)]


def told(runs: Sequence[Ran]) -> list[str]:
    return [one.words for one in moved(runs, ZoneInfo("UTC"))]


def test_a_job_that_moved_by_an_hour_is_told_with_the_first_run_at_its_new_time() -> None:
    runs = daily([3] * 20 + [4] * 8)

    assert [Moved(Habit.CLOCK, 3 * HOUR, 4 * HOUR, runs[20].began_at)] == moved(runs, ZoneInfo("UTC"))
    assert ["It moved from 03:00 to 04:00"] == told(runs)


def test_the_time_of_day_is_that_of_the_zone() -> None:
    runs = daily([2] * 20 + [3] * 8)
    assert ["It moved from 03:00 to 04:00"] == [one.words for one in moved(runs, ROME)]


def test_a_move_over_midnight_is_a_small_one() -> None:
    assert ["It moved from 23:45 to 00:30"] == told(daily([23.75] * 20 + [24.5] * 6))
    assert ["It moved from 00:10 to 23:40"] == told(daily([24 + 1 / 6] * 20 + [23 + 2 / 3] * 6))


@pytest.mark.parametrize(
    "hours",
    [
        [3] * (OLD - 1) + [4] * NEW,
        [3] * 20 + [4] * (NEW - 1),
        [3] * 20 + [4, 4, 3, 4, 4],
        [3] * 20 + [9],
        [3] * 20 + [3.1] * 8,
        [3 + n % 5 / 2 for n in range(20)] + [4.5] * 6,
        [],
    ],
)
def test_too_few_too_little_or_not_all_of_the_newest_is_no_move(hours: list[float]) -> None:
    assert [] == told(daily(hours))


def test_a_job_that_runs_at_another_distance_is_told() -> None:
    at, runs = BEGIN, []
    for n in range(40):
        runs.append(Ran(at, at + MINUTE, MINUTE))
        at += HOUR if n < 25 else 2 * HOUR

    assert ["It ran every 1 h, and runs every 2 h"] == told(runs)


def test_days_without_a_run_are_no_other_distance() -> None:
    at = [BEGIN + n * DAY + 3 * HOUR for n in range(60) if n < 40 or n % 2]
    assert [] == told([Ran(one, one + MINUTE, MINUTE) for one in at])


def test_a_job_that_takes_longer_than_it_did_is_told() -> None:
    lasted = [300 * S + n % 4 * S for n in range(20)] + [720 * S] * 6
    assert ["It took 5 min 2 s, and takes 12 min"] == told(daily([3] * 26, lasted))


def test_runs_without_a_start_have_no_duration_that_could_move() -> None:
    at = [BEGIN + n * DAY for n in range(30)]
    assert [] == told([Ran(one, one) for one in at])
