"""Far fewer pings than usual: fewer than half of the median of the same minute of the days before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from heartfly.core.volume import DAY, Volume, minute_of, part_of, parts_of, same_minutes, volume

AT = datetime(2026, 3, 2, 10, 7, 59, 999_999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("n", "before", "found"),
    [
        (50, [100] * 7, Volume.ENOUGH),  # half is enough
        (49, [100] * 7, Volume.FEW),
        (0, [100] * 7, Volume.FEW),
        (500, [100] * 7, Volume.ENOUGH),
        (0, [], Volume.UNKNOWN),
        (0, [100] * 3, Volume.UNKNOWN),
        (0, [100] * 4, Volume.FEW),
        (0, [9] * 7, Volume.UNKNOWN),
        (4, [10] * 7, Volume.FEW),
        (5, [10] * 7, Volume.ENOUGH),
        (7, [10, 20, 10, 20], Volume.FEW),  # of an even number the mean of the two in the middle
        (8, [10, 20, 10, 20], Volume.ENOUGH),
    ],
)
def test_a_minute_is_compared_with_the_median(n: int, before: list[int], found: Volume) -> None:
    assert found is volume(n, before)


def test_one_odd_day_changes_nothing() -> None:
    assert Volume.ENOUGH is volume(60, [100, 100, 100, 100, 100, 100, 100_000])
    assert Volume.FEW is volume(40, [100, 100, 100, 100, 100, 100, 0])


def test_jobs_of_weekdays_are_usual_on_a_saturday_and_those_of_a_month_on_no_day() -> None:
    """Of the seven days before a Saturday five were weekdays. Each first of a month is one day of seven."""
    weekdays, both = [100, 100, 100, 100, 100], [20, 20]

    assert Volume.FEW is volume(20, [*weekdays, *both])
    assert Volume.ENOUGH is volume(100, [*weekdays, *both])
    assert Volume.ENOUGH is volume(20, [100, 20, 20, 20, 20, 20, 20])


def test_the_same_minute_is_that_of_the_clock_in_utc() -> None:
    until = part_of(AT)
    minutes = same_minutes(until)

    assert until == datetime(2026, 3, 2, 10, 7, 50, tzinfo=UTC)
    assert minutes[0] == until - timedelta(minutes=1)
    assert [until - timedelta(minutes=1) - n * DAY for n in range(1, 8)] == list(minutes[1:])


def test_a_minute_has_six_parts_and_may_begin_with_any_of_them() -> None:
    assert datetime(2026, 3, 2, 10, 7, tzinfo=UTC) == minute_of(AT)
    assert [n * 10 for n in range(6)] == [part.second for part in parts_of(minute_of(AT))]
    assert part_of(AT) == part_of(part_of(AT))
    assert [50, 0, 10, 20, 30, 40] == [part.second for part in parts_of(part_of(AT))]
