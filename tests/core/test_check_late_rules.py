"""Signals that come out of order: after newer ones, after an alarm, after a pause."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from heartfly.core.check import after_ping, needs_past, pause, resume
from heartfly.core.gates import Broken, Gate, Level, Op
from heartfly.core.values import ELSEWHERE, Check, Past, Run, came_before, replace
from heartfly.core.words import AlertKind, PingKind, Reason, RunOutcome, Status
from tests.factories import (
    GRACE,
    HOUR,
    TICK,
    at,
    changes,
    edited_to,
    fail,
    fires,
    judge,
    make_blind,
    make_check,
    make_rules,
    make_run,
    make_signal,
    outcomes,
    ping,
    start,
    success,
    told,
)

CLOSES = at(hours=1) + GRACE
WAS_UP = Past(status_at=Status.UP)
WARN = Gate("rows", Op.GT, Decimal(0), Level.WARN)


def missed() -> Check:
    return judge(make_check(), CLOSES).check


def hung(rid: str | None = None) -> tuple[Check, Run]:
    """Down since minute 15 for a run that began in minute 10."""
    step = judge(start(make_check(), at(minutes=10), rid=rid).check, at(minutes=15))
    return step.check, step.runs[0]


# --- which came first --------------------------------------------------------------------------------


def test_within_a_node_the_sequence_decides_and_between_nodes_the_time() -> None:
    early, late = at(minutes=1), at(minutes=2)

    assert came_before((late, 1, 7), (early, 1, 8))
    assert not came_before((early, 1, 8), (late, 1, 7))
    assert not came_before((early, 1, 7), (early, 1, 7))
    assert came_before((early, 2, 8), (late, 1, 7))
    assert not came_before((late, 1, 7), (early, 2, 8))
    assert came_before((early, 1, 8), (early, 2, 7))
    assert came_before((early, ELSEWHERE, 8), (late, ELSEWHERE, 7))
    assert not came_before((late, ELSEWHERE, 7), (early, ELSEWHERE, 8))


@pytest.mark.parametrize("kind", [PingKind.SUCCESS, PingKind.FAIL, PingKind.START])
def test_history_is_asked_for_a_signal_older_than_the_newest_end(kind: PingKind) -> None:
    check = make_check(since=at(minutes=10))

    assert needs_past(check, make_signal(kind, at(minutes=10) - TICK))
    assert not needs_past(check, make_signal(kind, at(minutes=10) + TICK))
    assert not needs_past(make_check(Status.NEW), make_signal(kind, at(days=-1)))


@pytest.mark.parametrize("kind", [PingKind.LOG, PingKind.IGNORED])
def test_history_is_never_asked_for_what_says_nothing_about_the_job(kind: PingKind) -> None:
    assert not needs_past(make_check(since=at(minutes=10)), make_signal(kind, at()))


@pytest.mark.parametrize(("when", "needed"), [(at(minutes=15), True), (at(minutes=15) + TICK, False)])
def test_history_is_asked_for_a_signal_from_before_a_run_hung(when: datetime, *, needed: bool) -> None:
    check, _ = hung()

    assert needed == needs_past(check, make_signal(PingKind.SUCCESS, when))


@pytest.mark.parametrize(("when", "needed"), [(CLOSES, True), (CLOSES + TICK, False)])
def test_history_is_asked_for_a_signal_from_before_a_slot_was_missed(when: datetime, *, needed: bool) -> None:
    assert needed == needs_past(missed(), make_signal(PingKind.SUCCESS, when))


# --- a success from before the alarm ------------------------------------------------------------------


@pytest.mark.parametrize("when", [at(minutes=1), at(minutes=61), CLOSES])
def test_a_success_that_explains_a_missed_slot_takes_the_alarm_back(when: datetime) -> None:
    down = missed()

    step = success(down, when)

    assert [(Status.UP, Reason.RETRACTED, CLOSES)] == changes(step)
    assert [(down.flip_no, down.flip_no + 1)] == [(flip.retracts_flip_no, flip.flip_no) for flip in step.flips]
    assert ["check.up"] == told(step)
    assert when + HOUR + GRACE == step.check.goes_down_at
    assert (make_signal(PingKind.SUCCESS, when).order, when) == (step.check.last_end, step.check.anchor_at)


def test_an_alarm_is_not_taken_back_when_a_run_hung_after_it() -> None:
    down = judge(start(missed(), at(minutes=66)).check, at(minutes=71)).check

    step = success(down, at(minutes=61), past=Past(status_at=Status.UP, hung_since=True))

    assert Status.DOWN is step.check.status
    assert not step.flips


def test_a_success_after_the_alarm_is_a_recovery_and_takes_nothing_back() -> None:
    step = success(missed(), CLOSES + TICK)

    assert [(Status.UP, Reason.SUCCESS, CLOSES + TICK)] == changes(step)
    assert [None] == [flip.retracts_flip_no for flip in step.flips]


@pytest.mark.parametrize("when", [at(minutes=59), at(hours=1) - TICK])
def test_a_success_too_early_to_explain_a_missed_calendar_slot_is_no_recovery(when: datetime) -> None:
    down = judge(make_check(rules=make_rules(next_after=fires(at(hours=1), at(days=1)))), CLOSES).check

    step = success(down, when)

    assert not step.flips
    assert (Status.DOWN, None, when) == (step.check.status, step.check.wake_at, step.check.last_ping_at)
    assert [RunOutcome.OK] == outcomes(step)


def test_a_success_in_a_missed_calendar_slot_takes_the_alarm_back() -> None:
    down = judge(make_check(rules=make_rules(next_after=fires(at(hours=1), at(days=1)))), CLOSES).check

    step = success(down, at(hours=1))

    assert [(Status.UP, Reason.RETRACTED, CLOSES)] == changes(step)
    assert at(days=1) == step.check.expected_at


def test_a_success_after_which_nothing_was_expected_any_more_takes_the_alarm_back() -> None:
    down = judge(make_check(rules=make_rules(next_after=fires(at(hours=1)))), CLOSES).check

    step = success(down, at(minutes=61))

    assert Status.UP is step.check.status
    assert step.check.wake_at is None


def test_a_success_whose_next_slot_would_have_closed_with_the_missed_one_explains_nothing() -> None:
    down = judge(make_check(rules=make_rules(period=timedelta(minutes=30))), at(minutes=35)).check

    assert Status.DOWN is success(down, at()).check.status
    assert Status.UP is success(down, at() + TICK).check.status


def test_a_success_below_a_gate_that_warns_takes_the_alarm_back_and_leaves_the_warning() -> None:
    down = judge(make_check(rules=make_rules(gates=(WARN,))), CLOSES).check

    step = after_ping(down, make_signal(PingKind.SUCCESS, at(minutes=61), metrics={"rows": Decimal(0)}))

    assert [(Status.DEGRADED, Reason.GATE, CLOSES)] == changes(step)
    assert [(down.flip_no, (Broken(WARN, Decimal(0)),))] == [
        (flip.retracts_flip_no, flip.broken) for flip in step.flips
    ]
    assert ["check.degraded"] == told(step)


def test_a_failure_from_before_the_alarm_changes_nothing() -> None:
    step = fail(missed(), at(minutes=61))

    assert not step.flips
    assert [RunOutcome.FAILED] == outcomes(step)


def test_a_success_from_before_a_newer_failure_changes_nothing() -> None:
    down = fail(missed(), at(minutes=62)).check

    step = success(down, at(minutes=61), past=Past(status_at=Status.UP))

    assert not step.flips
    assert at(minutes=62) == step.check.last_ping_at


def test_rules_that_raise_by_now_do_not_stand_in_the_way_of_taking_an_alarm_back() -> None:
    def raises(_instant: datetime, _anchor: datetime) -> datetime | None:
        raise LookupError("no such zone")

    step = success(edited_to(missed(), make_rules(next_after=raises), at(hours=2)), at(minutes=61))

    assert ["check.up", "schedule error"] == told(step)


def twice_unverified() -> Check:
    blind = [make_blind(at(minutes=61), at(minutes=62)), make_blind(at(minutes=121), at(minutes=122))]
    rules = make_rules(next_after=fires(*(at(hours=n) for n in range(1, 9))))
    return judge(make_check(rules=rules), at(hours=2) + GRACE, blind).check


@pytest.mark.parametrize(("when", "in_row"), [(at(minutes=62), 1), (at(hours=2) - TICK, 1), (at(hours=2), 0)])
def test_a_success_in_one_of_two_unverified_slots_takes_the_alarm_back(when: datetime, in_row: int) -> None:
    step = success(twice_unverified(), when)

    assert [(Status.UP, Reason.RETRACTED, at(hours=2) + GRACE)] == changes(step)
    assert (at(hours=3), in_row) == (step.check.expected_at, step.check.unverified_in_row)


def test_a_success_before_both_unverified_slots_takes_nothing_back() -> None:
    assert not success(twice_unverified(), at(minutes=59)).flips


def test_an_alarm_after_two_unverified_slots_of_a_period_stands_until_the_next_success() -> None:
    """Which of them a success that comes late belongs to is not known any more."""
    blind = [make_blind(at(minutes=61), at(minutes=62)), make_blind(at(minutes=121), at(minutes=122))]
    down = judge(make_check(), at(minutes=127), blind).check

    assert (Status.DOWN, Reason.MISSED_TWICE_UNVERIFIED) == (down.status, down.status_reason)
    assert not success(down, at(hours=1)).flips
    assert success(down, at(minutes=128)).flips


@pytest.mark.parametrize("rid", [None, "a"])
@pytest.mark.parametrize("when", [at(minutes=11), at(minutes=15)])
def test_the_end_of_a_run_that_seemed_to_hang_takes_the_alarm_back(when: datetime, rid: str | None) -> None:
    down, run = hung(rid)

    step = success(down, when, rid=rid, past=Past(status_at=Status.UP, hung_run=run))

    assert [(Status.UP, Reason.RETRACTED, at(minutes=15))] == changes(step)
    assert [(run.id, RunOutcome.OK, when - at(minutes=10))] == [(r.id, r.outcome, r.duration) for r in step.runs]
    assert when + HOUR + GRACE == step.check.goes_down_at


@pytest.mark.parametrize(("rid", "when"), [("b", at(minutes=11)), (None, at(minutes=11)), ("b", at(minutes=15))])
def test_another_end_from_before_a_run_hung_is_no_recovery(rid: str | None, when: datetime) -> None:
    down, run = hung("a")

    step = success(down, when, rid=rid, past=Past(hung_run=run))

    assert not step.flips
    assert Status.DOWN is step.check.status
    assert run.id != step.runs[0].id


def test_an_end_from_before_the_run_that_hung_is_not_its_end() -> None:
    down, run = hung()

    step = success(down, at(minutes=9), past=Past(hung_run=run))

    assert not step.flips
    assert [None] == [found.started_at for found in step.runs]


def test_without_history_no_hanging_run_is_taken_back() -> None:
    assert not success(hung()[0], at(minutes=11)).flips


def test_the_failure_of_a_run_that_seemed_to_hang_is_recorded_with_it() -> None:
    down, run = hung()

    step = fail(down, at(minutes=12), past=Past(hung_run=run))

    assert not step.flips
    assert [(run.id, RunOutcome.FAILED, at(minutes=12))] == [(r.id, r.outcome, r.ended_at) for r in step.runs]


def test_the_end_of_a_run_that_hung_does_not_hide_a_slot_that_was_missed_by_then() -> None:
    rules = make_rules(period=GRACE, grace=timedelta(minutes=1), max_run=timedelta(minutes=20))
    step = judge(start(make_check(rules=rules), at(minutes=4)).check, at(minutes=24))
    assert [Reason.HUNG] == [flip.reason for flip in step.flips]

    late = success(step.check, at(minutes=6), past=Past(hung_run=step.runs[0]))

    assert not late.flips
    assert [RunOutcome.OK] == outcomes(late)


# --- a failure with a newer success --------------------------------------------------------------------


def newer_success() -> Check:
    """Up since START, and the last success came in minute 30."""
    return success(make_check(), at(minutes=30)).check


def test_a_failure_that_nobody_heard_of_is_two_flips_told_as_one_message() -> None:
    check = newer_success()

    step = fail(check, at(minutes=20), past=WAS_UP)

    assert [(Status.DOWN, Reason.FAIL, at(minutes=20)), (Status.UP, Reason.SUCCESS, at(minutes=30))] == changes(step)
    assert [None, AlertKind.UP] == [flip.tell for flip in step.flips]
    down, up = step.flips
    assert (check.flip_no + 1, check.flip_no + 2) == (down.flip_no, up.flip_no)
    assert (Status.UP, Status.DOWN, at(minutes=20)) == (down.from_status, up.from_status, up.down_since)
    assert step.run is down.run is up.run
    assert (Status.UP, at(minutes=30), check.flip_no + 2) == (
        step.check.status,
        step.check.status_since,
        step.check.flip_no,
    )
    assert (check.expected_at, check.last_end, at(minutes=30)) == (
        step.check.expected_at,
        step.check.last_end,
        step.check.last_ping_at,
    )


def test_a_late_failure_leaves_the_slot_alone() -> None:
    rules = make_rules(next_after=fires(*(at(minutes=n) for n in range(5, 100, 10))))
    check = success(make_check(rules=rules), at(minutes=30)).check

    assert at(minutes=35) == fail(check, at(minutes=20), past=WAS_UP).check.expected_at


def test_a_late_failure_gives_its_exit_status_as_the_reason() -> None:
    step = ping(newer_success(), PingKind.FAIL, at(minutes=20), exit_status=3, past=WAS_UP)

    assert Reason.EXIT_STATUS is step.flips[0].reason


def test_a_success_below_a_gate_that_fails_is_a_failure_also_when_it_is_late() -> None:
    gate = Gate("rows", Op.GT, Decimal(0), Level.FAIL)
    check = replace(newer_success(), rules=make_rules(gates=(gate,)))

    step = after_ping(check, make_signal(PingKind.SUCCESS, at(minutes=20)), past=WAS_UP)

    assert [Reason.GATE, Reason.SUCCESS] == [flip.reason for flip in step.flips]


def test_a_late_failure_of_a_check_that_is_degraded_by_now_ends_in_degraded() -> None:
    check = make_check(Status.DEGRADED, since=at(minutes=30))

    step = fail(check, at(minutes=20), past=WAS_UP)

    assert [(Status.DOWN, Reason.FAIL), (Status.DEGRADED, Reason.GATE)] == [(f.to_status, f.reason) for f in step.flips]
    assert Reason.GATE is step.check.status_reason
    assert ["check.up"] == told(step)


@pytest.mark.parametrize("status_at", [Status.NEW, Status.DEGRADED])
def test_a_late_failure_is_told_whatever_else_the_check_was(status_at: Status) -> None:
    assert ["check.up"] == told(fail(newer_success(), at(minutes=20), past=Past(status_at=status_at)))


@pytest.mark.parametrize("past", [Past(status_at=Status.DOWN), Past(status_at=Status.PAUSED), Past(), None])
def test_a_late_failure_is_only_recorded_where_the_check_was_down_or_paused_or_nobody_knows(past: Past | None) -> None:
    step = fail(newer_success(), at(minutes=20), past=past)

    assert not step.flips
    assert [RunOutcome.FAILED] == outcomes(step)


def test_a_late_failure_is_only_recorded_where_the_newest_end_was_a_failure() -> None:
    assert not fail(make_check(Status.DOWN, since=at(minutes=30)), at(minutes=20), past=WAS_UP).flips


def test_a_late_success_is_only_recorded() -> None:
    check = newer_success()

    step = success(check, at(minutes=20), past=WAS_UP)

    assert not step.flips
    assert [(RunOutcome.OK, None)] == [(run.outcome, run.slot_at) for run in step.runs]
    assert replace(check, n_pings=check.n_pings + 1, rev=check.rev + 1) == step.check


def test_a_late_end_closes_the_run_that_it_belongs_to() -> None:
    check = start(make_check(), at(minutes=10), rid="a").check
    check = success(check, at(minutes=12), rid="b").check

    step = success(check, at(minutes=11), rid="a", past=WAS_UP)

    assert not step.check.open_runs
    assert [timedelta(minutes=1)] == [run.duration for run in step.runs]
    assert check.last_duration == step.check.last_duration


# --- starts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rid", "past"),
    [("a", Past(rid_ended=True)), (None, Past(newer_anonymous_end=True)), ("a", Past(newer_anonymous_end=True))],
)
def test_a_start_that_comes_after_its_end_opens_nothing(rid: str | None, past: Past) -> None:
    step = start(newer_success(), at(minutes=20), rid=rid, past=past)

    assert (None, (), ()) == (step.run, step.runs, step.check.open_runs)
    assert at(minutes=30) == step.check.last_ping_at


@pytest.mark.parametrize("past", [WAS_UP, None])
@pytest.mark.parametrize("rid", [None, "a"])
def test_a_late_start_whose_end_is_not_known_opens_a_run(rid: str | None, past: Past | None) -> None:
    step = start(newer_success(), at(minutes=28), rid=rid, past=past)

    assert at(minutes=33) == step.check.goes_down_at


def test_a_start_whose_id_has_ended_opens_nothing_though_nothing_newer_is_known() -> None:
    signal = make_signal(PingKind.START, at(minutes=31), rid="a")
    assert needs_past(newer_success(), signal)

    assert not after_ping(newer_success(), signal, past=Past(rid_ended=True)).check.open_runs
    assert after_ping(newer_success(), signal, past=Past()).check.open_runs


def test_a_start_in_order_opens_a_run_whatever_ended_before() -> None:
    assert start(newer_success(), at(minutes=31), past=Past(newer_anonymous_end=True)).check.open_runs


def test_a_start_older_than_the_one_that_is_open_was_superseded_before_we_heard_of_it() -> None:
    check = start(make_check(), at(minutes=10)).check

    step = start(check, at(minutes=9))

    assert check.open_runs == step.check.open_runs
    assert [(RunOutcome.SUPERSEDED, at(minutes=9))] == [(run.outcome, run.started_at) for run in step.runs]
    assert at(minutes=10) == step.check.last_ping_at


def test_an_old_start_with_an_id_opens_its_run_beside_a_newer_one() -> None:
    check = start(make_check(), at(minutes=10)).check

    assert 2 == len(start(check, at(minutes=9), rid="a").check.open_runs)


def test_an_end_from_before_a_start_is_not_the_end_of_that_run() -> None:
    check = start(make_check(), at(minutes=10)).check

    step = success(check, at(minutes=9))

    assert check.open_runs == step.check.open_runs
    assert (at(minutes=10), PingKind.START) == (step.check.last_ping_at, step.check.last_kind)
    assert at(minutes=9) == step.check.anchor_at


# --- pauses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [PingKind.SUCCESS, PingKind.FAIL])
def test_an_end_from_before_a_pause_does_not_end_it(kind: PingKind) -> None:
    paused = pause(make_check(), at(minutes=10)).check

    step = ping(paused, kind, at(minutes=10) - TICK)

    assert Status.PAUSED is step.check.status
    assert at() == step.check.last_ping_at
    assert 1 == len(step.runs)
    assert Status.PAUSED is not ping(paused, kind, at(minutes=10)).check.status


@pytest.mark.parametrize("kind", [PingKind.SUCCESS, PingKind.FAIL])
def test_an_end_from_before_a_resume_does_not_count_after_it(kind: PingKind) -> None:
    resumed = resume(pause(make_check(), at(minutes=5)).check, at(minutes=10))
    assert resumed is not None

    step = ping(resumed.check, kind, at(minutes=10) - TICK)

    assert (Status.NEW, None, None) == (step.check.status, step.check.last_ping_at, step.check.last_end)
    assert Status.NEW is not ping(resumed.check, kind, at(minutes=10)).check.status


def test_a_run_from_before_a_pause_cannot_hang_after_it() -> None:
    step = start(pause(make_check(), at(minutes=10)).check, at(minutes=10) - TICK)

    assert [RunOutcome.SUPERSEDED] == outcomes(step)
    assert step.check.wake_at is None


# --- a wall clock that is set back ----------------------------------------------------------------------


def test_a_clock_set_back_by_an_hour_makes_no_signal_late_and_no_alarm() -> None:
    check = ping(make_check(), PingKind.SUCCESS, at(minutes=30), seq=10).check

    step = ping(check, PingKind.FAIL, at(minutes=-25), seq=11)
    assert [(Status.DOWN, Reason.FAIL, at())] == changes(step), "a flip is never older than the one before it"

    step = ping(step.check, PingKind.SUCCESS, at(minutes=-20), seq=12)
    assert [(Status.UP, Reason.SUCCESS, at())] == changes(step)
    assert (at(minutes=40), at(minutes=-20)) == (step.check.expected_at, step.check.last_ping_at)
    step = judge(step.check, at(minutes=45) - TICK)
    assert not step.flips
    assert Status.DOWN is judge(step.check, at(minutes=45)).check.status


def test_a_recovery_after_the_clock_was_set_back_is_a_recovery() -> None:
    check = judge(ping(make_check(), PingKind.SUCCESS, at(minutes=30), seq=10).check, at(minutes=95)).check

    step = ping(check, PingKind.SUCCESS, at(minutes=29), seq=11)

    assert [(Status.UP, Reason.SUCCESS, at(minutes=95))] == changes(step)


def test_an_end_after_the_clock_was_set_back_ends_a_pause() -> None:
    check = pause(ping(make_check(), PingKind.SUCCESS, at(minutes=30), seq=10).check, at(minutes=31)).check

    assert Status.UP is ping(check, PingKind.SUCCESS, at(minutes=29), seq=11).check.status


def test_a_start_after_the_clock_was_set_back_supersedes_the_one_before_it() -> None:
    check = ping(make_check(), PingKind.START, at(minutes=30), seq=10).check

    step = ping(check, PingKind.START, at(minutes=-20), seq=11)

    assert [at(minutes=-20)] == [run.started_at for run in step.check.open_runs]


def test_a_slot_that_was_missed_on_a_clock_set_back_is_told_without_turning_history_round() -> None:
    check = ping(make_check(Status.DOWN, since=at(minutes=90)), PingKind.SUCCESS, at(), seq=10**12).check

    step = judge(check, CLOSES)

    assert [(Status.DOWN, Reason.MISSED, at(minutes=90))] == changes(step)


def test_a_late_failure_from_before_the_clock_was_set_back_ends_no_earlier_than_it_began() -> None:
    check = ping(make_check(), PingKind.SUCCESS, at(minutes=-20), seq=11).check

    step = ping(check, PingKind.FAIL, at(minutes=30), seq=10, past=WAS_UP)

    assert [at(minutes=30), at(minutes=30)] == [flip.at for flip in step.flips]


def test_a_run_that_hangs_unheard_by_its_node_can_be_of_any_order() -> None:
    run = replace(make_run(at(minutes=10)), order=None)
    check = judge(make_check(open_runs=(run,)), at(minutes=15)).check

    assert Status.UP is success(check, at(minutes=10), past=Past(hung_run=run)).check.status
    assert Status.DOWN is success(check, at(minutes=10) - TICK, past=Past(hung_run=run)).check.status
