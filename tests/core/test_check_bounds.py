"""Bounds of runs: each rule at its edges, and what it does beside the others."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from heartfly.core.bounds import Bounds, By, fitting, reports
from heartfly.core.check import after_ping, edited, needs_past
from heartfly.core.gates import Level
from heartfly.core.tolerance import Begun, Memory, Tolerance
from heartfly.core.values import Check, Past, Step
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

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def bound(check_status: Status = Status.UP, *, tolerance: Tolerance | None = None, **bounds: Any) -> Check:
    made = Bounds(**bounds)
    return make_check(check_status, rules=make_rules(bounds=made, tolerance=tolerance or Tolerance()))


def reason(step: Step) -> Reason | None:
    assert step.run is not None
    return step.run.reason


def progress(check: Check, when: datetime, *, rid: str | None = None) -> Step:
    return ping(check, PingKind.PROGRESS, when, rid=rid)


# --- too fast ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("took", "down"), [(MINUTE, False), (MINUTE - TICK, True)])
def test_a_run_is_too_fast_below_the_least_that_it_must_take(took: timedelta, *, down: bool) -> None:
    began = start(bound(min_run=MINUTE), at(minutes=10)).check

    step = success(began, at(minutes=10) + took)

    assert ([(Status.DOWN, Reason.TOO_FAST, at(minutes=10) + took)] if down else []) == changes(step)
    assert [RunOutcome.FAILED if down else RunOutcome.OK] == outcomes(step)


def test_one_that_is_only_warned_of_is_degraded() -> None:
    began = start(bound(min_run=MINUTE, min_run_level=Level.WARN), at(minutes=10)).check

    step = success(began, at(minutes=10))

    assert [(Status.DEGRADED, Reason.TOO_FAST, at(minutes=10))] == changes(step)
    assert (["check.degraded"], Reason.TOO_FAST) == (told(step), reason(step))


def test_of_a_run_without_a_start_it_is_not_known_and_that_proves_nothing() -> None:
    assert [(Status.DOWN, Reason.TOO_FAST, at(minutes=10))] == changes(success(bound(min_run=MINUTE), at(minutes=10)))


def test_a_failure_that_was_fast_is_a_failure() -> None:
    assert [(Status.DOWN, Reason.FAIL, at(minutes=10))] == changes(fail(bound(min_run=MINUTE), at(minutes=10)))


# --- the start has a deadline of its own -------------------------------------------------------------


def test_a_start_must_come_by_its_deadline_and_the_end_has_its_own() -> None:
    check = bound(start_within=MINUTE)
    assert at(hours=1) + MINUTE == check.goes_down_at == check.wake_at

    begun = start(check, at(hours=1) + MINUTE - TICK).check

    assert begun.goes_down_at == at(hours=1) + MINUTE - TICK + GRACE  # of its run, which holds the slot
    assert [(Status.DOWN, Reason.HUNG, begun.goes_down_at)] == changes(judge(begun, at(hours=2)))
    assert [] == changes(judge(success(begun, at(hours=1) + GRACE).check, at(hours=2)))


def test_without_a_start_it_is_down_at_that_very_instant() -> None:
    check = bound(start_within=MINUTE)

    assert [] == changes(judge(check, at(hours=1) + MINUTE - TICK))
    step = judge(check, at(hours=1) + MINUTE)
    assert [(Status.DOWN, Reason.NOT_STARTED, at(hours=1) + MINUTE)] == changes(step)
    assert [(at(hours=1), RunOutcome.MISSED)] == [(run.slot_at, run.outcome) for run in step.runs]


def test_a_success_without_a_start_is_both() -> None:
    assert [] == changes(judge(success(bound(start_within=MINUTE), at(hours=1)).check, at(hours=2)))


def test_a_start_that_may_have_come_unheard_is_excused_and_its_end_is_not() -> None:
    deaf = [make_blind(at(hours=1), at(hours=1))]
    heard_again = judge(bound(start_within=MINUTE), at(hours=1) + MINUTE, deaf)
    assert [] == changes(heard_again)
    assert at(hours=1) + GRACE == heard_again.check.goes_down_at

    assert ["unverified"] == told(judge(heard_again.check, at(hours=1) + GRACE, deaf))


def test_a_start_from_before_the_alarm_that_came_late_takes_it_back() -> None:
    down = judge(bound(start_within=MINUTE), at(hours=1) + MINUTE).check
    signal = make_signal(PingKind.START, at(hours=1), node=2)
    assert needs_past(down, signal)

    step = after_ping(down, signal, past=Past(status_at=Status.UP))

    assert [(Status.UP, Reason.RETRACTED, at(hours=1) + MINUTE)] == changes(step)
    assert [down.flip_no] == [flip.retracts_flip_no for flip in step.flips]
    assert step.check.goes_down_at == at(hours=1) + GRACE
    assert at(hours=1) == step.check.expected_at
    assert [(Status.DOWN, Reason.HUNG, at(hours=1) + GRACE)] == changes(judge(step.check, at(hours=2)))


@pytest.mark.parametrize(
    ("before", "after"),
    [(Status.DEGRADED, Status.DEGRADED), (Status.UP, Status.UP), (Status.DOWN, Status.UP), (None, Status.UP)],
)
def test_an_alarm_that_is_taken_back_leaves_what_was_there_before_it(before: Status | None, after: Status) -> None:
    down = judge(bound(Status.DEGRADED, start_within=MINUTE), at(hours=1) + MINUTE).check

    step = after_ping(down, make_signal(PingKind.START, at(hours=1), node=2), past=Past(status_at=before))

    assert [after] == [to for to, _, _ in changes(step)]


def test_a_start_that_comes_after_the_alarm_takes_nothing_back() -> None:
    down = judge(bound(start_within=MINUTE), at(hours=1) + MINUTE).check
    step = start(down, at(hours=1) + MINUTE + TICK)
    assert [] == changes(step)
    assert [(Status.UP, Reason.SUCCESS, at(hours=1) + 2 * MINUTE)] == changes(
        success(step.check, at(hours=1.0) + 2 * MINUTE)
    )


def test_what_is_tolerated_of_it_ends_the_slot_and_is_not_missed_as_well() -> None:
    check = bound(start_within=MINUTE, tolerance=Tolerance(failures=2))

    step = judge(check, at(hours=2) + MINUTE)

    assert [(Status.DOWN, Reason.NOT_STARTED, at(hours=2) + MINUTE)] == changes(step)
    assert ["1 of 2", ""] == [run.tolerated for run in step.runs]


# --- too often ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gap", "down"), [(MINUTE, False), (MINUTE - TICK, True)])
def test_runs_must_begin_so_far_apart(gap: timedelta, *, down: bool) -> None:
    first = success(bound(apart=MINUTE), at(minutes=10)).check

    step = success(first, at(minutes=10) + gap)

    assert ([(Status.DOWN, Reason.TOO_SOON, at(minutes=10) + gap)] if down else []) == changes(step)


def test_a_run_counts_by_its_beginning_and_its_end_is_none() -> None:
    first = start(bound(apart=MINUTE), at(minutes=10)).check

    done = success(first, at(minutes=10, seconds=5))

    assert [] == changes(done)
    again = start(done.check, at(minutes=10, seconds=20))
    assert [(Status.DOWN, Reason.TOO_SOON, at(minutes=10, seconds=20))] == changes(again)
    assert 1 == len(again.check.open_runs)


def test_the_end_of_a_run_too_many_is_no_recovery() -> None:
    check = start(start(bound(apart=MINUTE), at(minutes=10)).check, at(minutes=10, seconds=20)).check
    assert Status.DOWN is check.status

    step = success(check, at(minutes=11))

    assert ([], [RunOutcome.FAILED], Reason.TOO_SOON) == (changes(step), outcomes(step), reason(step))
    assert [Status.UP] == [to for to, _, _ in changes(success(step.check, at(minutes=12)))]


def test_only_so_many_may_begin_in_a_span() -> None:
    check = bound(most=3, most_in=HOUR, most_level=Level.WARN)
    for minute in (10, 20, 30):
        step = success(check, at(minutes=minute))
        check = step.check
        assert [] == changes(step)

    assert [(Status.DEGRADED, Reason.TOO_OFTEN, at(minutes=70) - TICK)] == changes(
        success(check, at(minutes=70) - TICK)
    )
    assert [] == changes(success(check, at(minutes=70)))


def test_the_same_run_sent_again_is_one_run() -> None:
    check = bound(apart=10 * MINUTE)
    once = success(check, at(minutes=10), rid="a").check

    assert [] == changes(success(once, at(minutes=10, seconds=30), rid="a"))
    assert [Reason.TOO_SOON] == [why for _, why, _ in changes(success(once, at(minutes=13), rid="a"))]


def test_a_start_too_soon_fails_at_once_and_its_run_goes_on() -> None:
    check = start(bound(apart=MINUTE), at(minutes=10)).check

    step = start(check, at(minutes=10, seconds=20))

    assert [(Status.DOWN, Reason.TOO_SOON, at(minutes=10, seconds=20))] == changes(step)
    assert [Reason.TOO_SOON] == [run.reason for run in step.check.open_runs]


def test_a_start_too_soon_may_be_tolerated_and_its_run_says_so() -> None:
    check = start(bound(apart=MINUTE, tolerance=Tolerance(failures=2)), at(minutes=10)).check

    step = start(check, at(minutes=10, seconds=20))

    assert ([], ["1 of 2"]) == (changes(step), [run.tolerated for run in step.check.open_runs])


def test_a_start_too_soon_that_is_only_warned_of_makes_degraded_what_is_up_and_nothing_else() -> None:
    check = start(bound(apart=MINUTE, apart_level=Level.WARN), at(minutes=10)).check

    degraded = start(check, at(minutes=10, seconds=20))

    assert [(Status.DEGRADED, Reason.TOO_SOON, at(minutes=10, seconds=20))] == changes(degraded)
    again = start(degraded.check, at(minutes=10, seconds=40))
    assert ([], Reason.TOO_SOON) == (changes(again), reason(again))


def test_what_is_down_already_does_not_go_down_again_by_a_start_too_soon() -> None:
    down = start(bound(Status.DOWN, apart=MINUTE), at(minutes=10)).check

    step = start(down, at(minutes=10, seconds=20))

    assert ([], Reason.TOO_SOON) == (changes(step), reason(step))


def test_a_start_that_comes_after_those_that_followed_it_is_not_counted_among_them() -> None:
    check = success(bound(apart=MINUTE), at(minutes=10)).check

    late = start(check, at(minutes=9, seconds=30), past=Past())

    assert ([], check.memory.begun) == (changes(late), late.check.memory.begun)


def test_a_start_that_is_sent_again_after_its_end_is_the_same_run() -> None:
    once = success(bound(apart=10 * MINUTE), at(minutes=10), rid="a").check

    again = start(once, at(minutes=11), rid="a")

    assert ([], once.memory.begun) == (changes(again), again.check.memory.begun)


def test_a_pause_forgets_what_ran_before() -> None:
    check = success(bound(apart=MINUTE), at(minutes=10)).check
    rules = make_rules(bounds=Bounds())
    assert (at(minutes=10),) == tuple(one.at for one in check.memory.begun)
    assert () == edited(check, rules, at(minutes=11)).check.memory.begun


@pytest.mark.parametrize(
    ("bounds", "kept"),
    [
        (Bounds(most=2, most_in=HOUR), [2, 3]),
        (Bounds(most=5, most_in=HOUR), [1, 2, 3]),
        (Bounds(apart=MINUTE), [3]),
        (Bounds(min_run=MINUTE), []),
    ],
)
def test_what_began_is_kept_as_far_as_the_rules_ask_for_it(bounds: Bounds, kept: list[int]) -> None:
    memory = Memory(begun=tuple(Begun(at(minutes=n)) for n in (1, 2, 3)))

    assert [at(minutes=n) for n in kept] == [one.at for one in fitting(bounds, memory).begun]


# --- several reports -------------------------------------------------------------------------------


def reported(check: Check, when: datetime, source: str, kind: PingKind = PingKind.SUCCESS) -> Step:
    return after_ping(check, make_signal(kind, when, source=source))


def by_address(check_status: Status = Status.UP, *, n: int = 3, tolerance: Tolerance | None = None) -> Check:
    return bound(check_status, reports=n, reports_by=By.ADDRESS, tolerance=tolerance)


def test_a_slot_is_kept_when_all_have_reported() -> None:
    check = by_address()
    for minute, host in enumerate(("a", "b", "a", "b")):
        check = reported(check, at(hours=1, minutes=minute), host).check
    assert (at(hours=1), at(hours=1) + GRACE) == (check.expected_at, check.goes_down_at)

    check = reported(check, at(hours=1, minutes=4), "c").check

    assert at(hours=2, minutes=4) == check.expected_at
    assert () == check.memory.reported


def test_when_one_is_missing_at_its_end_it_is_down_and_says_so() -> None:
    check = by_address()
    for host in ("a", "b"):
        check = reported(check, at(hours=1), host).check

    step = judge(check, at(hours=1) + GRACE)

    assert [(Status.DOWN, Reason.TOO_FEW, at(hours=1) + GRACE)] == changes(step)
    assert [Reason.MISSED] == [why for _, why, _ in changes(judge(by_address(), at(hours=1) + GRACE))]


def test_a_report_for_the_slot_before_is_none_for_this_one() -> None:
    check = by_address()
    for host in ("a", "b", "c"):
        check = reported(check, at(hours=1), host).check
    for host in ("b", "c"):
        check = reported(check, at(hours=2), host).check

    assert [(Status.DOWN, Reason.TOO_FEW, at(hours=2) + GRACE)] == changes(judge(check, at(hours=2) + GRACE))


def test_it_is_up_again_when_all_have_reported_again_and_not_before() -> None:
    check = judge(reported(by_address(), at(hours=1), "a").check, at(hours=1) + GRACE).check
    for hour in (2, 3):
        for host in ("a", "b"):
            step = reported(check, at(hours=hour), host)
            check = step.check
            assert [] == changes(step)

    assert [(Status.UP, Reason.SUCCESS, at(hours=3, minutes=1))] == changes(
        reported(check, at(hours=3, minutes=1), "c")
    )


def test_reports_that_are_counted_do_not_add_up_over_slots() -> None:
    check = judge(bound(reports=3), at(hours=1) + GRACE).check
    for hour in (2, 2.5, 4, 4.1):  # never three within a slot
        step = success(check, at(hours=hour))
        check = step.check
        assert [] == changes(step)

    assert [Status.UP] == [to for to, _, _ in changes(success(check, at(hours=4.2)))]


def test_reports_are_told_apart_by_their_run_ids_and_those_without_one_are_one() -> None:
    check = bound(reports=3, reports_by=By.RID)
    for rid in ("a", "a", None, None):
        step = success(check, at(hours=1), rid=rid)
        check = step.check
        assert at(hours=1) == check.expected_at

    assert at(hours=2) == success(check, at(hours=1), rid="b").check.expected_at


@pytest.mark.parametrize(
    ("before", "round_at"),
    [
        (Memory(), at(hours=5)),
        (Memory(round_at=at(hours=1)), at(hours=5)),
        (Memory(reported=("a",)), at(hours=5)),
        (Memory(reported=("a",), round_at=at(hours=1)), at(hours=1)),
    ],
)
def test_a_round_begins_with_its_first_report_or_with_the_first_after_it_was_over(
    before: Memory, round_at: datetime
) -> None:
    after, are_all = reports(Bounds(reports=3), before, key="b", at=at(hours=5), round_over=False)

    assert (Memory(reported=(*before.reported, "b"), round_at=round_at), False) == (after, are_all)


def test_the_first_report_of_a_new_check_puts_it_under_watch() -> None:
    check = reported(by_address(Status.NEW), at(), "a").check

    assert (Status.UP, at(hours=1)) == (check.status, check.expected_at)
    assert [Reason.TOO_FEW] == [why for _, why, _ in changes(judge(check, at(hours=1) + GRACE))]


def test_a_report_that_comes_late_completes_its_slot_and_takes_the_alarm_back() -> None:
    check = by_address()
    for host in ("a", "b"):
        check = reported(check, at(hours=1), host).check
    down = judge(check, at(hours=1) + GRACE).check
    late = make_signal(PingKind.SUCCESS, at(hours=1) + MINUTE, source="c")

    assert [(Status.UP, Reason.RETRACTED, at(hours=1) + GRACE)] == changes(after_ping(down, late, past=Past()))


def test_one_that_fails_within_what_is_tolerated_leaves_the_slot_to_the_others() -> None:
    check = by_address(n=2, tolerance=Tolerance(failures=2))
    step = reported(check, at(hours=1), "a", PingKind.FAIL)
    assert ([], at(hours=1)) == (changes(step), step.check.expected_at)

    check = reported(step.check, at(hours=1, minutes=1), "b").check

    # That "a" failed, and that it reported no success, are two.
    assert [(Status.DOWN, Reason.TOO_FEW, at(hours=1) + GRACE)] == changes(judge(check, at(hours=1) + GRACE))


def test_a_slot_that_we_could_not_hear_wants_all_reports_anew() -> None:
    check = reported(by_address(), at(hours=1), "a").check

    step = judge(check, at(hours=1) + GRACE, [make_blind(at(hours=1), at(hours=1))])

    assert ["unverified"] == told(step)
    assert () == step.check.memory.reported


# --- progress ----------------------------------------------------------------------------------------


def test_a_run_that_says_it_is_at_work_has_its_limit_anew() -> None:
    rules = make_rules(max_run=10 * MINUTE)
    check = start(make_check(rules=rules), at(minutes=10)).check

    step = progress(check, at(minutes=19))

    assert ([], at(minutes=29)) == (changes(step), step.check.goes_down_at)
    assert [at(minutes=19)] == [run.progress_at for run in step.runs]  # which is what is written of it
    assert [(Status.DOWN, Reason.HUNG, at(minutes=29))] == changes(judge(step.check, at(hours=1)))


def test_it_holds_its_slot_for_as_long_as_it_says_so() -> None:
    rules = make_rules(max_run=10 * MINUTE)
    check = start(make_check(rules=rules), at(hours=1)).check
    for minute in range(5, 60, 5):
        check = progress(check, at(hours=1, minutes=minute)).check
        assert [] == changes(judge(check, at(hours=1, minutes=minute + 5)))

    assert at(hours=2, minutes=5) == check.goes_down_at
    assert [] == changes(judge(success(check, at(hours=2)).check, at(hours=3)))


def test_starts_that_supersede_one_another_gain_nothing_by_it() -> None:
    rules = make_rules(max_run=10 * MINUTE)
    check = start(make_check(rules=rules), at(hours=1)).check
    for minute in range(4, 40, 4):
        check = start(check, at(hours=1, minutes=minute)).check
        check = progress(check, at(hours=1, minutes=minute, seconds=1)).check

    assert [(Status.DOWN, Reason.MISSED, at(hours=1) + GRACE + 10 * MINUTE)] == changes(judge(check, at(hours=1.7)))


def test_of_two_runs_it_is_the_one_that_is_named() -> None:
    rules = make_rules(max_run=10 * MINUTE)
    check = start(start(make_check(rules=rules), at(minutes=10), rid="a").check, at(minutes=11), rid="b").check

    check = progress(check, at(minutes=15), rid="b").check

    assert [("a", None), ("b", at(minutes=15))] == [(run.rid, run.progress_at) for run in check.open_runs]
    assert [(Status.DOWN, Reason.HUNG, at(minutes=20))] == changes(judge(check, at(minutes=24)))


def test_of_no_run_that_is_under_way_it_says_nothing() -> None:
    check = make_check()
    for step in (progress(check, at(minutes=10)), progress(start(check, at(minutes=1)).check, at(minutes=2), rid="x")):
        assert ([], None, ()) == (changes(step), step.run, step.runs)


def test_what_could_not_be_heard_before_it_excuses_nothing() -> None:
    check = start(make_check(rules=make_rules(max_run=10 * MINUTE)), at(minutes=10)).check
    check = progress(check, at(minutes=15)).check

    step = judge(check, at(minutes=25), [make_blind(at(minutes=11), at(minutes=12))])

    assert [(Status.DOWN, Reason.HUNG, at(minutes=25))] == changes(step)


# --- early -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bounds", "by"), [({"early": 10 * MINUTE}, 10 * MINUTE), ({"early_share": 10}, HOUR / 10)])
def test_a_run_far_before_its_slot_does_not_satisfy_it(bounds: dict[str, Any], by: timedelta) -> None:
    check = bound(**bounds)

    too_early = success(check, at(hours=1) - by - TICK)

    assert ([], Reason.TOO_EARLY, [RunOutcome.OK]) == (changes(too_early), reason(too_early), outcomes(too_early))
    assert at(hours=1) == too_early.check.expected_at
    assert [(Status.DOWN, Reason.MISSED, at(hours=1) + GRACE)] == changes(judge(too_early.check, at(hours=1.5)))
    early = success(check, at(hours=1) - by)
    assert (at(hours=2) - by, None) == (early.check.expected_at, reason(early))


def test_by_a_calendar_a_run_that_comes_a_little_early_is_for_its_slot() -> None:
    rules = make_rules(next_after=fires(at(hours=1), at(days=1), at(days=2)), bounds=Bounds(early=10 * MINUTE))
    check = make_check(rules=rules)

    assert at(days=1) == success(check, at(hours=1) - MINUTE).check.expected_at
    assert at(hours=1) == success(check, at(minutes=30)).check.expected_at
    plain = make_check(rules=make_rules(next_after=fires(at(hours=1), at(days=1))))
    assert at(hours=1) == success(plain, at(hours=1) - MINUTE).check.expected_at


def test_one_that_is_too_early_is_a_recovery_all_the_same() -> None:
    rules = make_rules(period=DAY, bounds=Bounds(early=HOUR), tolerance=Tolerance(failures=2))
    check = fail(make_check(rules=rules), at(hours=1)).check
    assert 1 == check.memory.bad

    step = success(check, at(hours=1.5))

    assert (0, at(hours=25)) == (step.check.memory.bad, step.check.expected_at)


def test_before_the_last_slot_of_all_a_share_of_the_time_to_the_next_is_none() -> None:
    rules = make_rules(next_after=fires(at(hours=1)), bounds=Bounds(early_share=50))
    check = make_check(rules=rules)

    assert Reason.TOO_EARLY is reason(success(check, at(hours=1) - TICK))
    assert reason(success(check, at(hours=1))) is None


def test_after_the_last_slot_of_all_no_success_is_too_early() -> None:
    check = success(
        make_check(rules=make_rules(next_after=fires(at(hours=1)), bounds=Bounds(early=MINUTE))), at(hours=1)
    )
    assert check.check.expected_at is None

    step = success(check.check, at(hours=1.5))

    assert ([], None) == (changes(step), reason(step))
