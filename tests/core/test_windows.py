"""Windows fill time without a gap, and are those of the zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.windows import Size, Window, window_at, windows

ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "America/Sao_Paulo",
        "Africa/Monrovia",
        "America/St_Johns",
    )
]
BERLIN, HOWE = ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe")
INSTANTS = st.datetimes(datetime(1971, 1, 1), datetime(2037, 12, 1), timezones=st.just(UTC))


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


@given(INSTANTS, st.sampled_from(ZONES), st.sampled_from(Size))
def test_each_instant_lies_in_one_window_and_the_next_begins_where_it_ends(
    instant: datetime, zone: ZoneInfo, size: Size
) -> None:
    window = window_at(size, zone, instant)

    assert window.from_at <= instant < window.to_at
    assert window == window_at(size, zone, window.from_at)
    assert window == window_at(size, zone, window.to_at - timedelta(microseconds=1))
    assert window.to_at == window_at(size, zone, window.to_at).from_at


@given(INSTANTS, st.sampled_from(ZONES))
def test_hours_fill_their_day(instant: datetime, zone: ZoneInfo) -> None:
    day = window_at(Size.DAY, zone, instant)
    hours = list(windows(Size.HOUR, zone, day.from_at, day.to_at))

    assert (day.from_at, day.to_at) == (hours[0].from_at, hours[-1].to_at)
    assert all(one.to_at == other.from_at for one, other in pairwise(hours))


@pytest.mark.parametrize(("day", "n"), [(at(2027, 3, 28, 12), 23), (at(2027, 10, 31, 12), 25), (at(2027, 6, 1), 24)])
def test_a_day_of_a_clock_change_has_another_number_of_hours(day: datetime, n: int) -> None:
    whole = window_at(Size.DAY, BERLIN, day)

    assert timedelta(hours=n) == whole.to_at - whole.from_at
    assert n == len(list(windows(Size.HOUR, BERLIN, whole.from_at, whole.to_at)))


def test_an_hour_that_the_clock_cuts_short_is_short() -> None:
    """Lord Howe puts its clocks ahead by half an hour: from 02:00 to 02:30."""
    change = at(2026, 10, 3, 15, 30)

    assert Window(change - timedelta(hours=1), change) == window_at(Size.HOUR, HOWE, change - timedelta(minutes=5))
    assert Window(change, change + timedelta(minutes=30)) == window_at(Size.HOUR, HOWE, change)
    assert Window(change + timedelta(minutes=30), change + timedelta(minutes=90)) == window_at(
        Size.HOUR, HOWE, change + timedelta(minutes=45)
    )


def test_where_the_clock_goes_back_within_an_hour_both_halves_are_windows() -> None:
    """From 02:00 to 01:30: the hour from one o'clock ends as the clock goes back, and half of it comes again."""
    change = at(2027, 4, 3, 15, 0)

    assert Window(change - timedelta(hours=1), change) == window_at(Size.HOUR, HOWE, change - timedelta(minutes=5))
    assert Window(change, change + timedelta(minutes=30)) == window_at(Size.HOUR, HOWE, change + timedelta(minutes=1))


def test_a_change_a_minute_after_the_hour_leaves_a_minute() -> None:
    """St. John's put its clocks ahead at 00:01."""
    change = at(2010, 3, 14, 3, 31)

    assert Window(change - timedelta(minutes=1), change) == window_at(
        Size.HOUR, ZoneInfo("America/St_Johns"), change - timedelta(seconds=30)
    )
    assert Window(change, at(2010, 3, 14, 4, 30)) == window_at(Size.HOUR, ZoneInfo("America/St_Johns"), change)


def test_months_are_those_of_the_zone() -> None:
    found = list(windows(Size.MONTH, BERLIN, at(2026, 12, 31, 23, 30), at(2027, 3, 1)))

    assert [at(2026, 12, 31, 23), at(2027, 1, 31, 23), at(2027, 2, 28, 23)] == [one.from_at for one in found]
    assert at(2027, 3, 31, 22) == found[-1].to_at


def test_no_time_has_no_windows() -> None:
    assert [] == list(windows(Size.DAY, BERLIN, at(2027, 1, 1), at(2027, 1, 1)))
