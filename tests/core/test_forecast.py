"""What a period will come to: from days like those ahead, with a range, and not from too few of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from heartfly.core.forecast import LEAST_DAYS, Forecast, forecast
from heartfly.core.preceding import preceding
from heartfly.core.windows import Window

FIRST = date(2026, 11, 2)
"""A Monday."""
DAY = timedelta(days=1)
BERLIN, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")


def days(*amounts: int) -> dict[date, int]:
    return {FIRST + n * DAY: amount for n, amount in enumerate(amounts)}


def test_the_same_each_week_goes_on_like_that() -> None:
    known = days(*[10, 20, 30, 40, 50, 0, 0] * 3)
    ahead = [FIRST + n * DAY for n in range(22, 28)]
    found = forecast(known, so_far=400, today=(FIRST + 21 * DAY, 4), ahead=ahead)
    assert found is not None
    assert (400 + 6 + 140, 21) == (found.expected, found.n_days)


def test_without_a_day_of_difference_there_is_no_range() -> None:
    found = forecast(days(*[7] * 21), so_far=70, today=None, ahead=[FIRST + 21 * DAY])
    assert Forecast(77, 77, 77, 21) == found


def test_the_range_grows_with_what_was_wrong_and_with_the_root_of_the_days() -> None:
    known = days(*[100, 120] * 14)
    of_one, of_four = (
        forecast(known, so_far=0, today=None, ahead=[FIRST + n * DAY for n in range(28, 28 + many)]) for many in (1, 4)
    )
    assert of_one is not None
    assert of_four is not None
    widths = [one.high - one.expected for one in (of_one, of_four)]
    assert 0 < widths[0]
    assert abs(widths[1] - 2 * widths[0]) <= 2


def test_it_is_never_less_than_what_there_is() -> None:
    found = forecast(days(*[0, 1_000] * 14), so_far=5_000, today=(FIRST + 28 * DAY, 9_000), ahead=[])
    assert found is not None
    assert (5_000, 5_000) == (found.low, found.expected)


@pytest.mark.parametrize("n", [0, 1, LEAST_DAYS - 1])
def test_of_too_few_days_there_is_none(n: int) -> None:
    assert forecast(days(*[5] * n), so_far=3, today=None, ahead=[FIRST + 40 * DAY]) is None


def at(year: int, month: int, day: int, hour: int = 0, *, zone: ZoneInfo = UTC_ZONE) -> datetime:
    return datetime(year, month, day, hour, tzinfo=zone).astimezone(UTC)


@pytest.mark.parametrize(
    ("window", "zone", "now", "before"),
    [
        # months
        ((at(2026, 3, 1), at(2026, 4, 1)), UTC_ZONE, at(2026, 5, 1), (at(2026, 2, 1), at(2026, 3, 1))),
        ((at(2026, 1, 1), at(2026, 4, 1)), UTC_ZONE, at(2026, 5, 1), (at(2025, 10, 1), at(2026, 1, 1))),
        # days, over a change of the clock
        (
            (at(2026, 3, 29, zone=BERLIN), at(2026, 3, 31, zone=BERLIN)),
            BERLIN,
            at(2026, 5, 1),
            (at(2026, 3, 27, zone=BERLIN), at(2026, 3, 29, zone=BERLIN)),
        ),
        # as long
        ((at(2026, 3, 2, 5), at(2026, 3, 2, 8)), UTC_ZONE, at(2026, 5, 1), (at(2026, 3, 2, 2), at(2026, 3, 2, 5))),
        # as much as has passed
        ((at(2026, 3, 1), at(2026, 4, 1)), UTC_ZONE, at(2026, 3, 11), (at(2026, 2, 1), at(2026, 2, 11))),
        # a longer month than the one before
        ((at(2026, 3, 1), at(2026, 4, 1)), UTC_ZONE, at(2026, 3, 31), (at(2026, 2, 1), at(2026, 3, 1))),
        # not begun
        ((at(2026, 3, 1), at(2026, 4, 1)), UTC_ZONE, at(2026, 3, 1), None),
    ],
)
def test_the_time_before(
    window: tuple[datetime, datetime], zone: ZoneInfo, now: datetime, before: tuple[datetime, datetime] | None
) -> None:
    assert (None if before is None else Window(*before)) == preceding(Window(*window), zone, now)
