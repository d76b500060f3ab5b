"""When a digest is told and of which days: at 7:00 where the project is, whatever its clocks do."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.digests import Period, due
from heartfly.core.words import Cadence

BERLIN = ZoneInfo("Europe/Berlin")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def at(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def told(after: datetime, through: datetime, zone: ZoneInfo = BERLIN) -> dict[Cadence, Period]:
    return {period.cadence: period for period in due(zone, after=after, through=through)}


def test_each_morning_tells_of_the_day_before() -> None:
    (period,) = due(BERLIN, after=at("2026-03-04T06:00"), through=at("2026-03-04T07:00"))

    assert (Cadence.DAILY, date(2026, 3, 3), date(2026, 3, 3)) == (period.cadence, period.first, period.last)
    assert (at("2026-03-03T00:00"), at("2026-03-04T00:00")) == (period.from_at, period.to_at)
    assert "digest:daily:2026-03-03" == period.key


def test_mondays_tell_of_the_week_before_too() -> None:
    week = told(at("2026-03-02T06:00"), at("2026-03-02T07:00"))[Cadence.WEEKLY]

    assert (date(2026, 2, 23), date(2026, 3, 1)) == (week.first, week.last)
    assert (at("2026-02-23T00:00"), at("2026-03-02T00:00")) == (week.from_at, week.to_at)
    assert "digest:weekly:2026-02-23" == week.key


@pytest.mark.parametrize("through", ["2026-03-01T07:00", "2026-03-01T23:00", "2026-03-04T06:00"])
def test_the_first_tells_of_the_month_before_too(through: str) -> None:
    month = told(at("2026-02-28T08:00"), at(through))[Cadence.MONTHLY]

    assert (date(2026, 2, 1), date(2026, 2, 28)) == (month.first, month.last)
    assert (at("2026-02-01T00:00"), at("2026-03-01T00:00")) == (month.from_at, month.to_at)
    assert "digest:monthly:2026-02-01" == month.key


@pytest.mark.parametrize(
    ("after", "through", "expected"),
    [
        ("2026-03-04T05:00", "2026-03-04T06:59", set()),
        ("2026-03-04T07:00", "2026-03-04T23:00", set()),  # told already
        ("2026-03-04T06:59", "2026-03-04T07:00", {Cadence.DAILY}),
        ("2026-03-03T23:30", "2026-03-05T00:30", {Cadence.DAILY}),
        ("2026-03-01T08:00", "2026-03-02T06:59", set()),
    ],
)
def test_it_is_due_once_at_seven(after: str, through: str, expected: set[Cadence]) -> None:
    assert expected == set(told(at(after), at(through)))


def test_of_many_that_fell_due_the_newest_is_told() -> None:
    found = told(at("2026-02-01T08:00"), at("2026-03-05T03:00"))

    assert date(2026, 3, 3) == found[Cadence.DAILY].first
    assert date(2026, 2, 23) == found[Cadence.WEEKLY].first


@pytest.mark.parametrize(("changes_on", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_seven_is_seven_on_the_days_of_clock_changes_and_they_have_their_hours(changes_on: str, hours: int) -> None:
    day = date.fromisoformat(changes_on)

    on_it = told(at(f"{day}T06:00"), at(f"{day}T07:00"))[Cadence.DAILY]
    after_it = told(at(f"{day + DAY}T06:00"), at(f"{day + DAY}T07:00"))

    assert (day - DAY, 24 * HOUR) == (on_it.first, on_it.to_at - on_it.from_at)
    of_it, of_week = after_it[Cadence.DAILY], after_it[Cadence.WEEKLY]
    assert (day, hours * HOUR) == (of_it.first, of_it.to_at - of_it.from_at)
    assert (6 * 24 + hours) * HOUR == of_week.to_at - of_week.from_at


def test_a_day_that_was_skipped_is_told_of_by_nobody_and_the_one_before_it_is() -> None:
    apia = ZoneInfo("Pacific/Apia")  # went from the 29th of December 2011 to the 31st

    found = told(at("2011-12-29T08:00", apia), at("2011-12-31T07:00", apia), apia)
    before = told(at("2011-12-29T08:00", apia), at("2011-12-31T03:00", apia), apia)

    assert date(2011, 12, 29) == found[Cadence.DAILY].first
    assert {} == before


@given(
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]),
    start=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
    steps=st.lists(st.integers(1, 20), min_size=1, max_size=40),
)
def test_however_often_it_is_looked_each_day_is_told_once(zone: str, start: datetime, steps: list[int]) -> None:
    there = ZoneInfo(zone)
    after = start.replace(tzinfo=UTC)
    found: list[Period] = []
    for hours in steps:
        through = after + hours * HOUR
        found += due(there, after=after, through=through)
        after = through

    daily = [period.first for period in found if period.cadence is Cadence.DAILY]
    weekly = [period.first for period in found if period.cadence is Cadence.WEEKLY]
    assert all(later - earlier == DAY for earlier, later in pairwise(daily))
    assert all(later - earlier == 7 * DAY for earlier, later in pairwise(weekly))
    assert abs(len(daily) - sum(steps) / 24) <= 1.1
