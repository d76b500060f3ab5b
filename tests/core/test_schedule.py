"""Schedules: what parse takes, what next_after answers, what it remembers, and how zones are named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartfly.core.describe import describe, notices
from heartfly.core.oncalendar import Line
from heartfly.core.schedule import Cron, Dialect, Kind, OnCalendar, Period, Schedule, next_after, parse, upcoming
from heartfly.core.zones import is_zone, jumps, zone
from heartfly.errors import InvalidValueError

START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2027, 1, 1, tzinfo=UTC)


def cron(expression: str, place: str = "Europe/Berlin", dialect: Dialect = Dialect.CRON) -> Schedule:
    return parse(Kind.CRON, expression=expression, zone=place, dialect=dialect)


def oncalendar(expression: str, place: str = "Europe/Berlin") -> Schedule:
    return parse(Kind.ONCALENDAR, expression=expression, zone=place)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# --- periods


@pytest.mark.parametrize("seconds", [5, 60, 365 * 86_400])
def test_a_period_from_5_seconds_to_365_days_is_taken(seconds: int) -> None:
    assert Period(timedelta(seconds=seconds)) == parse(Kind.PERIOD, period=timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "period", [None, timedelta(0), timedelta(seconds=-60), timedelta(seconds=4.999), timedelta(days=365, seconds=1)]
)
def test_another_period_is_refused_by_name(period: timedelta | None) -> None:
    with pytest.raises(InvalidValueError) as caught:
        parse(Kind.PERIOD, period=period)
    assert caught.value.field == "schedule.period"


@pytest.mark.parametrize(
    ("asked_s", "expected_s"), [(0, 60), (59.999, 60), (60, 120), (61, 120), (6000, 6060), (-600, 60)]
)
def test_a_period_fires_at_multiples_from_its_anchor(asked_s: float, expected_s: int) -> None:
    found = next_after(Period(timedelta(minutes=1)), START + timedelta(seconds=asked_s), anchor=START)
    assert START + timedelta(seconds=expected_s) == found


def test_a_period_without_an_anchor_is_a_fault_of_the_caller() -> None:
    with pytest.raises(ValueError, match="anchor"):
        next_after(Period(timedelta(minutes=1)), START)


def test_a_period_answers_in_utc() -> None:
    anchor = START.astimezone(timezone(timedelta(hours=2)))
    assert UTC is next_after(Period(timedelta(minutes=1)), START, anchor=anchor).tzinfo  # type: ignore[union-attr]


# --- parse


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "Europe", "tzdata.zi", "a\x00b", "", "localtime", "Factory", "x" * 999]
)
@pytest.mark.parametrize("kind", [Kind.CRON, Kind.ONCALENDAR])
def test_what_is_no_time_zone_is_refused_by_name(kind: Kind, name: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        parse(kind, expression="@daily" if kind is Kind.CRON else "daily", zone=name)
    assert caught.value.field == "schedule.zone"
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("given", "canonical"),
    [("europe/berlin", "Europe/Berlin"), ("utc", "UTC"), ("Europe/Kiev", "Europe/Kiev"), ("us/EASTERN", "US/Eastern")],
)
def test_a_zone_is_stored_under_its_canonical_name(given: str, canonical: str) -> None:
    assert Cron("@daily", canonical, Dialect.CRON) == cron("@daily", given)


def test_every_zone_of_the_system_can_be_asked_for() -> None:
    names = available_timezones() - {"localtime", "Factory", "posixrules"}
    assert names == {zone(name).key for name in names}
    assert all(is_zone(name) for name in names)


def test_an_unknown_dialect_is_refused_by_name() -> None:
    with pytest.raises(InvalidValueError) as caught:
        parse(Kind.CRON, expression="@daily", zone="UTC", dialect="quartz")  # type: ignore[arg-type]
    assert caught.value.field == "schedule.dialect"


def test_the_expression_is_tidied() -> None:
    assert Cron("30 2 * * *", "UTC", Dialect.CRON) == cron("  30\t2 * *   * \n", "UTC")
    assert OnCalendar("Mon 09:00\n10:00", "UTC") == oncalendar("\r\n Mon   09:00\r\n\r\n10:00\n", "UTC")


def test_when_made_a_schedule_must_fire_within_eight_years() -> None:
    once = "2026-12-24 18:00"
    assert OnCalendar(once, "UTC") == parse(Kind.ONCALENDAR, expression=once, after=START)
    assert OnCalendar(once, "UTC") == parse(Kind.ONCALENDAR, expression=once)
    for after in (END, datetime(2018, 1, 1, tzinfo=UTC)):
        with pytest.raises(InvalidValueError, match="next eight years"):
            parse(Kind.ONCALENDAR, expression=once, after=after)


# --- next_after


@pytest.mark.parametrize(
    ("place", "dialect", "expression", "asked", "expected"),
    [
        ("Europe/Berlin", Dialect.CRON, "30 2 * * *", "2026-03-28T12:00", "2026-03-29T01:00"),
        ("Europe/Berlin", Dialect.SYSTEMD, "30 2 * * *", "2026-03-28T12:00", "2026-03-30T00:30"),
        ("Europe/Berlin", Dialect.KUBERNETES, "30 2 * * *", "2026-03-28T12:00", "2026-03-30T00:30"),
        ("Europe/Berlin", Dialect.CRON, "30 2 * * *", "2026-10-25T00:30", "2026-10-26T01:30"),
        ("Europe/Berlin", Dialect.SYSTEMD, "30 2 * * *", "2026-10-25T00:30", "2026-10-26T01:30"),
        ("Europe/Berlin", Dialect.KUBERNETES, "30 2 * * *", "2026-10-25T00:30", "2026-10-25T01:30"),
        ("Europe/Berlin", Dialect.CRON, "*/30 * * * *", "2026-10-25T00:30", "2026-10-25T01:00"),
        ("Europe/Berlin", Dialect.CRON, "*/30 2 * * *", "2026-10-25T00:45", "2026-10-25T01:00"),
        ("Europe/Berlin", Dialect.CRON, "*/30 2 * * *", "2026-10-25T01:00", "2026-10-25T01:30"),
        ("Europe/Berlin", Dialect.CRON, "*/15 2 * * *", "2026-03-28T12:00", "2026-03-30T00:00"),
        ("Europe/Berlin", Dialect.SYSTEMD, "*/30 * * * *", "2026-10-25T01:15", "2026-10-25T02:00"),
        ("Europe/Berlin", Dialect.CRON, "30 2 * * *", "2026-10-25T01:15", "2026-10-26T01:30"),
        ("Europe/Berlin", Dialect.KUBERNETES, "30 2 25 10 *", "2026-10-25T00:40", "2026-10-25T01:30"),
        ("Europe/Berlin", Dialect.KUBERNETES, "30 4 25 10 *", "2026-10-25T00:40", "2026-10-25T03:30"),
        ("Europe/Dublin", Dialect.CRON, "30 1 * * *", "2026-03-29T00:00", "2026-03-29T01:00"),
        ("Australia/Lord_Howe", Dialect.CRON, "15 2 * * *", "2026-10-03T12:00", "2026-10-03T15:30"),
        ("Australia/Lord_Howe", Dialect.CRON, "*/15 * * * *", "2026-04-04T14:45", "2026-04-04T15:00"),
        ("America/Havana", Dialect.CRON, "0 0 * * 0", "2026-03-07T12:00", "2026-03-08T05:00"),
        ("Asia/Beirut", Dialect.SYSTEMD, "0 0 * * 0", "2026-03-28T12:00", "2026-04-04T21:00"),
        ("America/Sao_Paulo", Dialect.CRON, "0 0 * * *", "2018-11-03T12:00", "2018-11-04T03:00"),
        ("Pacific/Apia", Dialect.CRON, "0 12 * * *", "2011-12-29T22:00", "2011-12-30T22:00"),
        ("Africa/Casablanca", Dialect.CRON, "30 2 * * *", "2026-02-14T12:00", "2026-02-15T01:30"),
    ],
)
def test_each_scheduler_has_its_way_where_clocks_jump(
    place: str, dialect: Dialect, expression: str, asked: str, expected: str
) -> None:
    assert utc(expected) == next_after(cron(expression, place, dialect), utc(asked))


def test_fractions_of_a_second_do_not_move_a_fire() -> None:
    schedule = cron("30 2 * * *", "UTC")
    fire = utc("2026-01-01T02:30")
    assert fire == next_after(schedule, fire - timedelta(microseconds=1))
    assert fire + timedelta(days=1) == next_after(schedule, fire)
    assert fire + timedelta(days=1) == next_after(schedule, fire + timedelta(microseconds=1))


def test_a_second_pass_with_fractions_of_a_second_is_understood() -> None:
    asked = utc("2026-10-25T01:15") + timedelta(microseconds=7)
    assert utc("2026-10-26T01:30") == next_after(cron("30 2 * * *"), asked)


def test_upcoming_stops_where_the_schedule_ends() -> None:
    assert [utc("2026-12-24T17:00")] == upcoming(oncalendar("2026-12-24 18:00"), START, 5)
    assert [START + timedelta(seconds=5 * n) for n in (1, 2, 3)] == upcoming(
        Period(timedelta(seconds=5)), START, 3, anchor=START
    )


SCHEDULES = st.sampled_from(
    [
        cron("30 2 * * *"),
        cron("*/7 1-3 * * *"),
        cron("*/20 * * * *", "Australia/Lord_Howe"),
        cron("0 0 * * 0", "Asia/Beirut", Dialect.KUBERNETES),
        cron("15 1-3 * * *", "America/New_York", Dialect.SYSTEMD),
        cron("* * * * *", "Africa/Casablanca", Dialect.KUBERNETES),
        oncalendar("Sun 02:30\n*:0/45 America/New_York"),
        oncalendar("*-10-25 *:*:0/20"),
    ]
)
INSTANTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)) | st.datetimes(
    datetime(2026, 10, 24, 22), datetime(2026, 10, 25, 4)
)


@settings(max_examples=300, deadline=None)
@given(schedule=SCHEDULES, asked=st.lists(INSTANTS, min_size=2, max_size=12))
def test_answers_are_later_ordered_and_the_same_in_any_order_of_questions(
    schedule: Schedule, asked: list[datetime]
) -> None:
    instants = [at.replace(tzinfo=UTC) for at in asked]
    answers = {at: next_after(schedule, at) for at in instants}
    assert all(answer is not None and answer > at for at, answer in answers.items())
    ordered = sorted(answers)
    for earlier, later in pairwise(ordered):
        first, second = answers[earlier], answers[later]
        assert first is not None
        assert second is not None
        assert first <= second
        assert first == second or first > later or first <= later < second
        assert (first > later) == (first == second)
    assert answers == {at: next_after(schedule, at) for at in reversed(ordered)}


# --- words


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (Period(timedelta(minutes=5)), "every 5 minutes"),
        (Period(timedelta(hours=1)), "every hour"),
        (Period(timedelta(minutes=90)), "every 1 hour 30 minutes"),
        (Period(timedelta(seconds=7.5)), "every 7.5 seconds"),
        (cron("30 2 * * *"), "At 02:30 (Europe/Berlin)"),
        (cron("*/5 * * * *", "UTC"), "Every 5 minutes (UTC)"),
        (cron("5-5 * * * *", "UTC"), "At 5 minutes past the hour (UTC)"),
        (cron("5,* * * * *", "UTC"), "Every minute (UTC)"),
        (cron("0 */70 * * *", "UTC"), "At 00:00 (UTC)"),
        (cron("0,*/20 3 * * *", "UTC"), "At 0, 20, and 40 minutes past the hour, at 03:00 (UTC)"),
        (cron("0 0 1 * 1", "UTC"), "At 00:00, on day 1 of the month, or on Monday (UTC)"),
        (cron("0 0 */2 * 1", "UTC"), "At 00:00, every 2 days, only on Monday (UTC)"),
        (cron("0 0 1 * 0-6", "UTC"), "At 00:00 (UTC)"),
        (cron("0 0 LW * *", "UTC"), "At 00:00, on the last weekday of the month (UTC)"),
        (cron("0 0 15,L * *", "UTC"), "At 00:00, on day 15 and the last of the month (UTC)"),
        (cron("0 0 * * MON#2", "UTC"), "At 00:00, on the second Monday of the month (UTC)"),
        (cron("0 0 * * 5L", "UTC"), "At 00:00, on the last Friday of the month (UTC)"),
        (oncalendar("Mon 09:00\n10:00 UTC"), "OnCalendar Mon 09:00; 10:00 UTC (Europe/Berlin)"),
    ],
)
def test_a_schedule_is_told_in_plain_words(schedule: Schedule, words: str) -> None:
    assert words == describe(schedule)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Period(timedelta(hours=1)), []),
        (cron("0 12 * * *"), []),
        (cron("*/5 * * * *"), []),
        (
            cron("30 2 * * *"),
            [
                "2026-03-29: 02:30 does not exist in Europe/Berlin; cron runs the job at 03:00, right after the gap",
                "2026-10-25: 02:30 comes twice in Europe/Berlin; cron runs the job the first time only",
            ],
        ),
        (
            cron("30 2 * * *", dialect=Dialect.KUBERNETES),
            [
                "2026-03-29: 02:30 does not exist in Europe/Berlin; Kubernetes does not run the job then",
                "2026-10-25: 02:30 comes twice in Europe/Berlin; Kubernetes runs the job both times",
            ],
        ),
        (
            cron("*/20 2 * * *"),
            [
                "2026-03-29: 3 times from 02:00 to 02:40 do not exist in Europe/Berlin; cron does not run the job then",
                "2026-10-25: 3 times from 02:00 to 02:40 come twice in Europe/Berlin; cron runs the job both times",
            ],
        ),
        (
            cron("*/30 * * * *", dialect=Dialect.SYSTEMD),
            ["2026-10-25: 02:00 and 02:30 come twice in Europe/Berlin; systemd runs the job the first time only"],
        ),
        (
            cron("0 * * * *", "Australia/Lord_Howe"),
            ["2026-10-04: 02:00 does not exist in Australia/Lord_Howe; cron does not run the job then"],
        ),
        (
            oncalendar("02:15:30\n01:30 Europe/London"),
            [
                "2026-03-29: 01:30 does not exist in Europe/London; systemd does not run the job then",
                "2026-03-29: 02:15:30 does not exist in Europe/Berlin; systemd does not run the job then",
                "2026-10-25: 01:30 comes twice in Europe/London; systemd runs the job the first time only",
                "2026-10-25: 02:15:30 comes twice in Europe/Berlin; systemd runs the job the first time only",
            ],
        ),
    ],
)
def test_clock_changes_are_announced_with_what_the_scheduler_does(schedule: Schedule, expected: list[str]) -> None:
    assert expected == notices(schedule, START, END)


def test_many_lines_of_every_second_are_announced_without_counting_every_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, walked = [], Line._next_wall

    def counted(line: Line, wall: datetime) -> datetime | None:
        asked.append(wall)
        return walked(line, wall)

    monkeypatch.setattr(Line, "_next_wall", counted)
    schedule = oncalendar("\n".join(["*:*:*"] * 42), "Antarctica/Troll")
    asked.clear()  # reading asks as well
    told = "more than 1,000 times from 01:00:00 on come twice in Antarctica/Troll"
    assert [f"2026-10-25: {told}; systemd runs the job the first time only"] == notices(schedule, START, END)
    assert 1_001 <= len(asked) <= 1_010


def test_a_skipped_day_is_announced() -> None:
    found = notices(cron("0 12 * * *", "Pacific/Apia"), utc("2011-12-01"), utc("2012-01-15"))
    assert ["2011-12-30: 12:00 does not exist in Pacific/Apia; cron does not run the job then"] == found


def test_jumps_are_found_to_the_second() -> None:
    found = list(jumps(ZoneInfo("Europe/Berlin"), START + timedelta(seconds=0.5), END))
    assert [utc("2026-03-29T01:00"), utc("2026-10-25T01:00")] == [jump.at for jump in found]
    assert [timedelta(hours=1), timedelta(hours=-1)] == [jump.forward for jump in found]
