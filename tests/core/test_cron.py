"""Cron expressions: what is read, what is refused and why, and which day rule holds."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from heartfly.core import cron, schedule
from heartfly.core.describe import describe
from heartfly.core.schedule import Dialect, Kind, next_after, parse, upcoming
from heartfly.errors import InvalidValueError
from tests.core.cron_oracle import Spec, Walk

START = datetime(2026, 1, 1, tzinfo=UTC)


def fires(expression: str, count: int = 4, *, dialect: Dialect = Dialect.CRON, after: datetime = START) -> list[str]:
    job = parse(Kind.CRON, expression=expression, zone="UTC", dialect=dialect)
    return [f"{at:%m-%d %H:%M}" for at in upcoming(job, after, count)]


def refusal(expression: str, dialect: Dialect = Dialect.CRON) -> str:
    with pytest.raises(InvalidValueError) as caught:
        parse(Kind.CRON, expression=expression, zone="UTC", dialect=dialect)
    assert caught.value.field == "schedule.expression"
    return caught.value.message


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 5-5 * * *", ["01-01 05:00", "01-02 05:00"]),
        ("5,* * * * *", ["01-01 00:01", "01-01 00:02"]),
        ("7/20 1 * * *", ["01-01 01:07", "01-01 01:27"]),
        ("*/70 * * * *", ["01-01 01:00", "01-01 02:00"]),
        ("007 1 * * *", ["01-01 01:07", "01-02 01:07"]),
        ("0 0 * FEB sun", ["02-01 00:00", "02-08 00:00"]),
        ("0 0 * * 7", ["01-04 00:00", "01-11 00:00"]),
        ("0 0 * * 5-7", ["01-02 00:00", "01-03 00:00"]),
        ("0 0 L * *", ["01-31 00:00", "02-28 00:00"]),
        ("0 0 15,L 2 *", ["02-15 00:00", "02-28 00:00"]),
        ("0 0 LW * *", ["01-30 00:00", "02-27 00:00"]),
        ("0 0 * * 5L", ["01-30 00:00", "02-27 00:00"]),
        ("0 0 * * MON#2", ["01-12 00:00", "02-09 00:00"]),
        ("0 0 * * 7#1,5L", ["01-04 00:00", "01-30 00:00"]),
        ("0 0 29 2 *", ["02-29 00:00", "02-29 00:00"]),
        ("@hourly", ["01-01 01:00", "01-01 02:00"]),
        ("@Midnight", ["01-02 00:00", "01-03 00:00"]),
        ("@weekly", ["01-04 00:00", "01-11 00:00"]),
        ("@monthly", ["02-01 00:00", "03-01 00:00"]),
        ("@annually", ["01-01 00:00", "01-01 00:00"]),
        (" 30\t2  * * * ", ["01-01 02:30", "01-02 02:30"]),
    ],
)
def test_an_expression_is_read_as_its_scheduler_reads_it(expression: str, expected: list[str]) -> None:
    assert expected == fires(expression, 2)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "needed"),
        ("   ", "needed"),
        ("* * * *", "five fields .* not 4"),
        ("0 * * * * *", "6 fields"),
        ("30 2 * * * root /bin/true", "five fields .* not 7"),
        ("@reboot", "names no times on the clock"),
        ("@every 5m", "names no times on the clock"),
        ("60 * * * *", "minute: '60' is not between 0 and 59"),
        ("* 24 * * *", "hour: '24'"),
        ("* * 0 * *", "day-of-month: '0'"),
        ("* * * 13 *", "month: '13'"),
        ("* * * * 8", "day-of-week: '8'"),
        ("* * * FOO *", "month: 'FOO'"),
        ("JAN * * * *", "minute: 'JAN'"),
        ("22-2 * * * *", "minute: the range 22-2 runs backwards"),
        ("0 0 * * SAT-SUN", "day-of-week: the range SAT-SUN runs backwards"),
        ("5-5/2 * * * *", "minute: schedulers read '5-5/2' differently; write 5"),
        ("0 0 * * 1/2", "day-of-week: schedulers read '1/2' differently"),
        ("*/0 * * * *", "minute: a step of 0"),
        ("0 0 ? * *", r"write \* instead of \?"),
        ("*-5 * * * *", "cannot read"),
        ("1-5-7 * * * *", "cannot read"),
        ("1,,2 * * * *", "cannot read ''"),
        ("+5 * * * *", "cannot read"),
        ("0~10 * * * *", "cannot read"),
        ("0 0 15W * *", "cannot read"),
        ("0 0 1,LW * *", "LW stands alone"),
        ("0 0 * * 5L,1", "cannot share a list"),
        ("0 0 * * 5#6", "cannot read"),
        ("0 0 * * FOO#1", "'FOO' is not"),
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        ("0 0 31 2 */2", "never fires"),
        ("0 0 LW * */6", "never on a weekend"),
        ("0 0 29 2 */2#5", "cannot read"),
        ("5\u00a0* * * * *", "ASCII"),
        ("5\x00 * * * *", "ASCII"),
        ("0 0 * * *\n0 1 * * *", "five fields"),
        ("*" * 257, "longer than 256"),
    ],
)
def test_a_bad_expression_is_refused_with_the_reason(expression: str, reason: str) -> None:
    assert re.search(reason, refusal(expression))


@pytest.mark.parametrize("expression", ["0 0 L * *", "0 0 LW * *", "0 0 * * 5L", "0 0 * * MON#1", "0 0 * * 7"])
def test_kubernetes_refuses_what_robfig_cron_does_not_know(expression: str) -> None:
    assert "day-of" in refusal(expression, Dialect.KUBERNETES)


def test_a_star_that_never_meets_its_other_day_within_eight_years_is_refused() -> None:
    # A leap day is a Sunday in 2032; the 5th Thursday of a February comes only in 2024 and 2052.
    assert ["02-29 00:00"] == fires("0 0 29 2 */7", 1)
    assert "eight years" in refusal("0 0 */28 2 4#5")


@pytest.mark.parametrize(
    ("days", "dialect", "both"),
    [
        ("1 * 1", Dialect.CRON, False),
        ("* * 1", Dialect.CRON, True),
        ("*/2 * 1", Dialect.CRON, True),
        ("*/2 * 1", Dialect.SYSTEMD, True),
        ("*/2 * 1", Dialect.KUBERNETES, False),
        ("*/1 * 1", Dialect.KUBERNETES, True),
        ("5,* * 1", Dialect.CRON, False),
        ("5,* * 1", Dialect.KUBERNETES, True),
        ("*,5 * 1", Dialect.CRON, True),
        ("1-31 * 1", Dialect.CRON, False),
    ],
)
def test_both_days_must_match_when_a_star_says_so(days: str, dialect: Dialect, both: bool) -> None:  # noqa: FBT001 - a column
    assert both is cron.read(f"0 0 {days}", dialect).both_days


def test_either_day_is_enough_without_a_star() -> None:
    assert ["01-05 00:00", "01-12 00:00", "01-15 00:00", "01-19 00:00"] == fires("0 0 15 * 1")
    assert ["01-02 00:00", "01-03 00:00"] == fires("0 0 1-31 * 1", 2)
    assert ["01-02 00:00", "01-03 00:00"] == fires("0 0 15 * 0-6", 2)
    assert ["02-02 00:00", "02-09 00:00", "02-16 00:00", "02-23 00:00"] == fires("0 0 30 2 1")
    assert ["01-01 00:01", "01-01 00:02"] == fires("* * 5,* * 1", 2)


def test_leap_days_wait_eight_years_across_2100() -> None:
    job = parse(Kind.CRON, expression="0 0 29 2 *", zone="UTC")
    assert datetime(2104, 2, 29, tzinfo=UTC) == next_after(job, datetime(2096, 3, 1, tzinfo=UTC))


@st.composite
def field(draw: st.DrawFn, low: int, high: int) -> str:
    """A list of stars, numbers, ranges and steps that every scheduler reads alike."""
    items = []
    for _ in range(draw(st.integers(1, 3))):
        first, last = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))
        step = draw(st.sampled_from(["", "", "/1", "/2", "/3", "/7"]))
        forms = ["*" + step, str(first), f"{first}-{last}" + (step if first < last else "")]
        items.append(draw(st.sampled_from(forms)))
    return ",".join(items)


expressions = st.builds(
    "{} {} {} {} {}".format, field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7)
) | st.builds(
    "{} {} {}".format, field(0, 59), field(0, 23), st.sampled_from(["L * *", "LW * *", "* * 3L", "*/2 * 5#2"])
)
ZONES = ("UTC", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu")
STARTS = st.sampled_from([datetime(2026, month, day, 3, tzinfo=UTC) for month in (2, 3, 10, 11) for day in (1, 7, 28)])


@settings(max_examples=150, deadline=None)
@given(expression=expressions, zone=st.sampled_from(ZONES), start=STARTS, dialect=st.sampled_from(Dialect))
@example("*/30 2 * * *", "Europe/Berlin", datetime(2026, 10, 24, 12, tzinfo=UTC), Dialect.CRON)
def test_random_expressions_fire_as_acted_out(expression: str, zone: str, start: datetime, dialect: Dialect) -> None:
    try:
        job = parse(Kind.CRON, expression=expression, zone=zone, dialect=dialect)
    except InvalidValueError as error:
        assert "never" in error.message or "eight years" in error.message or dialect is Dialect.KUBERNETES  # noqa: PT017 - either is right
        return
    end = start + timedelta(days=2)
    walk = Walk.through(ZoneInfo(zone), start, end)
    spec = Spec(expression, kubernetes=dialect is Dialect.KUBERNETES)
    acted = {Dialect.CRON: walk.debian, Dialect.SYSTEMD: walk.systemd, Dialect.KUBERNETES: walk.kubernetes}[dialect]
    expected = acted(spec)[:40]
    ours = upcoming(job, start - timedelta(seconds=1), len(expected) + 1)
    assert expected == ours[: len(expected)]
    assert len(expected) == 40 or ours[-1] >= end
    assert describe(job)


GARBAGE = st.text(st.sampled_from("0123456789*,-/#LW?@ \tMONJANSUNFEB~x\x00é"), max_size=60) | st.text(max_size=300)


@settings(max_examples=400, deadline=None)
@given(text=GARBAGE, dialect=st.sampled_from(Dialect))
@example("0 0 30 2 *", Dialect.CRON)
@example("* * 31 2,4 */7", Dialect.CRON)
@example(",".join(["0-59"] * 40) + " * * * *", Dialect.CRON)
def test_garbage_is_refused_by_name_and_fast(text: str, dialect: Dialect) -> None:
    took = []
    for _ in range(3):
        schedule._remembered.cache_clear()
        began = time.process_time()
        try:
            parse(Kind.CRON, expression=text, zone="UTC", dialect=dialect)
        except InvalidValueError as error:
            assert error.field == "schedule.expression"  # noqa: PT017 - good text is fine too
        took.append(time.process_time() - began)
    assert min(took) < 0.005


def test_a_leap_sunday_is_found_28_years_ahead() -> None:
    times = cron.read("0 0 29 2 */7", Dialect.CRON)
    assert datetime(2060, 2, 29) == times.next_wall(datetime(2033, 1, 1))
