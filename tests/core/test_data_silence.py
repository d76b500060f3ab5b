"""Silence is judged by what is usual at that time, and time in which nothing could come counts for nothing."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.data_silence import (
    LOOKED_BACK,
    Came,
    Limits,
    apart,
    floor,
    judged_hours,
    lasted,
    of_customer,
    of_source,
    past_hours,
    short,
    silence,
    usual,
)
from heartfly.core.windows import HOUR, Window

NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
LIMITS = Limits(gap=timedelta(minutes=5), factor=20, least=20)
BERLIN = ZoneInfo("Europe/Berlin")
AT = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))
SPANS = st.timedeltas(timedelta(), timedelta(hours=40))


def steady(per_hour: int) -> Came:
    return Came(Fraction(per_hour), Fraction(per_hour))


@pytest.mark.parametrize(
    ("per_hour", "minutes", "alarms"),
    [(3600, 5, False), (3600, 6, True), (60, 20, False), (60, 21, True), (20, 59, False), (20, 61, True)],
)
def test_it_alarms_after_five_minutes_or_twenty_usual_gaps(per_hour: int, minutes: int, alarms: bool) -> None:  # noqa: FBT001
    found = silence(
        NOW - timedelta(minutes=minutes), now=NOW, expected=lambda _: steady(per_hour), deaf=(), limits=LIMITS
    )

    assert alarms == (found is not None)


@given(now=AT, lasts=SPANS, rate=st.integers(0, 10_000))
def test_it_alarms_exactly_if_enough_is_missing_of_a_steady_flow(now: datetime, lasts: timedelta, rate: int) -> None:
    found = silence(now - lasts, now=now, expected=lambda _: steady(rate), deaf=(), limits=LIMITS)
    counted = min(lasts, LOOKED_BACK)

    missing = Fraction(rate) * Fraction(counted // timedelta(microseconds=1), HOUR // timedelta(microseconds=1))
    assert (counted > LIMITS.gap and missing > 20) == (found is not None)


@given(now=AT, lasts=SPANS, deaf=st.lists(st.tuples(SPANS, SPANS), max_size=5))
def test_time_in_which_we_were_deaf_never_makes_an_alarm(
    now: datetime, lasts: timedelta, deaf: list[tuple[timedelta, timedelta]]
) -> None:
    windows = apart([Window(now - max(pair), now - min(pair)) for pair in deaf])

    def judged(spans: list[Window]) -> bool:
        return silence(now - lasts, now=now, expected=lambda _: steady(600), deaf=spans, limits=LIMITS) is not None

    assert judged([]) or not judged(windows)
    assert not judged([Window(now - lasts, now)])


@given(now=AT, lasts=SPANS, busy=st.sets(st.integers(0, 23)))
def test_hours_in_which_nothing_is_usual_and_those_beside_them_make_no_alarm(
    now: datetime, lasts: timedelta, busy: set[int]
) -> None:
    def expected(hour: datetime) -> Came:
        return steady(100_000 if hour.hour in busy else 0)

    found = silence(now - lasts, now=now, expected=expected, deaf=(), limits=LIMITS)
    inner = {hour for hour in busy if {(hour - 1) % 24, (hour + 1) % 24} <= busy}
    since = max(now - lasts, now - LOOKED_BACK)
    hours = [floor(since) + n * HOUR for n in range((floor(now) - floor(since)) // HOUR + 1)]
    counted = sum(
        (min(one + HOUR, now) - max(one, since) for one in hours if one.hour in inner and one < now), timedelta()
    )

    assert (counted > LIMITS.gap) == (found is not None)


def test_what_is_usual_is_the_median_of_weeks_or_else_the_day_before_and_unknown_of_who_is_new() -> None:
    hour = floor(NOW)
    *weeks, day = past_hours(hour, UTC)
    known = {one: steady(n) for one, n in zip(weeks, (10, 20, 30, 1000), strict=True)} | {day: steady(7)}

    assert steady(25) == usual(hour, known, LONG_AGO, UTC)
    assert steady(15) == usual(hour, known, weeks[1], UTC)
    assert steady(7) == usual(hour, known, weeks[0], UTC)
    assert steady(0) == usual(hour, {}, day, UTC)
    assert usual(hour, known, day + timedelta(seconds=1), UTC) is None


def test_past_hours_are_those_of_the_same_time_on_the_wall() -> None:
    summer = datetime(2026, 3, 30, 8, tzinfo=UTC)  # 10:00, a day after the clocks were put forward

    assert {10} == {one.astimezone(BERLIN).hour for one in past_hours(summer, BERLIN)}


def test_words_say_how_long_and_what_is_usual() -> None:
    found = silence(NOW - timedelta(minutes=9), now=NOW, expected=lambda _: steady(1800), deaf=(), limits=LIMITS)
    assert found is not None

    assert "nginx-2 has sent nothing for 9 min (usual gap 2 s)" == of_source("nginx-2", found)
    long = silence(NOW - 3 * HOUR, now=NOW, expected=lambda _: steady(10_000), deaf=(), limits=LIMITS)
    assert long is not None
    assert "customer 17 at 0 for 3 h, usual 10 k/h" == of_customer("17", long)


def test_spans_and_numbers_are_told_in_one_unit() -> None:
    assert ["360 ms", "1 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d"] == [
        lasted(timedelta(seconds=one)) for one in (0.36, 1, 119, 120, 7_199, 7_200, 172_799, 172_800)
    ]
    assert ["0.5", "12", "1 k", "1.5 k", "2 M"] == [
        short(Fraction(one)) for one in ("1/2", "12.3", "1000", "1500", "2000000")
    ]


def test_what_is_usual_is_asked_for_the_hours_that_are_looked_back_at_and_those_beside() -> None:
    hours = judged_hours(NOW)

    assert (floor(NOW - LOOKED_BACK) - HOUR, floor(NOW) + HOUR) == (hours[0], hours[-1])
    assert {HOUR} == {later - earlier for earlier, later in itertools.pairwise(hours)}
