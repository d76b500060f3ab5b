from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from heartfly.core.baseline import Baseline, Sample, Usual, amount, earliest, of

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 30, 14, 0, tzinfo=UTC)
"""A Monday, the day after Berlin's clock was put forward."""


def baseline(
    usual: Usual, found: dict[datetime, int], *, at: datetime = NOW, zone: ZoneInfo = BERLIN
) -> Baseline | str:
    ends = sorted(found)
    return of(usual, ends, lambda place: Sample(Fraction(found[ends[place]]), Fraction(1000)), at=NOW, zone=zone)


def test_of_each_day_the_run_at_about_that_time_counts() -> None:
    """An hourly job counts the hour of the day: 14:00 UTC is 16:00 in Berlin, and was 15:00 before the clock moved."""
    hourly = {
        (local := datetime(2026, 3, 30, tzinfo=BERLIN) - timedelta(days=ago) + timedelta(hours=hour)).astimezone(UTC): (
            local.hour * 100
        )
        for ago in range(8)
        for hour in range(24)
    }

    found = baseline(Usual(weeks=1), hourly)

    assert Baseline(Fraction(1600), Fraction(0), "7 days") == found


def test_of_two_runs_as_near_the_later_counts() -> None:
    hour = timedelta(hours=1)
    found = {NOW - timedelta(days=ago) + off: value for ago in range(1, 8) for off, value in ((-hour, 10), (hour, 20))}

    assert Baseline(Fraction(20), Fraction(0), "7 days") == baseline(Usual(weeks=1), found, zone=ZoneInfo("UTC"))


def test_runs_of_the_same_day_and_later_ones_say_nothing() -> None:
    past = {NOW - timedelta(days=ago): 10 for ago in range(1, 8)}
    today = {NOW - timedelta(hours=3): 99, NOW: 99, NOW + timedelta(days=1): 99}

    assert Baseline(Fraction(10), Fraction(0), "7 days") == baseline(Usual(weeks=4), past | today)


def test_the_last_runs_are_those_before_it_whatever_the_day() -> None:
    minutes = {NOW + timedelta(minutes=n): 100 + n for n in range(-50, 10)}

    found = baseline(Usual(runs=9), minutes)
    assert isinstance(found, Baseline)
    assert (Fraction(95), "9 runs") == (found.median, found.words)


def test_runs_that_say_nothing_are_passed_over() -> None:
    ends = [NOW - timedelta(hours=n) for n in range(20, 0, -1)]

    def ask(place: int) -> Sample | None:
        return Sample(Fraction(place), None) if place % 2 else None

    found = of(Usual(runs=7), ends, ask, at=NOW, zone=BERLIN)

    assert isinstance(found, Baseline)
    assert Fraction(13) == found.median
    day = of(Usual(weeks=1), ends, lambda _: None, at=NOW, zone=BERLIN)
    assert "0 of 7 past days with a run that went well are known" == day


def test_where_the_nearest_run_of_a_day_says_nothing_the_next_one_counts() -> None:
    hours = [timedelta(hours=-2), timedelta(hours=-1), timedelta(hours=3)]
    ends = sorted(NOW - timedelta(days=ago) + off for ago in range(1, 8) for off in hours)

    def ask(place: int) -> Sample | None:
        return None if place % 3 == 1 else Sample(Fraction(place % 3 + 100), None)

    assert Baseline(Fraction(100), Fraction(0), "7 days") == of(Usual(weeks=1), ends, ask, at=NOW, zone=UTC)


@pytest.mark.parametrize(
    ("usual", "text"),
    [
        (Usual(runs=20), "median(last 20 runs)"),
        (Usual(weeks=4), "median(4 weeks)"),
        (Usual(weeks=1), "median(1 week)"),
        (Usual(weeks=4, same_weekday=True), "median(same weekday, 4 weeks)"),
    ],
)
def test_each_is_written_as_it_is_read(usual: Usual, text: str) -> None:
    assert text == usual.text


def test_history_is_asked_for_with_room_for_any_zone() -> None:
    assert NOW - timedelta(days=30) == earliest(Usual(weeks=4), NOW)
    assert earliest(Usual(runs=7), NOW) is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("1204", "1,204"),
        ("0", "0"),
        ("1234.5678", "1,234.57"),
        ("0.012345", "0.0123"),
        ("-2.5", "-2.5"),
        ("0.00001", "0"),
    ],
)
def test_amounts_are_for_people(value: str, shown: str) -> None:
    assert shown == amount(Fraction(value))
