"""What the past of a job suggests: its schedule, how late it may come, how long it may take."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from heartfly.core.learned import LEAST_RUNS, Fit, Ran, Suggestion, learn, matched, split, usual
from heartfly.core.schedule import Cron, Dialect, OnCalendar, Period, Schedule, next_after

S, MINUTE, HOUR, DAY = (timedelta(seconds=n) for n in (1, 60, 3600, 86_400))
BEGIN = datetime(2026, 1, 5, 12, tzinfo=UTC)  # a Monday
DAILY = Period(DAY)


def cron(text: str, zone: str = "UTC") -> Cron:
    return Cron(text, zone, Dialect.CRON)


def times(schedule: Schedule, days: int) -> Iterable[datetime]:
    at = next_after(schedule, BEGIN, anchor=BEGIN)
    while at is not None and at < BEGIN + days * DAY:
        yield at
        at = next_after(schedule, at, anchor=BEGIN)


def ran(schedule: Schedule, days: int = 70, *, took: timedelta = 5 * MINUTE, jitter: timedelta = 20 * S) -> list[Ran]:
    chance = random.Random(7)
    begun = [at + chance.random() * jitter for at in times(schedule, days)]
    return [Ran(at, at + took, took) for at in begun]


def told(runs: Sequence[Ran], present: Schedule = DAILY, *zones: str) -> Suggestion:
    found = learn(runs, present, zones=zones or ("UTC",))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("0 3 * * *", 70),
        ("17 23 * * 1-5", 70),
        ("30 6 * * 0,6", 70),
        ("0 8 * * 1", 100),
        ("5 * * * *", 5),
        ("7-59/20 * * * *", 3),
        ("*/5 * * * *", 1),
        ("* * * * *", 1),
        ("15 */6 * * *", 20),
        ("15 1-23/4 * * *", 20),
        ("30 4 1 * *", 500),
        ("0 3 1,15 * *", 400),
        ("0 23 28 * *", 500),
        ("10 6 2 1,4,7,10 *", 1300),
        ("0 5 1 3,9 *", 2400),
    ],
)
def test_the_expression_by_which_a_job_runs_is_found_again(text: str, days: int) -> None:
    runs = ran(cron(text), days, jitter=5 * S)
    found = told(runs)

    assert found.fit == Fit(cron(text), len(runs), len(runs), 0)


def test_a_job_that_waits_up_to_an_hour_by_chance_is_told_by_its_earliest_minute() -> None:
    found = told(ran(cron("0 3 * * *"), jitter=HOUR))

    assert isinstance(found.schedule, Cron)
    minute, hour, *rest = found.schedule.expression.split()
    assert ("3", ["*", "*", "*"]) == (hour, rest)
    assert 5 >= int(minute)


def test_of_two_zones_the_one_is_told_whose_clock_the_job_keeps_over_a_clock_change() -> None:
    runs = ran(cron("30 4 * * *", "Europe/Berlin"), 120)

    assert cron("30 4 * * *", "Europe/Berlin") == told(runs, DAILY, "UTC", "Europe/Berlin").schedule


def test_what_runs_so_long_after_its_last_end_has_a_period() -> None:
    runs, at = [], BEGIN
    for n in range(60):
        runs.append(Ran(at, at + 3 * MINUTE, 3 * MINUTE))
        at += 47 * MINUTE + (n % 3) * 20 * S

    found = told(runs, cron("0 3 * * *"))
    assert Period(47 * MINUTE) == found.schedule
    assert MINUTE == found.grace


def test_a_rule_that_suits_as_well_stays() -> None:
    for present in (cron("0 3 * * *"), OnCalendar("03:00", "UTC"), Cron("0 3 * * *", "UTC", Dialect.SYSTEMD)):
        found = told(ran(cron("0 3 * * *")), present)
        assert (None, present, True) == (found.fit, found.schedule, found.present.is_good)


def test_what_has_no_time_of_its_own_and_no_distance_is_told_no_schedule() -> None:
    chance = random.Random(3)
    runs, at = [], BEGIN
    for _ in range(80):
        at += chance.uniform(0.1, 30) * HOUR
        runs.append(Ran(at, at + MINUTE, MINUTE))

    found = told(runs, cron("0 3 * * *"))
    assert (None, False) == (found.fit, found.present.is_good)


def test_a_fault_in_twenty_changes_no_schedule() -> None:
    runs = ran(cron("0 3 * * *"))
    runs[10] = Ran(runs[10].began_at + 5 * HOUR, runs[10].ended_at + 5 * HOUR, 5 * MINUTE)
    del runs[30:34]

    found = told(runs)
    assert cron("0 3 * * *") == found.schedule
    assert 4 <= found.present.n_off or found.fit is not None
    assert found.grace is not None
    assert 2 * MINUTE > found.grace


def test_few_runs_suggest_nothing_and_some_only_a_schedule() -> None:
    runs = ran(cron("0 3 * * *"))

    assert learn(runs[: LEAST_RUNS - 1], DAILY, zones=["UTC"]) is None
    found = told(runs[:LEAST_RUNS])
    assert (cron("0 3 * * *"), None, None) == (found.schedule, found.grace, found.max_run)


def test_a_limit_leaves_a_fifth_above_what_is_usual_and_a_stray_run_is_none_of_it() -> None:
    runs = ran(cron("0 3 * * *"), took=30 * S)
    runs[20] = Ran(runs[20].began_at, runs[20].began_at + 60 * MINUTE, 60 * MINUTE)

    assert 36 * S == told(runs).max_run


def test_without_starts_the_grace_covers_the_end() -> None:
    runs = [Ran(run.ended_at + 25 * MINUTE, run.ended_at + 25 * MINUTE) for run in ran(cron("0 3 * * *"))]

    found = told(runs, cron("0 3 * * *"))
    assert (None, None, 37 * MINUTE) == (found.fit, found.max_run, found.grace)


def test_with_starts_a_run_that_begins_in_time_may_be_longer_than_the_grace() -> None:
    found = told(ran(cron("0 3 * * *"), took=50 * MINUTE), cron("0 3 * * *"))

    assert (MINUTE, 60 * MINUTE) == (found.grace, found.max_run)


def test_many_values_that_are_far_out_are_usual() -> None:
    values = [10 * S] * 90 + [900 * S] * 10
    assert values == usual(values)
    assert [10 * S] * 30 == usual([*([10 * S] * 30), 900 * S])
    assert [] == usual([])


def test_the_second_run_for_one_time_is_beside_the_schedule() -> None:
    runs = sorted([*ran(cron("0 3 * * *")), *ran(cron("30 3 * * *"))], key=lambda run: run.began_at)
    found = matched(runs, cron("0 3 * * *"))

    assert (70, 70, 70, False) == (found.n_times, found.n_hit, found.n_beside, found.is_good)


def test_a_calendar_that_two_of_nine_times_have_no_run_of_is_not_told() -> None:
    runs = [run for n, run in enumerate(ran(cron("0 3 * * *"))) if n % 9 < 7]
    assert told(runs, cron("0 3 * * *")).fit is None


def test_two_runs_in_one_hour_of_each_day_have_no_expression_that_is_told() -> None:
    runs = sorted([*ran(cron("0 3 * * *")), *ran(cron("30 3 * * *"))], key=lambda run: run.began_at)
    assert told(runs, cron("0 3 * * *")).fit is None


def test_a_schedule_that_fires_far_more_often_suits_badly() -> None:
    found = matched(ran(cron("0 3 * * *")), cron("* * * * *"))
    assert (0, False) == (found.n_hit, found.is_good)


def test_a_period_is_missed_by_what_comes_late_and_beside_it_is_what_comes_early() -> None:
    at = [BEGIN + n * HOUR for n in (0, 1, 2, 4, 4.5, 5.5)]
    found = matched([Ran(one, one) for one in at], Period(HOUR))

    assert Fit(Period(HOUR), 4, 3, 1) == found


def test_four_fifths_are_learned_from() -> None:
    assert [0, 8, 79] == [split([Ran(BEGIN, BEGIN)] * n) for n in (1, 10, 99)]


def test_a_time_of_day_is_that_of_the_zone() -> None:
    runs = ran(cron("0 3 * * *", "Asia/Tokyo"))
    found = told(runs, DAILY, "Asia/Tokyo")

    assert cron("0 3 * * *", "Asia/Tokyo") == found.schedule
    assert 3 == runs[0].began_at.astimezone(ZoneInfo("Asia/Tokyo")).hour
