"""When the periods of budgets begin and end, in any zone; and which plans there cannot be."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.budget_periods import MOST_EVERY, Period, Plan, Rhythm, first_of, is_over, newest, period_on, plan_of
from heartfly.errors import InvalidValueError

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
START = date(2026, 2, 10)


def plan(rhythm: str = "monthly", **more: Any) -> Plan:
    given_ = {"starts_on": START, "ends_on": None, "every_days": None, "renews": None} | more
    return plan_of(rhythm, **given_)


def span(period: Period | None) -> tuple[str, str]:
    assert period is not None
    return str(period.first), str(period.last)


@pytest.mark.parametrize(
    ("rhythm", "more", "day", "first", "last"),
    [
        ("monthly", {}, date(2026, 2, 10), "2026-02-01", "2026-02-28"),
        ("monthly", {}, date(2026, 12, 31), "2026-12-01", "2026-12-31"),
        ("monthly", {}, date(2028, 2, 29), "2028-02-01", "2028-02-29"),
        ("quarterly", {}, date(2026, 2, 10), "2026-01-01", "2026-03-31"),
        ("quarterly", {}, date(2026, 11, 1), "2026-10-01", "2026-12-31"),
        ("yearly", {}, date(2026, 2, 10), "2026-01-01", "2026-12-31"),
        ("project", {"ends_on": date(2026, 2, 20)}, date(2026, 2, 20), "2026-02-10", "2026-02-20"),
        ("custom", {"every_days": 10}, date(2026, 2, 19), "2026-02-10", "2026-02-19"),
        ("custom", {"every_days": 10}, date(2026, 2, 20), "2026-02-20", "2026-03-01"),
        ("custom", {"every_days": 1}, date(2026, 2, 11), "2026-02-11", "2026-02-11"),
        ("unlimited", {}, date(2031, 1, 1), "2026-02-10", "None"),
    ],
)
def test_a_day_lies_in_the_period_that_the_calendar_says(
    rhythm: str, more: dict[str, Any], day: date, first: str, last: str
) -> None:
    assert (first, last) == span(period_on(plan(rhythm, **more), day))


def test_of_a_calendar_period_the_first_one_is_whole_and_nothing_was_before_it() -> None:
    assert ("2026-02-01", "2026-02-28") == span(first_of(plan()))
    assert period_on(plan(), date(2026, 2, 1)) is not None
    assert period_on(plan(), date(2026, 1, 31)) is None
    assert not is_over(plan(), date(2026, 1, 31))


@pytest.mark.parametrize(
    "once",
    [plan(renews=False), plan("project", ends_on=date(2026, 2, 28)), plan("custom", every_days=19, renews=False)],
)
def test_what_is_not_renewed_is_over_after_its_one_period(once: Plan) -> None:
    assert not is_over(once, date(2026, 2, 28))
    assert is_over(once, date(2026, 3, 1))
    assert period_on(once, date(2026, 3, 1)) is None
    assert ["2026-02-28"] == [str(one.last) for one in newest(once, date(2026, 6, 1), most=9)]


def test_the_newest_periods_come_first_and_none_is_before_the_first() -> None:
    assert ["2026-04-01", "2026-03-01"] == [one.key for one in newest(plan(), date(2026, 4, 2), most=2)]
    assert ["2026-04-01", "2026-03-01", "2026-02-01"] == [one.key for one in newest(plan(), date(2026, 4, 2), most=9)]
    assert [] == newest(plan(), date(2026, 1, 31), most=9)
    assert [] == newest(plan(), date(2026, 4, 2), most=0)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("America/Santiago", date(2026, 9, 6), 23),  # its midnight does not exist
        ("UTC", date(2026, 3, 29), 24),
    ],
)
def test_a_day_on_which_the_clock_changes_is_as_long_as_it_is(zone: str, day: date, hours: int) -> None:
    daily, place = plan("custom", every_days=1, starts_on=day - 3 * DAY), ZoneInfo(zone)
    today, tomorrow = period_on(daily, day), period_on(daily, day + DAY)

    assert today is not None
    assert tomorrow is not None
    end = today.to_at(place)
    assert end is not None
    assert hours * HOUR == end - today.from_at(place)
    assert end == tomorrow.from_at(place)


def test_what_has_no_end_says_so() -> None:
    (one,) = newest(plan("unlimited"), START, most=3)

    assert (None, "since 2026-02-10") == (one.to_at(ZoneInfo("UTC")), one.words)
    assert "2026-02-10 to 2026-02-12" == Period(START, START + 2 * DAY).words
    assert "2026-02-10" == Period(START, START).words


@pytest.mark.parametrize(
    ("rhythm", "more", "field"),
    [
        ("weekly", {}, "period"),
        ("monthly", {"starts_on": date(1970, 12, 31)}, "starts_on"),
        ("monthly", {"starts_on": date(2190, 1, 1)}, "starts_on"),
        ("monthly", {"ends_on": date(2026, 3, 1)}, "ends_on"),
        ("monthly", {"every_days": 3}, "every_days"),
        ("project", {}, "ends_on"),
        ("project", {"ends_on": START - DAY}, "ends_on"),
        ("project", {"ends_on": date(2190, 1, 1)}, "ends_on"),
        ("project", {"ends_on": START, "renews": True}, "auto_renew"),
        ("unlimited", {"renews": True}, "auto_renew"),
        ("custom", {}, "every_days"),
        ("custom", {"every_days": 0}, "every_days"),
        ("custom", {"every_days": MOST_EVERY + 1}, "every_days"),
    ],
)
def test_what_is_no_plan_names_the_field(rhythm: str, more: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        plan(rhythm, **more)
    assert field == refused.value.field


def test_what_can_be_renewed_is_renewed_unless_it_is_said_otherwise() -> None:
    assert [True, False] == [plan().renews, plan(renews=False).renews]
    assert not plan("project", ends_on=START).renews
    assert not plan("unlimited").renews


days = st.dates(date(2026, 1, 1), date(2040, 1, 1))


@given(rhythm=st.sampled_from(["monthly", "quarterly", "yearly", "custom"]), every=st.integers(1, 400), day=days)
def test_periods_follow_one_another_without_a_gap_and_each_day_knows_its_own(
    rhythm: str, every: int, day: date
) -> None:
    one = plan(rhythm, every_days=every if rhythm == "custom" else None, starts_on=date(2026, 1, 1))

    found = newest(one, day, most=5)

    assert found[0].last is not None
    assert found[0].first <= day <= found[0].last
    for later, earlier in pairwise(found):
        assert earlier.last is not None
        assert later.first == earlier.last + DAY
        assert earlier == period_on(one, earlier.first) == period_on(one, earlier.last)
    assert set(Rhythm) >= {one.rhythm}


def test_a_period_in_a_sentence() -> None:
    assert [
        "all since 2026-02-10",
        "February 2026",
        "2026",
        "the days 2026-01-01 to 2026-03-31",
        "the days 2025-02-01 to 2026-02-28",
        "the days 2026-02-10 to 2026-02-28",
        "2026-02-10",
    ] == [
        Period(date(*first), None if last is None else date(*last)).within
        for first, last in (
            ((2026, 2, 10), None),
            ((2026, 2, 1), (2026, 2, 28)),
            ((2026, 1, 1), (2026, 12, 31)),
            ((2026, 1, 1), (2026, 3, 31)),
            ((2025, 2, 1), (2026, 2, 28)),
            ((2026, 2, 10), (2026, 2, 28)),
            ((2026, 2, 10), (2026, 2, 10)),
        )
    ]
