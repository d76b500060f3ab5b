"""Runs: which end belongs to which start, how long one may take, and what it holds open."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from heartfly.core.bounds import Bounds
from heartfly.core.check import MAX_OPEN_RUNS, after_ping, edited
from heartfly.core.values import Check, Rules, replace
from heartfly.core.words import PingKind, Reason, RunOutcome, Status
from tests.factories import (
    GRACE,
    HOUR,
    TICK,
    at,
    changes,
    fail,
    fires,
    judge,
    make_blind,
    make_check,
    make_rules,
    make_signal,
    outcomes,
    ping,
    start,
    success,
    told,
)

HALF_HOUR = timedelta(minutes=30)
LONG = make_rules(max_run=HALF_HOUR)
SHORT = make_rules(max_run=timedelta(minutes=1))


def rids(check: Check) -> list[str | None]:
    return [run.rid for run in check.open_runs]


# --- pairs -------------------------------------------------------------------------------------------


def test_a_start_opens_a_run_and_its_end_closes_it() -> None:
    first = make_signal(PingKind.START, at(minutes=1))
    began = after_ping(make_check(), first)
    assert began.run is not None
    assert (first.id, None, 2) == (began.run.id, began.run.outcome, began.run.ping_n)
    assert [began.run] == list(began.check.open_runs) == list(began.runs)

    ended = success(began.check, at(minutes=4))

    assert ended.run is not None
    assert (first.id, at(minutes=1), at(minutes=4)) == (ended.run.id, ended.run.started_at, ended.run.ended_at)
    assert (RunOutcome.OK, timedelta(minutes=3), 3) == (ended.run.outcome, ended.run.duration, ended.run.ping_n)
    assert not ended.check.open_runs
    assert timedelta(minutes=3) == ended.check.last_duration


def test_an_end_that_says_how_long_its_run_took_has_its_start_though_nobody_heard_it() -> None:
    bounded = make_rules(bounds=Bounds(min_run=timedelta(minutes=1)))
    end = replace(make_signal(PingKind.SUCCESS, at(minutes=4)), took=timedelta(minutes=3))

    step = after_ping(make_check(rules=bounded), end)

    assert step.run is not None
    assert (at(minutes=1), timedelta(minutes=3), RunOutcome.OK) == (
        step.run.started_at, step.run.duration, step.run.outcome,
    )  # fmt: skip
    short = after_ping(make_check(rules=bounded), replace(end, took=timedelta(seconds=59)))
    assert short.run is not None
    assert (RunOutcome.FAILED, Reason.TOO_FAST) == (short.run.outcome, short.run.reason)


def test_of_a_run_whose_start_was_heard_that_is_what_counts() -> None:
    began = start(make_check(), at(minutes=1))

    ended = after_ping(began.check, replace(make_signal(PingKind.SUCCESS, at(minutes=4)), took=timedelta(hours=9)))

    assert ended.run is not None
    assert (at(minutes=1), timedelta(minutes=3)) == (ended.run.started_at, ended.run.duration)


def test_a_run_that_tells_how_long_it_took_begins_as_one_without_a_start_does() -> None:
    """What counts beginnings counts it, once."""
    rules = make_rules(bounds=Bounds(most=1, most_in=HOUR))
    one = after_ping(
        make_check(rules=rules), replace(make_signal(PingKind.SUCCESS, at(minutes=4)), took=timedelta(minutes=3))
    )
    other = after_ping(one.check, replace(make_signal(PingKind.SUCCESS, at(minutes=5)), took=timedelta(minutes=1)))

    assert other.run is not None
    assert Reason.TOO_OFTEN is other.run.reason


def test_an_end_without_a_start_is_a_run_of_unknown_length() -> None:
    signal = make_signal(PingKind.FAIL, at(minutes=4), rid="x", exit_status=3)

    run = after_ping(make_check(), signal).run

    assert run is not None
    assert (signal.id, "x", None, None, 2) == (run.id, run.rid, run.started_at, run.duration, run.ping_n)
    assert (at(minutes=4), 3, RunOutcome.FAILED) == (run.ended_at, run.exit_status, run.outcome)


def test_runs_with_ids_overlap_and_each_end_finds_its_own() -> None:
    check = start(make_check(), at(minutes=1), rid="a").check
    check = start(check, at(minutes=2), rid="b").check

    step = success(check, at(minutes=3), rid="a")

    assert step.run is not None
    assert timedelta(minutes=2) == step.run.duration
    assert ["b"] == rids(step.check)


def test_an_end_without_an_id_closes_the_newest_open_run() -> None:
    check = start(make_check(), at(minutes=2), rid="b").check
    check = start(check, at(minutes=1), rid="a").check

    assert ["a"] == rids(success(check, at(minutes=3)).check)


def test_an_end_without_an_id_closes_the_run_that_began_without_one_before_a_newer_one_with() -> None:
    check = start(make_check(), at(minutes=1)).check
    check = start(check, at(minutes=2), rid="b").check

    step = success(check, at(minutes=3))

    assert step.run is not None
    assert timedelta(minutes=2) == step.run.duration
    assert ["b"] == rids(step.check)


def test_an_end_with_an_unknown_id_leaves_every_open_run_alone() -> None:
    check = start(make_check(), at(minutes=1)).check

    step = success(check, at(minutes=2), rid="x")

    assert [None] == rids(step.check)
    assert at(minutes=6) == step.check.goes_down_at


def test_the_same_start_twice_is_one_run() -> None:
    began = start(make_check(), at(minutes=1), rid="a")

    again = start(began.check, at(minutes=2), rid="a")

    assert began.check.open_runs == again.check.open_runs
    assert not again.runs
    assert began.run == again.run


def test_a_start_without_an_id_supersedes_the_one_before_it() -> None:
    first = start(make_check(), at(minutes=1))

    second = start(first.check, at(minutes=2))

    assert [(RunOutcome.SUPERSEDED, at(minutes=2)), (None, None)] == [(r.outcome, r.ended_at) for r in second.runs]
    assert [second.run] == list(second.check.open_runs)
    assert at(minutes=7) == second.check.goes_down_at


def test_a_start_with_an_id_supersedes_nothing_and_one_without_leaves_those_with_ids() -> None:
    check = start(make_check(), at(minutes=1)).check
    check = start(check, at(minutes=2), rid="a").check
    assert [None, "a"] == rids(check)

    check = start(check, at(minutes=3)).check

    assert ["a", None] == rids(check)


@pytest.mark.parametrize("rid", [None, "last"])
def test_one_run_too_many_supersedes_the_oldest(rid: str | None) -> None:
    check = start(make_check(rules=make_rules(grace=HOUR)), at(minutes=2), rid="0").check
    check = start(check, at(minutes=1), rid="oldest").check
    for n in range(2, MAX_OPEN_RUNS):
        check = start(check, at(minutes=2), rid=str(n)).check
    assert MAX_OPEN_RUNS == len(check.open_runs)

    step = start(check, at(minutes=3), rid=rid)

    assert MAX_OPEN_RUNS == len(step.check.open_runs)
    assert [("oldest", RunOutcome.SUPERSEDED), (rid, None)] == [(run.rid, run.outcome) for run in step.runs]


def test_a_failure_closes_its_run_and_the_others_go_on() -> None:
    check = start(make_check(), at(minutes=1), rid="a").check
    check = start(check, at(minutes=2), rid="b").check

    step = fail(check, at(minutes=3), rid="b")

    assert Status.DOWN is step.check.status
    assert ["a"] == rids(step.check)
    assert (None, at(minutes=6)) == (step.check.goes_down_at, step.check.wake_at)


# --- how long a run may take -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "limit"),
    [(make_rules(), GRACE), (SHORT, timedelta(minutes=1)), (LONG, HALF_HOUR)],
    ids=["grace", "shorter", "longer"],
)
def test_a_run_may_take_its_limit_and_the_limit_belongs_to_the_alarm(rules: Rules, limit: timedelta) -> None:
    check = start(make_check(rules=rules), at(minutes=1)).check

    assert not judge(check, at(minutes=1) + limit - TICK).flips
    step = judge(check, at(minutes=1) + limit)

    assert at(minutes=1) + limit == check.goes_down_at
    assert [(Status.DOWN, Reason.HUNG, at(minutes=1) + limit)] == changes(step)
    assert [(RunOutcome.HUNG, None, None)] == [(run.outcome, run.ended_at, run.duration) for run in step.runs]
    assert not step.check.open_runs


def test_a_run_that_ends_exactly_at_its_limit_before_it_is_judged_is_well() -> None:
    check = start(make_check(), at(minutes=1)).check

    step = success(check, at(minutes=6))

    assert not step.flips
    assert [RunOutcome.OK] == outcomes(step)


def test_a_run_that_began_when_its_slot_opened_hangs_before_the_slot_is_missed() -> None:
    check = start(make_check(), at(hours=1)).check

    step = judge(check, at(hours=1) + GRACE)

    assert [(Status.DOWN, Reason.HUNG, at(hours=1) + GRACE)] == changes(step)
    assert [RunOutcome.HUNG] == outcomes(step)


def test_without_a_limit_of_its_own_a_run_leaves_the_deadline_of_its_slot_alone() -> None:
    check = start(make_check(), at(minutes=62)).check

    assert at(hours=1) + GRACE == check.goes_down_at
    assert [Reason.MISSED] == [flip.reason for flip in judge(check, at(hours=2)).flips]


def test_of_overlapping_runs_each_hangs_at_its_own_limit_and_the_first_is_told() -> None:
    check = start(make_check(), at(minutes=2), rid="b").check
    check = start(check, at(minutes=1), rid="a").check

    step = judge(check, at(minutes=30))

    assert [(Status.DOWN, Reason.HUNG, at(minutes=6))] == changes(step)
    assert [("a", RunOutcome.HUNG), ("b", RunOutcome.HUNG)] == [(run.rid, run.outcome) for run in step.runs]
    assert step.check.wake_at is None


def test_a_run_that_hangs_while_the_check_is_down_is_recorded_and_told_to_nobody() -> None:
    check = start(make_check(Status.DOWN), at(minutes=1)).check

    step = judge(check, at(minutes=6))

    assert [RunOutcome.HUNG] == outcomes(step)
    assert not told(step)


def test_a_run_that_comes_back_after_it_hung_is_a_recovery_and_a_run_of_its_own() -> None:
    check = judge(start(make_check(), at(minutes=1)).check, at(minutes=6)).check

    step = success(check, at(minutes=6) + TICK)

    assert [(Status.UP, Reason.SUCCESS, at(minutes=6) + TICK)] == changes(step)
    assert step.run is not None
    assert step.run.started_at is None


# --- a run under way holds its slot ------------------------------------------------------------------


def test_a_run_under_way_holds_its_slot_open_up_to_its_own_limit() -> None:
    check = start(make_check(rules=LONG), at(minutes=62)).check

    assert at(minutes=92) == check.goes_down_at == check.wake_at
    assert not judge(check, at(minutes=92) - TICK).flips
    assert [(Status.DOWN, Reason.HUNG, at(minutes=92))] == changes(judge(check, at(minutes=92)))


def test_a_limit_of_its_own_that_is_shorter_than_the_grace_holds_nothing() -> None:
    check = start(make_check(rules=SHORT), at(minutes=62)).check

    assert at(minutes=63) == check.goes_down_at


def test_a_run_that_ended_long_after_the_grace_keeps_the_check_up() -> None:
    check = start(make_check(rules=LONG), at(minutes=62)).check
    check = judge(check, at(minutes=91)).check

    step = success(check, at(minutes=91))

    assert not step.flips
    assert at(minutes=151) == step.check.expected_at


def test_the_run_that_hangs_first_ends_what_the_others_hold() -> None:
    check = start(make_check(rules=LONG), at(minutes=58), rid="a").check
    check = start(check, at(minutes=64), rid="b").check

    assert at(minutes=88) == check.goes_down_at
    assert [(Status.DOWN, Reason.HUNG, at(minutes=88))] == changes(judge(check, at(minutes=89)))


def crash_loop(rid: bool) -> list[datetime]:  # noqa: FBT001 - the two rows of one test
    """A job that starts every five minutes and dies each time; when did it go down?"""
    rules = make_rules(period=GRACE, grace=timedelta(minutes=1), max_run=timedelta(minutes=10))
    check = make_check(rules=rules)
    downs: list[datetime] = []
    for n in range(1, 20):
        now = at(minutes=5 * n)
        step = judge(check, now)
        downs += [flip.at for flip in step.flips]
        check = start(step.check, now, rid=str(n) if rid else None).check
    return downs


def test_a_job_that_starts_again_and_again_and_never_ends_goes_down_all_the_same() -> None:
    assert [at(minutes=5 + 1 + 10)] == crash_loop(rid=False)
    assert [at(minutes=5 + 10)] == crash_loop(rid=True)


def test_a_start_that_was_sent_again_holds_no_longer_than_a_run_that_began_at_the_end_of_the_grace() -> None:
    check = start(make_check(rules=LONG), at(minutes=64)).check

    check = start(check, at(minutes=67)).check

    assert at(minutes=65) + HALF_HOUR == check.goes_down_at
    step = judge(check, at(minutes=95))
    assert [(Status.DOWN, Reason.MISSED, at(minutes=95))] == changes(step)
    assert at(minutes=97) == step.check.wake_at


@pytest.mark.parametrize(
    ("when", "deadline"), [(at(minutes=65), at(minutes=95)), (at(minutes=65) + TICK, at(minutes=65))]
)
def test_a_start_after_the_grace_holds_nothing_though_nobody_has_judged_the_slot_yet(
    when: datetime, deadline: datetime
) -> None:
    check = start(make_check(rules=LONG), when).check

    assert deadline == check.goes_down_at


def test_a_run_that_began_after_the_grace_goes_on_though_its_slot_was_missed() -> None:
    check = start(make_check(rules=LONG), at(minutes=66)).check

    step = judge(check, at(minutes=66))

    assert [(Status.DOWN, Reason.MISSED, at(minutes=65))] == changes(step)
    assert at(minutes=96) == step.check.wake_at


def test_a_run_that_was_given_up_holds_no_other_slot_than_its_own() -> None:
    check = start(make_check(rules=LONG), at(minutes=64)).check
    check = start(check, at(minutes=67)).check
    check = edited(check, make_rules(max_run=HALF_HOUR, period=timedelta(minutes=7)), at(minutes=68)).check

    assert at(minutes=70) == check.expected_at
    assert at(minutes=97) == check.goes_down_at


def test_a_held_slot_that_we_could_not_hear_to_its_end_is_one_unverified_run() -> None:
    check = start(make_check(rules=LONG), at(minutes=58)).check

    step = judge(check, at(hours=2) - TICK, [make_blind(at(minutes=80), at(minutes=81))])

    assert not step.flips
    assert [(RunOutcome.UNVERIFIED, at(minutes=58), at(hours=1))] == [
        (run.outcome, run.started_at, run.slot_at) for run in step.runs
    ]
    assert [(at(hours=1), at(minutes=88))] == [(found.from_at, found.to_at) for found in step.unverified]
    assert (1, at(minutes=81) + HOUR) == (step.check.unverified_in_row, step.check.expected_at)


def test_a_held_slot_that_we_could_not_hear_twice_is_an_alarm_at_the_end_of_the_run() -> None:
    check = start(make_check(rules=LONG, unverified_in_row=1), at(minutes=58)).check

    step = judge(check, at(minutes=88), [make_blind(at(minutes=80), at(minutes=81))])

    assert [(Status.DOWN, Reason.MISSED_TWICE_UNVERIFIED, at(minutes=88))] == changes(step)
    assert [RunOutcome.UNVERIFIED] == outcomes(step)
    assert ["check.down"] == told(step)


def test_the_slots_that_a_run_held_are_excused_with_it() -> None:
    rules = make_rules(period=GRACE, grace=timedelta(minutes=1), max_run=HALF_HOUR)
    check = start(make_check(rules=rules), at(minutes=4)).check

    step = judge(check, at(minutes=35), [make_blind(at(minutes=10), at(minutes=11))])

    assert not step.flips
    assert at(minutes=36) == step.check.expected_at


def test_a_run_that_we_could_not_hear_to_its_end_says_nothing_about_a_slot_that_is_not_over() -> None:
    check = start(make_check(), at(minutes=57)).check

    step = judge(check, at(minutes=62), [make_blind(at(minutes=58), at(minutes=59))])

    assert [(RunOutcome.UNVERIFIED, None)] == [(run.outcome, run.slot_at) for run in step.runs]
    assert (0, at(hours=1) + GRACE) == (step.check.unverified_in_row, step.check.goes_down_at)


def test_another_run_under_way_goes_on_holding_the_slot() -> None:
    check = start(make_check(rules=LONG), at(minutes=58), rid="a").check
    check = start(check, at(minutes=64), rid="b").check

    step = judge(check, at(minutes=88), [make_blind(at(minutes=60), at(minutes=61))])

    assert [("a", RunOutcome.UNVERIFIED, None)] == [(run.rid, run.outcome, run.slot_at) for run in step.runs]
    assert (0, at(minutes=94)) == (step.check.unverified_in_row, step.check.goes_down_at)


# --- a wall clock that is set back -------------------------------------------------------------------


def test_an_end_finds_its_start_though_the_wall_clock_was_set_back_in_between() -> None:
    check = ping(make_check(), PingKind.START, at(minutes=30), seq=10**12).check

    step = ping(check, PingKind.SUCCESS, at(minutes=-20), seq=10**12 + 1)

    assert step.run is not None
    assert (at(minutes=30), None) == (step.run.started_at, step.run.duration)
    assert not step.check.open_runs
    assert at(minutes=40) == step.check.expected_at


def test_where_the_order_of_a_start_is_not_known_its_time_says_whether_an_end_can_be_its() -> None:
    check = start(make_check(), at(minutes=30)).check
    check = replace(check, open_runs=tuple(replace(run, order=None) for run in check.open_runs))

    assert success(check, at(minutes=30) - TICK, past=None).check.open_runs
    assert not success(check, at(minutes=30)).check.open_runs


def test_a_calendar_slot_is_held_like_any_other() -> None:
    rules = make_rules(next_after=fires(at(hours=1), at(days=1)), max_run=HALF_HOUR)
    check = start(make_check(rules=rules), at(hours=1)).check

    assert at(minutes=90) == check.goes_down_at
