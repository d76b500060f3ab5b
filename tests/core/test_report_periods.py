"""Which days a report is about, as it is asked for; and which periods are over when one comes by itself."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.report_periods import MOST_DAYS, Period, Rhythm, asked, ended, month_of
from heartfly.errors import InvalidValueError

UTC_ZONE = ZoneInfo("UTC")
NOW = datetime(2026, 12, 1, 2, 10, tzinfo=UTC)


def period(month: str = "", first: str = "", last: str = "", zone: str = "UTC") -> tuple[str, str]:
    found = asked(month, first, last, zone=ZoneInfo(zone), now=NOW)
    return found.first.isoformat(), found.last.isoformat()


@pytest.mark.parametrize(
    ("given_", "first", "last"),
    [
        ({}, "2026-11-01", "2026-11-30"),
        ({"zone": "America/Los_Angeles"}, "2026-10-31", "2026-11-29"),
        ({"month": "2026-02"}, "2026-02-01", "2026-02-28"),
        ({"month": "2024-02"}, "2024-02-01", "2024-02-29"),
        ({"month": "2026-12"}, "2026-12-01", "2026-12-31"),
        ({"first": "2026-03-05"}, "2026-03-05", "2026-04-03"),
        ({"last": "2026-03-05"}, "2026-02-04", "2026-03-05"),
        ({"first": "2026-03-05", "last": "2026-03-05"}, "2026-03-05", "2026-03-05"),
    ],
)
def test_days_are_asked_for_by_a_month_or_by_their_ends(given_: dict[str, str], first: str, last: str) -> None:
    assert (first, last) == period(**given_)


@pytest.mark.parametrize(
    ("given_", "field"),
    [
        ({"month": "2026-13"}, "month"),
        ({"month": "2026-1"}, "month"),
        ({"month": "1969-12"}, "month"),
        ({"month": "２０２６-11"}, "month"),
        ({"month": "2026-11", "last": "2026-11-02"}, "month"),
        ({"first": "2026-11-31"}, "from"),
        ({"first": "1970-01-01"}, "from"),
        ({"last": "9999-12-31"}, "to"),
        ({"first": "2026-11-02", "last": "2026-11-01"}, "to"),
        ({"first": "2026-01-01", "last": "2026-11-01"}, "to"),
    ],
)
def test_what_is_no_period_names_the_field(given_: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        period(**given_)

    assert field == refused.value.field


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (date(2026, 11, 1), date(2026, 11, 30), "November 2026"),
        (date(2026, 11, 2), date(2026, 11, 30), "2–30 Nov 2026"),
        (date(2026, 11, 2), date(2026, 11, 2), "2 Nov 2026"),
        (date(2026, 10, 15), date(2026, 11, 13), "15 Oct – 13 Nov 2026"),
        (date(2026, 12, 15), date(2027, 1, 13), "15 Dec 2026 – 13 Jan 2027"),
    ],
)
def test_a_period_has_a_name(first: date, last: date, words: str) -> None:
    assert words == Period(first, last, UTC_ZONE).words


def test_a_month_is_over_at_midnight_of_its_zone() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    before, after = datetime(2026, 11, 30, 22, 59, tzinfo=UTC), datetime(2026, 11, 30, 23, 0, tzinfo=UTC)
    since = date(2026, 10, 20)

    firsts = [
        [one.first for one in ended(Rhythm.MONTH, since, zone=berlin, now=now, most=3)] for now in (before, after)
    ]

    assert [[date(2026, 10, 1)], [date(2026, 10, 1), date(2026, 11, 1)]] == firsts


@given(since=st.dates(date(2020, 1, 1), date(2026, 1, 1)), days=st.integers(0, 2_000), rhythm=st.sampled_from(Rhythm))
def test_periods_follow_one_another_without_a_gap_and_are_over(since: date, days: int, rhythm: Rhythm) -> None:
    today = since + timedelta(days=days)
    now = datetime(today.year, today.month, today.day, 12, tzinfo=UTC)

    found = ended(rhythm, since, zone=UTC_ZONE, now=now, most=3)

    assert len(found) <= 3
    for before, after in pairwise(found):
        assert before.last + timedelta(days=1) == after.first
    for one in found:
        assert since <= one.last < today
        assert one.n_days <= MOST_DAYS
        assert rhythm is Rhythm.MONTH or ((one.first - since).days % 30, one.n_days) == (0, 30)
    if found:
        assert (today - found[-1].last).days <= 31 + (rhythm is Rhythm.MONTH)


def test_a_period_begins_and_ends_with_its_days_as_the_zone_has_them_and_is_asked_for_by_them() -> None:
    found = Period(date(2026, 10, 25), date(2026, 10, 26), ZoneInfo("Europe/Berlin"))

    assert (datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 26, 23, tzinfo=UTC)) == (
        found.from_at,
        found.to_at,
    )
    assert (2, "from=2026-10-25&to=2026-10-26") == (found.n_days, found.query)


def test_a_month_is_its_days() -> None:
    assert (date(2026, 2, 1), date(2026, 2, 28)) == month_of("2026-02")
    for text in ("2026-13", "2026", "1969-12"):
        with pytest.raises(InvalidValueError):
            month_of(text)
