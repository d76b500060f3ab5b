"""What is tolerated: counts at their edges, what counts, and that it is never more than was said."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.check import edited, pause, resume
from heartfly.core.tolerance import (
    NOTHING_KEPT,
    Memory,
    Tolerance,
    standing,
    with_failure,
    with_failure_before,
    with_success,
    without_failure,
)
from heartfly.core.values import Check, Past, Step
from heartfly.core.words import Reason, RunOutcome, Status
from tests.factories import (
    GRACE,
    HOUR,
    at,
    changes,
    fail,
    fires,
    judge,
    make_blind,
    make_check,
    make_rules,
    make_signal,
    start,
    success,
    told,
)

MINUTE = timedelta(minutes=1)
_BAD = {RunOutcome.FAILED, RunOutcome.HUNG, RunOutcome.MISSED}


def tolerant(status: Status = Status.UP, *, max_run: timedelta | None = None, **asked: int) -> Check:
    return make_check(status, rules=make_rules(tolerance=Tolerance(**asked), max_run=max_run))


def test_so_many_in_a_row_are_told_and_one_less_is_not() -> None:
    first = fail(tolerant(failures=3), at(minutes=1))
    second = fail(first.check, at(minutes=2))
    third = fail(second.check, at(minutes=3))

    assert ([], [], ["check.down"]) == (told(first), told(second), told(third))
    assert ["1 of 3", "2 of 3", ""] == [step.runs[-1].tolerated for step in (first, second, third)]
    assert [(3, at(minutes=1))] == [(flip.failure, flip.since) for flip in third.flips]


def test_of_a_share_what_is_not_known_counts_as_gone_well() -> None:
    check = tolerant(share=30, last=10)
    for minute in (1, 2):
        step = fail(check, at(minutes=minute))
        check = step.check
        assert ([], f"{minute} of 3 in the last 10") == (changes(step), step.runs[-1].tolerated)

    step = fail(check, at(minutes=3))
    assert [(Status.DOWN, Reason.FAIL, at(minutes=3))] == changes(step)
    assert ["3 of the last 10"] == [flip.of_last for flip in step.flips]


def test_failures_that_are_out_of_the_last_runs_count_no_more() -> None:
    check = tolerant(share=50, last=4)
    check = fail(check, at(minutes=1)).check
    for minute in (2, 3, 4):
        check = success(check, at(minutes=minute)).check
    check = fail(check, at(minutes=5)).check

    assert (Status.UP, "...x") == (check.status, check.memory.recent)


@pytest.mark.parametrize(("share", "last", "needed"), [(1, 50, 1), (100, 5, 5), (33, 10, 4), (50, 5, 3)])
def test_a_share_is_rounded_up_to_whole_runs(share: int, last: int, needed: int) -> None:
    assert needed == Tolerance(share=share, last=last).of_last


def test_the_miss_of_each_slot_counts_once() -> None:
    step = judge(tolerant(failures=3), at(hours=10))

    assert [(Status.DOWN, Reason.MISSED, at(hours=3) + GRACE)] == changes(step)
    assert [at(hours=1), at(hours=2), at(hours=3)] == [run.slot_at for run in step.runs]


def test_slots_in_between_that_a_run_held_open_are_missed_with_it() -> None:
    rules = make_rules(period=GRACE, grace=MINUTE, max_run=HOUR, tolerance=Tolerance(failures=3))
    check = start(make_check(rules=rules), at(minutes=5), rid="a").check

    step = judge(check, at(hours=2))

    # It hangs, and that ends its slot; then two more are missed.
    assert [RunOutcome.HUNG, RunOutcome.MISSED, RunOutcome.MISSED] == [run.outcome for run in step.runs]
    assert [(Status.DOWN, Reason.MISSED, at(minutes=65) + 2 * GRACE + MINUTE)] == changes(step)


def test_a_run_that_hangs_ends_its_slot_which_is_not_missed_as_well() -> None:
    check = start(tolerant(failures=2, max_run=2 * MINUTE), at(hours=1)).check

    step = judge(check, at(hours=1.5))

    assert ([], 1) == (changes(step), step.check.memory.bad)
    assert at(hours=2, minutes=2) == step.check.expected_at


def test_degraded_stays_degraded_while_it_is_tolerated() -> None:
    step = fail(tolerant(Status.DEGRADED, failures=2), at(minutes=1))
    assert (Status.DEGRADED, []) == (step.check.status, told(step))


@pytest.mark.parametrize("status", [Status.NEW, Status.PAUSED])
def test_what_never_went_well_is_told_at_once(status: Status) -> None:
    assert ["check.down"] == told(fail(tolerant(status, failures=9), at(minutes=1)))


def test_so_many_successes_in_a_row_end_it() -> None:
    check = fail(tolerant(recover=3), at(minutes=1)).check
    for minute, good in ((2, 1), (3, 2)):
        step = success(check, at(minutes=minute))
        check = step.check
        assert ([], good) == (changes(step), check.memory.good)
    check = fail(check, at(minutes=4)).check
    assert 0 == check.memory.good
    for minute in (5, 6):
        check = success(check, at(minutes=minute)).check

    step = success(check, at(minutes=7))
    assert [(Status.UP, Reason.SUCCESS, at(minutes=7))] == changes(step)
    assert (0, 0) == (step.check.memory.good, step.check.memory.bad)


def test_a_run_that_hangs_while_it_is_down_begins_the_successes_anew() -> None:
    check = fail(tolerant(recover=2, max_run=MINUTE), at(minutes=1)).check
    check = start(success(check, at(minutes=2)).check, at(minutes=3)).check

    assert 0 == judge(check, at(minutes=4)).check.memory.good


def test_a_pause_and_a_resume_forget_what_was_counted() -> None:
    check = fail(tolerant(failures=3), at(minutes=1)).check
    paused = pause(check, at(minutes=2)).check
    resumed = resume(paused, at(minutes=3))

    assert NOTHING_KEPT == paused.memory
    assert resumed is not None
    assert NOTHING_KEPT == resumed.check.memory


def test_an_edit_never_alarms_and_the_next_failure_counts_by_the_new_rule() -> None:
    check = fail(tolerant(failures=3), at(minutes=1)).check

    step = edited(check, make_rules(next_after=check.rules.next_after, tolerance=Tolerance(failures=2)), at(minutes=2))

    assert ([], 1) == (changes(step), step.check.memory.bad)
    assert ["check.down"] == told(fail(step.check, at(minutes=3)))
    plain = edited(check, make_rules(), at(minutes=2)).check
    assert NOTHING_KEPT == plain.memory


def test_two_slots_that_could_not_be_heard_count_as_one_miss_and_a_third_as_the_next() -> None:
    check = tolerant(failures=2)
    for hour, flips in ((1, 0), (2, 0), (3, 1)):
        deaf = [make_blind(at(hours=hour), at(hours=hour))]
        step = judge(check, at(hours=hour) + GRACE, deaf)
        check = step.check
        assert flips == len(step.flips)

    assert (Status.DOWN, Reason.MISSED_TWICE_UNVERIFIED) == (check.status, check.status_reason)


def test_a_success_from_before_the_alarm_without_which_too_little_was_missed_takes_it_back() -> None:
    down = judge(tolerant(failures=2), at(hours=2) + GRACE).check
    assert Status.DOWN is down.status

    step = success(down, at(hours=1.5), past=Past(status_at=Status.UP))

    assert [(Status.UP, Reason.RETRACTED, at(hours=2) + GRACE)] == changes(step)
    assert (0, at(hours=2.5)) == (step.check.memory.bad, step.check.expected_at)
    early = success(down, at(minutes=10), past=Past(status_at=Status.UP))  # then 1:10 and no other slot was missed
    assert (1, at(hours=2, minutes=10)) == (early.check.memory.bad, early.check.expected_at)


def test_one_that_leaves_enough_missed_takes_nothing_back() -> None:
    hourly = fires(*(at(hours=hour) for hour in range(1, 9)))
    check = make_check(rules=make_rules(next_after=hourly, tolerance=Tolerance(failures=2)))
    down = judge(check, at(hours=2) + GRACE).check

    assert [] == changes(success(down, at(minutes=30), past=Past(status_at=Status.UP)))


@pytest.mark.parametrize(("row", "goes_on", "flips"), [(0, False, 0), (1, False, 0), (2, False, 2), (2, True, 1)])
def test_a_failure_that_comes_late_makes_its_row_longer(row: int, goes_on: bool, flips: int) -> None:  # noqa: FBT001
    check = success(tolerant(failures=3), at(minutes=10)).check
    past = Past(status_at=Status.UP, bad_row=row, row_goes_on=goes_on)

    step = fail(check, at(minutes=5), past=past)

    assert flips == len(step.flips)
    assert ("" if flips else f"{row + 1} of 3") == step.runs[-1].tolerated
    assert (Status.DOWN if goes_on else Status.UP) is step.check.status


@pytest.mark.parametrize(
    ("asked", "nothing"),
    [
        ({}, True),
        ({"failures": 1}, True),
        ({"failures": 2}, False),
        ({"recover": 2}, False),
        ({"share": 50, "last": 2}, False),
    ],
)
def test_one_failure_in_a_row_and_one_success_are_no_tolerance(asked: dict[str, int], *, nothing: bool) -> None:
    assert nothing is Tolerance(**asked).tolerates_nothing


def test_taking_a_failure_back_from_a_row_without_one_changes_nothing() -> None:
    assert NOTHING_KEPT == without_failure(NOTHING_KEPT)


@pytest.mark.parametrize(("bad", "since"), [(2, at(hours=1)), (1, None)])
def test_a_row_from_which_one_is_taken_back_began_when_it_did(bad: int, since: datetime | None) -> None:
    memory = Memory(bad=bad, bad_since=at(hours=1), recent="gbb")

    assert Memory(bad=bad - 1, bad_since=since, recent="gb") == without_failure(memory)


def test_a_row_begins_with_the_first_failure_after_a_success() -> None:
    three = Tolerance(failures=3)
    failing = with_failure(three, with_failure(three, NOTHING_KEPT, at(hours=1)), at(hours=2))
    better = with_success(three, failing)

    assert (2, at(hours=1)) == (failing.bad, failing.bad_since)
    assert NOTHING_KEPT == better
    assert (1, at(hours=3)) == ((again := with_failure(three, better, at(hours=3))).bad, again.bad_since)


@pytest.mark.parametrize(
    ("recent", "with_it"),
    [("", "x."), (".", "x."), ("x", "xx"), (".x", ".xx"), ("x.", "xx."), ("..x.", ".xx."), ("....", "..x.")],
)
def test_a_failure_that_is_heard_of_late_stands_before_the_run_that_followed_it(recent: str, with_it: str) -> None:
    four = Tolerance(share=50, last=4)

    assert Memory(recent=with_it) == with_failure_before(four, Memory(recent=recent))


def test_how_near_it_is_says_each_rule() -> None:
    both = Tolerance(failures=3, share=50, last=10)
    check = fail(make_check(rules=make_rules(tolerance=both)), at(minutes=1)).check

    assert "1 of 3, 1 of 5 in the last 10" == standing(both, check.memory)
    assert "after 3 in a row or 50% of the last 10, up after 1" == both.text


@given(
    st.lists(st.booleans(), max_size=40),
    st.builds(
        Tolerance,
        failures=st.one_of(st.none(), st.integers(1, 5)),
        share=st.integers(1, 100),
        last=st.integers(1, 12),
        recover=st.integers(1, 3),
    ),
)
def test_no_failure_is_lost_and_each_rule_is_kept_to_the_run(went: list[bool], tolerance: Tolerance) -> None:
    """Against the plain words of the rule: the first failure that is too many is told, none before it is."""
    check, steps = make_check(rules=make_rules(tolerance=tolerance)), list[Step]()
    known: list[bool] = []
    for minute, well in enumerate(went, start=1):
        was_down = check.status is Status.DOWN
        step = success(check, at(minutes=minute)) if well else fail(check, at(minutes=minute))
        known.append(well)
        row = next((n for n, good in enumerate(reversed(known)) if good), len(known))
        of_last = known[-(tolerance.last or 0) :].count(False) * 100 >= (tolerance.share or 0) * (tolerance.last or 0)
        alarm = not well and ((tolerance.failures is not None and row >= tolerance.failures) or of_last)
        assert (alarm and not was_down) == ("check.down" in told(step))
        if not well and not was_down:
            assert alarm != bool(step.runs[-1].tolerated)
        check = step.check
        steps.append(step)


def test_an_anonymous_failure_of_nothing_known_is_told() -> None:
    assert ["check.down"] == told(fail(make_check(), make_signal().at + MINUTE))
