"""OnCalendar: lines, zones of their own, clock changes, and what is refused."""

from __future__ import annotations

import re
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from heartfly.core import schedule
from heartfly.core.oncalendar import read
from heartfly.core.schedule import Kind, Schedule, next_after, parse, upcoming
from heartfly.errors import InvalidValueError
from tests.core.cron_oracle import ONCE, Spec, Walk, jumps

START = datetime(2026, 1, 1, tzinfo=UTC)


def oncalendar(expression: str, place: str = "UTC") -> Schedule:
    return parse(Kind.ONCALENDAR, expression=expression, zone=place)


def fires(expression: str, count: int = 3, place: str = "UTC", after: datetime = START) -> list[str]:
    return [f"{at:%m-%d %H:%M:%S}" for at in upcoming(oncalendar(expression, place), after, count)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("daily", ["01-02 00:00:00", "01-03 00:00:00"]),
        ("Mon..Fri 09:00", ["01-01 09:00:00", "01-02 09:00:00"]),
        ("*:0/40", ["01-01 00:40:00", "01-01 01:00:00"]),
        ("*:*:0/20", ["01-01 00:00:20", "01-01 00:00:40"]),
        ("*-*~1 12:00", ["01-31 12:00:00", "02-28 12:00:00"]),
        ("*-02-29", ["02-29 00:00:00", "02-29 00:00:00"]),
        ("12:00 Europe/Berlin", ["01-01 11:00:00", "01-02 11:00:00"]),
        ("12:00 europe/berlin", ["01-01 11:00:00", "01-02 11:00:00"]),
        ("12:00 Europe/Berlin\n11:30", ["01-01 11:00:00", "01-01 11:30:00"]),
        ("2026-05-01 08:00\n2026-03-01 08:00", ["03-01 08:00:00", "05-01 08:00:00"]),
        ("11:00\n12:00 Europe/Berlin", ["01-01 11:00:00", "01-02 11:00:00"]),
    ],
)
def test_the_earliest_of_all_lines_is_next(expression: str, expected: list[str]) -> None:
    assert expected == fires(expression, 2)


def test_the_default_zone_holds_for_lines_without_one() -> None:
    assert ["01-01 08:00:00", "01-01 09:00:00"] == fires("09:00\n09:00 UTC", 2, "Europe/Berlin")


def test_a_date_of_the_past_is_read_and_never_fires_again() -> None:
    once = oncalendar("2020-05-01 08:00")
    assert next_after(once, START) is None
    assert datetime(2020, 5, 1, 8, tzinfo=UTC) == next_after(once, datetime(2020, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "needed"),
        ("\n \n", "needed"),
        ("nonsense", "cannot read 'nonsense'"),
        ("09:00\nnonsense", "cannot read 'nonsense'"),
        ("25:00", "bad hour"),
        ("Fri..Mon 09:00", "bad day-of-week"),
        ("09:00 Mars/Base", "cannot read"),
        ("09:00 ../../etc/passwd", "cannot read"),
        ("Europe/Berlin", "cannot read"),
        ("*-02-30", "'\\*-02-30' never fires"),
        ("daily\n*-04-31 UTC", "'\\*-04-31 UTC' never fires"),
        ("Mon 2027-01-01", "never fires"),
        ("2027-02-29", "never fires"),
        ("Mon *-02-29", "within eight years"),
        ("09:00\u00a0UTC", "ASCII"),
        ("daily\n" * 50, "longer than 256"),
    ],
)
def test_a_bad_line_is_refused_with_the_reason(expression: str, reason: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        oncalendar(expression)
    assert caught.value.field == "schedule.expression"
    assert re.search(reason, caught.value.message)


# The same times written for cron, which the acted-out systemd reads.
PAIRS = {
    "02:30": "30 2 * * *",
    "00:00": "0 0 * * *",
    "*:0/30": "0-59/30 * * * *",
    "*:*": "* * * * *",
    "01..03:15": "15 1-3 * * *",
    "Sun 00:30": "30 0 * * 0",
}


@pytest.mark.parametrize(
    "place", ["Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "Asia/Beirut", "Africa/Cairo"]
)
@pytest.mark.parametrize("expression", PAIRS)
def test_clock_changes_are_met_as_systemd_does(expression: str, place: str) -> None:
    changes = jumps(ZoneInfo(place), START, datetime(2027, 1, 1, tzinfo=UTC))
    for jump in changes:
        start, end = jump - timedelta(hours=26), jump + timedelta(hours=26)
        expected = Walk.through(ZoneInfo(place), start, end).fires(Spec(PAIRS[expression]), ONCE)
        assert expected == upcoming(oncalendar(expression, place), start - timedelta(seconds=1), len(expected))
    assert len(changes) == 2


def test_in_the_repeated_hour_the_answer_is_still_later() -> None:
    # The library alone answers 00:15 UTC here, three quarters of an hour before the question.
    asked = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    assert datetime(2026, 10, 25, 2, 0, tzinfo=UTC) == next_after(oncalendar("*:0/5", "Europe/Berlin"), asked)


GARBAGE = st.text(st.sampled_from("0123456789*-~:/., \nMonFriUTCdaily"), max_size=60) | st.text(max_size=300)


@settings(max_examples=400, deadline=None)
@given(text=GARBAGE)
@example("*-02-30")
@example("Mon *-*-31/31 *:*:*")
@example("~" * 200)
@example("2199-12-31 23:59:59")
def test_garbage_is_refused_by_name_and_fast(text: str) -> None:
    took = []
    for _ in range(3):
        schedule._remembered.cache_clear()
        began = time.process_time()
        try:
            oncalendar(text)
        except InvalidValueError as error:
            assert error.field == "schedule.expression"  # noqa: PT017 - good text is fine too
        took.append(time.process_time() - began)
    assert min(took) < 0.005


def test_a_line_takes_little_memory_whatever_years_and_minutes_it_goes_through() -> None:
    read("*-*-* 00:00", "UTC")
    tracemalloc.start()
    try:
        kept = [read(f"*-*-{1 + n % 28} {n % 24}:{n % 60}", "UTC") for n in range(300)]
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 300 == len(kept)
    assert used / len(kept) < 4_000
