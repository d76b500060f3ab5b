"""Pause, resume, and edits of the rules."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from heartfly.core.check import edited, pause, resume
from heartfly.core.values import replace
from heartfly.core.words import Reason, RunOutcome, Status
from tests.factories import (
    GRACE,
    HOUR,
    TICK,
    at,
    changes,
    fires,
    judge,
    make_check,
    make_rules,
    make_run,
    outcomes,
    start,
    success,
    told,
)

# --- pause -------------------------------------------------------------------------------------------


def test_a_pause_supersedes_the_runs_under_way_and_nothing_is_expected() -> None:
    step = pause(make_check(open_runs=(make_run(), make_run(rid="a"))), at(minutes=2))

    assert [(Status.PAUSED, Reason.PAUSED, at(minutes=2))] == changes(step)
    assert [(RunOutcome.SUPERSEDED, at(minutes=2))] * 2 == [(run.outcome, run.ended_at) for run in step.runs]
    assert ((), None, None) == (step.check.open_runs, step.check.expected_at, step.check.wake_at)
    assert not told(step)


def test_pausing_what_is_paused_changes_nothing_at_all() -> None:
    check = make_check(Status.PAUSED, open_runs=(make_run(),))

    step = pause(check, at(minutes=2))

    assert (check, (), ()) == (step.check, step.flips, step.runs)


def test_a_check_that_was_down_is_not_down_any_more_when_it_is_paused() -> None:
    assert [at()] == [flip.down_since for flip in pause(make_check(Status.DOWN), at(minutes=9)).flips]


def test_a_run_that_starts_in_a_pause_can_hang() -> None:
    check = start(make_check(Status.PAUSED), at(minutes=1)).check

    step = judge(check, at(minutes=6))

    assert ["check.down"] == told(step)


def test_a_run_under_way_when_the_pause_was_made_sticky_hangs_unheard() -> None:
    check = start(make_check(Status.PAUSED), at(minutes=1)).check
    check = edited(check, make_rules(sticky=True), at(minutes=2)).check

    assert (None, at(minutes=6)) == (check.goes_down_at, check.wake_at)
    assert [RunOutcome.HUNG] == outcomes(judge(check, at(minutes=6)))


def test_a_success_leaves_a_pause_and_its_slot_counts_from_there() -> None:
    step = success(make_check(Status.PAUSED), at(minutes=9))

    assert [(Status.UP, Reason.SUCCESS, at(minutes=9))] == changes(step)
    assert at(minutes=69) == step.check.expected_at


# --- resume ------------------------------------------------------------------------------------------


def test_a_resume_forgets_the_last_ping_and_waits_for_the_next_success() -> None:
    paused = pause(make_check(unverified_in_row=1), at(minutes=2)).check

    step = resume(paused, at(minutes=3))

    assert step is not None
    assert [(Status.NEW, Reason.RESUMED, at(minutes=3))] == changes(step)
    check = step.check
    assert [None] * 7 == [
        check.last_ping_at,
        check.last_kind,
        check.last_duration,
        check.last_end,
        check.last_end_kind,
        check.anchor_at,
        check.wake_at,
    ]
    assert (0, paused.n_pings) == (check.unverified_in_row, check.n_pings)
    assert Status.NEW is judge(check, at(days=30)).check.status


def test_a_run_that_started_in_a_pause_goes_on_after_a_resume() -> None:
    check = start(make_check(Status.PAUSED), at(minutes=1)).check

    step = resume(check, at(minutes=2))

    assert step is not None
    assert at(minutes=6) == step.check.goes_down_at


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.PAUSED])
def test_what_is_not_paused_cannot_be_resumed(status: Status) -> None:
    assert resume(make_check(status), at(minutes=2)) is None


# --- edits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", [at(minutes=1), at(hours=1), at(hours=1) + GRACE, at(hours=9, minutes=1)])
@pytest.mark.parametrize("status", list(Status))
def test_an_edit_never_flips_however_overdue_the_new_rules_would_be(status: Status, when: datetime) -> None:
    check = make_check(status)

    step = edited(check, make_rules(period=timedelta(minutes=1), grace=timedelta(seconds=1)), when)

    assert not step.flips
    assert not told(step)
    assert replace(step, check=judge(step.check, when).check).check.status is status


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (at(minutes=59), at(hours=1)),
        (at(hours=1) - TICK, at(hours=1)),
        (at(hours=1), at(hours=2)),
        (at(hours=1, minutes=1), at(hours=2)),
    ],
)
def test_the_first_slot_is_the_first_of_the_new_schedule_after_the_edit(when: datetime, expected: datetime) -> None:
    step = edited(make_check(rules=make_rules(period=HOUR * 5)), make_rules(period=HOUR), when)

    assert (expected, expected + GRACE) == (step.check.expected_at, step.check.goes_down_at)


def test_saving_the_same_schedule_and_grace_again_puts_no_deadline_off() -> None:
    rules = make_rules()
    check = judge(make_check(rules=rules), at(minutes=61)).check

    for changed in (rules, replace(rules, max_run=HOUR, sticky=True, wants_late=True)):
        step = edited(check, changed, at(minutes=62))
        assert (changed, at(hours=1) + GRACE) == (step.check.rules, step.check.goes_down_at)


def test_another_grace_alone_excuses_no_job_that_is_late() -> None:
    rules = make_rules()

    step = edited(make_check(rules=rules), replace(rules, grace=2 * GRACE), at(minutes=61))

    assert (at(hours=1), at(hours=1) + 2 * GRACE) == (step.check.expected_at, step.check.goes_down_at)


def test_a_shorter_grace_that_is_over_already_is_judged_next_and_does_not_flip_by_itself() -> None:
    rules = make_rules()

    step = edited(make_check(rules=rules), replace(rules, grace=timedelta(minutes=1)), at(minutes=63))

    assert not step.flips
    assert [(Status.DOWN, Reason.MISSED, at(minutes=61))] == changes(judge(step.check, at(minutes=63)))


def test_another_limit_holds_for_the_run_under_way() -> None:
    check = start(make_check(rules=make_rules(max_run=HOUR)), at(minutes=1)).check

    check = edited(check, make_rules(max_run=timedelta(minutes=2)), at(minutes=10)).check

    assert [(Status.DOWN, Reason.HUNG, at(minutes=3))] == changes(judge(check, at(minutes=10)))


def test_after_an_edit_that_leaves_no_slot_nothing_is_expected() -> None:
    step = edited(make_check(), make_rules(next_after=fires(at(minutes=5))), at(minutes=6))

    assert step.check.wake_at is None
