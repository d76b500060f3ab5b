"""When silences are in force, whom they cover, and what becomes of what they held."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.silence import (
    NOT_BEGUN,
    OVER,
    SUPERSEDED,
    TOLD,
    Effect,
    Part,
    Recurrence,
    Scope,
    Silence,
    SilenceKind,
    Span,
    Subject,
    Waiting,
    held,
    settled,
    settling,
)
from heartfly.core.words import Severity

DAY = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
BEGIN, END, FACT = Part.BEGIN, Part.END, Part.FACT


def at(text: str) -> datetime:
    hours, minutes = text.split(":")
    return DAY + timedelta(hours=int(hours), minutes=int(minutes))


def silence(kind: str = "maintenance", scope: str = "project", **rest: Any) -> Silence:
    values: dict[str, Any] = {"from_at": at("02:00"), "to_at": at("04:00"), "targets": frozenset()} | rest
    return Silence(id=1, uuid="s", kind=SilenceKind(kind), effect=Effect.HOLD, scope=Scope(scope), **values)


def nightly(cron: str = "0 2 * * *", *, lasts: timedelta = HOUR, zone: str = "UTC", by_wall: bool = False) -> Silence:
    recurs = Recurrence(cron, zone, lasts, by_wall=by_wall)
    return silence(from_at=DAY, to_at=None, recurs=recurs)


def about(part: Part = BEGIN, **rest: Any) -> Subject:
    values: dict[str, Any] = {"severity": Severity.HIGH, "channel": "c", "check": "k", "tags": ("db",)} | rest
    return Subject(part=part, **values)


# --- when


@pytest.mark.parametrize(
    ("time", "is_in_force"), [("01:59", False), ("02:00", True), ("03:59", True), ("04:00", False), ("05:00", False)]
)
def test_a_single_one_is_in_force_from_its_beginning_and_no_longer_at_its_end(time: str, *, is_in_force: bool) -> None:
    assert is_in_force == (silence().span_at(at(time)) is not None)


@pytest.mark.parametrize(
    ("time", "is_in_force"), [("01:59", False), ("02:00", True), ("02:59", True), ("03:00", False), ("26:30", True)]
)
def test_one_that_comes_again_is_in_force_each_time(time: str, *, is_in_force: bool) -> None:
    assert is_in_force == (nightly().span_at(at(time)) is not None)


def test_times_that_meet_or_overlap_are_one() -> None:
    hourly = nightly("0 * * * *", lasts=timedelta(minutes=90))
    span = hourly.span_at(at("05:30"))
    assert span is not None
    assert span.from_at <= at("05:00")
    assert at("09:00") < span.to_at


def test_a_time_that_began_before_the_silence_was_made_counts_from_then_on() -> None:
    late = silence(from_at=at("02:30"), to_at=None, recurs=Recurrence("0 2 * * *", "UTC", HOUR))
    assert [None, Span(at("02:30"), at("03:00"))] == [late.span_at(at("02:15")), late.span_at(at("02:45"))]


def test_an_end_cuts_the_last_time_short() -> None:
    ends = silence(from_at=DAY, to_at=at("02:30"), recurs=Recurrence("0 2 * * *", "UTC", HOUR))
    assert [Span(at("02:00"), at("02:30"))] == [*ends.spans(DAY, at("72:00"))]


def test_a_night_ends_by_the_clock_on_the_wall_though_clocks_are_set_forward_in_it() -> None:
    night = Recurrence("0 22 * * *", "Europe/Berlin", 9 * HOUR, by_wall=True)
    begin = datetime(2026, 3, 28, 21, tzinfo=UTC)  # 22:00 in winter, the night to summer time
    assert datetime(2026, 3, 29, 5, tzinfo=UTC) == night.end_of(begin)  # 07:00 in summer
    assert 9 * HOUR == Recurrence("0 22 * * *", "Europe/Berlin", 9 * HOUR).end_of(begin) - begin


def test_the_next_time_is_found_however_far_it_is() -> None:
    yearly = nightly("0 2 29 2 *")
    found = yearly.first_after(DAY)
    assert found is not None
    assert datetime(2028, 2, 29, 2, tzinfo=UTC) == found.from_at
    assert None is silence().first_after(at("03:00"))


@pytest.mark.parametrize(
    ("cron", "lasts", "is_too_often"),
    [
        ("*/30 * * * *", HOUR, False),
        ("0 22 * * 1-5", timedelta(days=31), False),
        ("*/5 * * * *", HOUR, True),
        ("* * 1-15 * *", HOUR, True),
        ("*/30 * * * *", timedelta(days=2), True),
    ],
)
def test_what_begins_so_often_that_each_look_would_take_long_is_known(
    cron: str, lasts: timedelta, *, is_too_often: bool
) -> None:
    """Also late on a day, when little of it is left."""
    found = {Recurrence(cron, "UTC", lasts).begins_too_often(at(time)) for time in ("00:00", "23:30")}
    assert {is_too_often} == found


@pytest.mark.parametrize(
    ("cron", "most", "n"),
    [("0 * * * *", 100, 48), ("0 * * * *", 7, 7), ("0 2 * * *", 100, 2), ("0 2 1 * *", 100, 1), ("0 2 * * *", 0, 0)],
)
def test_how_often_it_begins_is_counted_over_two_days_up_to_a_bound(cron: str, most: int, n: int) -> None:
    assert n == Recurrence(cron, "UTC", HOUR).beginnings(DAY, most)


def test_of_several_times_each_is_told_that_touches_what_is_asked_for() -> None:
    hourly = nightly("0 * * * *", lasts=timedelta(minutes=10))
    told = [span.from_at for span in hourly.spans(at("02:10"), at("04:00"))]

    assert [at("02:00"), at("03:00"), at("04:00")] == told
    assert at("03:00") == next(hourly.spans(at("02:11"), at("04:00"))).from_at


def test_one_that_ended_as_it_began_was_never_in_force() -> None:
    assert [] == list(silence(to_at=at("02:00")).spans(DAY, at("05:00")))
    nothing_left = silence(from_at=DAY, to_at=at("02:00"), recurs=Recurrence("0 2 * * *", "UTC", HOUR))
    assert [] == list(nothing_left.spans(DAY, at("02:00")))


def test_what_is_remembered_of_a_time_holds_for_that_alone() -> None:
    one = nightly(lasts=90 * timedelta(minutes=1))
    assert one.recurs is not None
    times = ["01:59", "02:00", "03:29", "03:30", "26:00", "01:00", "02:30", "25:59"]
    found = [(time, one.span_at(at(time)) is not None) for time in times]
    assert ["02:00", "03:29", "26:00", "02:30"] == [time for time, is_in_force in found if is_in_force]


@given(st.integers(0, 72 * 60), st.integers(1, 30 * 60), st.sampled_from(["0 2 * * *", "*/30 * * * *", "15 3,4 * * *"]))
def test_a_time_is_in_force_exactly_where_an_occurrence_covers_it(minute: int, lasts: int, cron: str) -> None:
    one, now = nightly(cron, lasts=timedelta(minutes=lasts)), DAY + timedelta(days=2, minutes=minute)
    assert one.recurs is not None
    began = any(_fires(cron, now - timedelta(minutes=n)) for n in range(lasts))  # what began before is over
    assert began == (one.span_at(now) is not None)


def _fires(cron: str, moment: datetime) -> bool:
    match cron:
        case "0 2 * * *":
            return (moment.hour, moment.minute) == (2, 0)
        case "*/30 * * * *":
            return moment.minute % 30 == 0
        case _:
            return moment.hour in {3, 4} and moment.minute == 15


# --- whom


@pytest.mark.parametrize(
    ("scope", "targets", "is_held"),
    [
        ("project", (), True),
        ("check", ("k",), True),
        ("check", ("other",), False),
        ("tag", ("db", "web"), True),
        ("tag", ("web",), False),
    ],
)
def test_maintenance_covers_what_it_names(scope: str, targets: tuple[str, ...], *, is_held: bool) -> None:
    one = silence(scope=scope, targets=frozenset(targets))
    assert is_held == (held(about(), [one], at=at("03:00"), begin_was_told=False) is not None)


def test_maintenance_holds_nothing_of_what_is_no_check() -> None:
    assert None is held(about(check=""), [silence()], at=at("03:00"), begin_was_told=False)


def test_a_mute_holds_that_as_well_for_its_channels_alone() -> None:
    muted = silence("mute", "channel", targets=frozenset({"c"}))
    assert None is not held(about(check=""), [muted], at=at("03:00"), begin_was_told=False)
    assert None is held(about(channel="other"), [muted], at=at("03:00"), begin_was_told=False)


@pytest.mark.parametrize(("severity", "is_held"), [("low", True), ("high", True), ("critical", False)])
def test_quiet_hours_let_through_what_is_severe(severity: str, *, is_held: bool) -> None:
    quiet = silence("quiet", below=Severity.CRITICAL)
    found = held(about(severity=Severity(severity)), [quiet], at=at("03:00"), begin_was_told=False)
    assert is_held == (found is not None)
    assert found is None or found.as_digest


def test_who_was_told_that_it_began_hears_at_once_that_it_ended_unless_he_wants_peace() -> None:
    of_check, of_people = silence(), silence("quiet")
    assert None is held(about(END), [of_check], at=at("03:00"), begin_was_told=True)
    assert None is not held(about(END), [of_check], at=at("03:00"), begin_was_told=False)
    assert None is not held(about(END), [of_people], at=at("03:00"), begin_was_told=True)


def test_of_several_the_longest_holds() -> None:
    found = held(about(), [silence("mute"), silence("mute", to_at=at("06:00"))], at=at("03:00"), begin_was_told=False)
    assert found is not None
    assert at("06:00") == found.until


def test_after_maintenance_jobs_have_their_grace_to_come_back() -> None:
    found = held(about(grace=timedelta(minutes=20)), [silence(note="move")], at=at("03:00"), begin_was_told=False)
    assert found is not None
    assert (at("04:20"), "maintenance “move” until 2026-03-02 04:00 UTC") == (found.until, found.why)


@pytest.mark.parametrize(("grace_s", "settles_s"), [(0, 60), (600, 600), (86_400, 3_600)])
def test_that_time_is_a_minute_at_least_and_an_hour_at_most(grace_s: int, settles_s: int) -> None:
    assert timedelta(seconds=settles_s) == settling(timedelta(seconds=grace_s))


# --- what is told of what was held


@pytest.mark.parametrize(
    ("waiting", "was_told", "expected"),
    [
        ([(BEGIN, True)], False, [TOLD]),
        ([(BEGIN, False)], False, [OVER]),
        ([(BEGIN, False), (END, True)], False, [OVER, NOT_BEGUN]),
        ([(END, True)], True, [TOLD]),
        ([(END, True)], False, [NOT_BEGUN]),
        ([(END, True), (BEGIN, True)], True, [SUPERSEDED, TOLD]),
        ([(BEGIN, False), (END, True), (BEGIN, True)], False, [SUPERSEDED, SUPERSEDED, TOLD]),
        ([(BEGIN, False), (BEGIN, True)], False, [SUPERSEDED, TOLD]),
        ([(FACT, True), (BEGIN, True)], False, [TOLD, TOLD]),
        ([(FACT, False)], False, [OVER]),
    ],
)
def test_what_is_still_news_is_told(
    waiting: list[tuple[Part, bool]], expected: list[object], *, was_told: bool
) -> None:
    assert expected == settled([Waiting(*one) for one in waiting], begin_was_told=was_told)
