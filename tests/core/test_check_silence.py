"""Silence that everybody could have heard: deadlines, lateness, and rules that raise."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from heartfly.core.check import SCHEDULE_RETRY, edited
from heartfly.core.values import Check, NextAfter, replace
from heartfly.core.words import PingKind, Reason, RunOutcome, Status
from tests.factories import (
    GRACE,
    HOUR,
    TICK,
    at,
    changes,
    every,
    fail,
    fires,
    judge,
    make_blind,
    make_check,
    make_rules,
    make_run,
    ping,
    start,
    success,
    told,
)

DEADLINE = at(hours=1) + GRACE
LATE = make_rules(wants_late=True)

# --- the deadline ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("through", "down"), [(DEADLINE - TICK, False), (DEADLINE, True), (DEADLINE + TICK, True)])
def test_the_deadline_itself_belongs_to_the_alarm(through: datetime, *, down: bool) -> None:
    assert down == (judge(make_check(), through).check.status is Status.DOWN)


def test_a_missed_slot_is_told_with_the_time_at_which_it_was_true_however_late_it_is_judged() -> None:
    step = judge(make_check(), at(hours=9))

    assert [(Status.DOWN, Reason.MISSED, DEADLINE)] == changes(step)
    assert ["check.down"] == told(step)
    assert [(at(hours=1), RunOutcome.MISSED)] == [(run.slot_at, run.outcome) for run in step.runs]
    assert step.runs[0] is step.flips[0].run
    assert (None, None, None) == (step.check.expected_at, step.check.goes_down_at, step.check.wake_at)


def test_what_is_down_goes_on_being_down_and_is_not_told_again() -> None:
    down = judge(make_check(), DEADLINE).check

    step = judge(down, at(days=30))

    assert not step.flips
    assert replace(down, rev=down.rev + 1) == step.check


@pytest.mark.parametrize("when", [DEADLINE - TICK, DEADLINE, at(hours=5)])
def test_a_success_that_lands_before_the_silence_is_judged_wins(when: datetime) -> None:
    step = success(make_check(), when)

    assert not step.flips
    assert when + HOUR + GRACE == step.check.goes_down_at


def test_a_success_counts_for_the_slot_after_it_and_starts_a_new_one() -> None:
    step = success(make_check(), at(minutes=70))

    assert (at(minutes=130), at(minutes=135)) == (step.check.expected_at, step.check.goes_down_at)
    assert step.run is not None
    assert at(hours=1) == step.run.slot_at


def test_a_failure_of_a_check_that_is_up_is_told_at_once_and_arms_nothing() -> None:
    step = fail(make_check(), at(minutes=3))

    assert [(Status.DOWN, Reason.FAIL, at(minutes=3))] == changes(step)
    assert step.check.wake_at is None


def test_a_recovery_says_since_when_it_was_down() -> None:
    step = success(make_check(Status.DOWN), at(minutes=50))

    assert [(Status.UP, Reason.SUCCESS, at(minutes=50))] == changes(step)
    assert [at()] == [flip.down_since for flip in step.flips]
    assert at(minutes=50) + HOUR + GRACE == step.check.goes_down_at


def test_a_schedule_that_never_fires_again_leaves_the_check_as_it_is_for_ever() -> None:
    once = fires(at(hours=1))
    check = success(make_check(rules=make_rules(next_after=once)), at(hours=1)).check

    assert (None, None, None) == (check.expected_at, check.goes_down_at, check.wake_at)
    for _ in range(2):
        check = judge(check, at(days=10_000)).check
    assert Status.UP is check.status


def test_a_one_time_slot_is_not_expected_again_when_a_run_starts_after_the_edit_that_excused_it() -> None:
    check = make_check(rules=make_rules(next_after=fires(at(hours=1))))
    check = edited(check, make_rules(next_after=fires(at(hours=1)), grace=HOUR), at(minutes=62)).check

    check = success(start(check, at(minutes=63), rid="a").check, at(minutes=64), rid="a").check

    assert Status.UP is judge(check, at(days=1)).check.status


def test_a_check_is_looked_at_first_when_it_goes_down() -> None:
    check = make_check(open_runs=(make_run(at(minutes=50)),))

    assert at(minutes=55) == check.goes_down_at == check.wake_at


def test_a_check_that_is_down_is_still_looked_at_when_its_run_has_to_end() -> None:
    check = start(make_check(Status.DOWN), at(minutes=1)).check

    assert (None, at(minutes=6)) == (check.goes_down_at, check.wake_at)


def test_a_check_that_is_new_waits_for_nothing_but_its_runs() -> None:
    check = make_check(Status.NEW)

    assert check.wake_at is None
    assert at(minutes=6) == start(check, at(minutes=1)).check.goes_down_at


# --- lateness ----------------------------------------------------------------------------------------


def test_lateness_is_told_when_the_slot_opens_and_once() -> None:
    check = make_check(rules=LATE)
    assert (at(hours=1), DEADLINE) == (check.wake_at, check.goes_down_at)

    assert judge(check, at(hours=1) - TICK).late_since is None
    step = judge(check, at(hours=1))
    assert at(hours=1) == step.late_since
    assert DEADLINE == step.check.wake_at
    assert judge(step.check, at(hours=1) + TICK).late_since is None


def test_lateness_is_told_again_for_the_next_slot() -> None:
    check = judge(make_check(rules=LATE), at(hours=1)).check

    check = success(check, at(minutes=62)).check

    assert at(minutes=122) == judge(check, at(minutes=122)).late_since


def test_nobody_hears_of_lateness_who_did_not_ask() -> None:
    assert judge(make_check(), at(hours=1)).late_since is None


def test_a_slot_that_has_closed_is_told_as_missed_not_as_late() -> None:
    assert ["check.down"] == told(judge(make_check(rules=LATE), DEADLINE))


def test_a_run_under_way_is_not_late() -> None:
    check = start(make_check(rules=LATE), at(minutes=59)).check

    step = judge(check, at(minutes=60))

    assert at(minutes=64) == check.wake_at
    assert step.late_since is None
    assert step.check.late_told_at is None


def test_a_run_that_was_given_up_lets_its_slot_be_late() -> None:
    rules = make_rules(wants_late=True, grace=timedelta(minutes=10), max_run=GRACE)
    check = start(make_check(rules=rules), at(minutes=59)).check

    step = judge(check, at(minutes=64), [make_blind(at(minutes=59), at(minutes=59))])

    assert ["unverified", "late"] == told(step)


@pytest.mark.parametrize("from_at", [at(minutes=50), at(hours=1), DEADLINE])
def test_a_slot_that_we_could_not_hear_is_not_told_as_late(from_at: datetime) -> None:
    blind = [make_blind(from_at, max(from_at, at(hours=1)))]

    step = judge(make_check(rules=LATE), at(hours=1), blind)

    assert not told(step)
    assert at(hours=1) == step.check.late_told_at
    assert not told(judge(step.check, at(hours=1) + TICK))


def test_deafness_outside_of_the_slot_does_not_keep_lateness_back() -> None:
    blind = [make_blind(at(), at(hours=1) - TICK), make_blind(DEADLINE + TICK, at(hours=2))]

    assert ["late"] == told(judge(make_check(rules=LATE), at(hours=1), blind))


# --- rules that raise --------------------------------------------------------------------------------


def breaks(since: datetime, until: datetime) -> NextAfter:
    """Every hour, but raising for instants in this span."""

    def next_after(instant: datetime, anchor: datetime) -> datetime | None:
        if since <= instant < until:
            raise LookupError("no such zone")
        return every(HOUR)(instant, anchor)

    return next_after


def broken_check(status: Status = Status.UP) -> Check:
    """Its rules raise for anything before ten hours are over, as they have done since its last success."""
    rules = make_rules(next_after=breaks(at(minutes=1), at(hours=10)))
    return success(make_check(status, rules=rules), at(minutes=1)).check


def test_rules_that_raise_leave_the_status_and_are_told_once() -> None:
    rules = make_rules(next_after=breaks(at(minutes=1), at(hours=10)))

    step = success(make_check(rules=rules), at(minutes=1))

    assert ["schedule error"] == told(step)
    assert (Status.UP, "no such zone") == (step.check.status, step.check.schedule_error)
    assert (at(minutes=1), None, None) == (
        step.check.schedule_error_at,
        step.check.expected_at,
        step.check.goes_down_at,
    )
    assert not told(success(step.check, at(minutes=2)))
    assert not told(judge(step.check, at(hours=1)))


def test_an_error_without_words_is_shown_by_its_name() -> None:
    def raises(_instant: datetime, _anchor: datetime) -> datetime | None:
        raise OverflowError

    step = edited(make_check(), make_rules(next_after=raises), at(minutes=1))

    assert "OverflowError" == step.schedule_error == step.check.schedule_error


def test_rules_that_raise_are_tried_again_in_an_hour_and_once_they_hold_count_from_then_on() -> None:
    check = broken_check()
    assert at(minutes=1) + SCHEDULE_RETRY == check.wake_at

    check = judge(check, at(hours=3)).check
    assert (at(minutes=1), at(hours=4)) == (check.schedule_error_at, check.wake_at)

    step = judge(check, at(hours=10, minutes=30))
    assert not step.flips
    assert (None, None) == (step.check.schedule_error, step.check.schedule_error_at)
    assert at(hours=11, minutes=1) == step.check.expected_at


def test_rules_that_raise_again_after_they_held_are_told_again() -> None:
    rules = make_rules(next_after=breaks(at(minutes=1), at(minutes=2)))
    check = success(make_check(rules=rules), at(minutes=1)).check
    check = judge(check, at(minutes=10)).check
    assert check.schedule_error is None

    check = edited(check, make_rules(next_after=breaks(at(), at(days=1))), at(minutes=20)).check

    assert at(minutes=20) == check.schedule_error_at


def test_other_rules_that_raise_too_are_told_as_well() -> None:
    step = edited(broken_check(), make_rules(next_after=breaks(at(), at(days=1))), at(minutes=20))

    assert ["schedule error"] == told(step)


def test_a_failure_in_between_does_not_make_the_same_error_new() -> None:
    check = fail(broken_check(), at(minutes=5)).check
    assert (at(minutes=1), None) == (check.schedule_error_at, check.wake_at)

    assert ["check.up"] == told(success(check, at(minutes=6)))


def test_a_run_under_way_keeps_its_limit_while_the_rules_raise() -> None:
    check = start(broken_check(), at(minutes=30)).check
    assert at(minutes=35) == check.goes_down_at == check.wake_at

    step = judge(check, at(minutes=35))

    assert [(Status.DOWN, Reason.HUNG, at(minutes=35))] == changes(step)


def test_rules_that_raise_while_a_slot_is_judged_are_told_with_what_was_judged() -> None:
    rules = make_rules(next_after=breaks(at(minutes=1), at(hours=10)))
    check = make_check(rules=rules, open_runs=(make_run(at(hours=1, minutes=1)),))

    step = judge(check, at(hours=2), [make_blind(at(hours=1), at(hours=1))])

    assert ["check.down", "unverified", "schedule error"] == told(step)


# --- what a list of checks shows ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", [PingKind.SUCCESS, PingKind.FAIL, PingKind.START])
def test_the_last_ping_is_remembered_with_its_kind(kind: PingKind) -> None:
    check = ping(make_check(), kind, at(minutes=2)).check

    assert (at(minutes=2), kind) == (check.last_ping_at, check.last_kind)


@pytest.mark.parametrize("kind", [PingKind.LOG, PingKind.IGNORED])
def test_what_says_nothing_about_the_job_is_counted_only(kind: PingKind) -> None:
    before = make_check()

    step = ping(before, kind, at(minutes=2))

    assert replace(before, n_pings=before.n_pings + 1, rev=before.rev + 1) == step.check
    assert kind is step.kind
    assert DEADLINE == ping(before, kind, at(minutes=62)).check.goes_down_at
