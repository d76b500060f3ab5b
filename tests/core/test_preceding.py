"""The time before a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from heartfly.core.preceding import preceding
from heartfly.core.windows import Window

BERLIN = ZoneInfo("Europe/Berlin")
DAY = timedelta(days=1)


def test_of_a_time_that_has_not_begun_there_is_none() -> None:
    march = datetime(2026, 3, 1, tzinfo=UTC)
    assert preceding(Window(march, march + DAY), BERLIN, march) is None


def test_before_the_first_of_all_times_there_is_none() -> None:
    first = datetime.min.replace(tzinfo=UTC)
    assert preceding(Window(first + DAY, first + 3 * DAY), BERLIN, first + 9 * DAY) is None


def test_of_a_time_that_goes_on_as_much_of_the_former_one_as_has_passed() -> None:
    march = datetime(2026, 3, 10, 23, tzinfo=UTC)
    found = preceding(Window(march, march + DAY), BERLIN, march + timedelta(hours=6))
    assert Window(march - DAY, march - DAY + timedelta(hours=6)) == found
