"""Silence that we ourselves may have caused: slots and runs touched by a blind interval."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from heartfly.core.values import Blind
from heartfly.core.words import Reason, RunOutcome, Status
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
    make_run,
    outcomes,
    start,
    success,
    told,
)

OPENS, CLOSES = at(hours=1), at(hours=1) + GRACE
INSIDE = make_blind(at(minutes=61), at(minutes=62))


@pytest.mark.parametrize(
    ("from_at", "to_at", "touches"),
    [
        (at(), OPENS - TICK, False),
        (at(), OPENS, True),
        (at(), OPENS + TICK, True),
        (OPENS + TICK, CLOSES - TICK, True),
        (OPENS, OPENS, True),
        (at(), at(hours=9), True),
        (CLOSES - TICK, at(hours=9), True),
        (CLOSES, at(hours=9), True),
        (CLOSES + TICK, at(hours=9), False),
    ],
)
def test_one_instant_of_a_slot_that_we_could_not_hear_excuses_it(
    from_at: datetime, to_at: datetime, *, touches: bool
) -> None:
    step = judge(make_check(), CLOSES, [make_blind(from_at, to_at)])

    assert [RunOutcome.UNVERIFIED if touches else RunOutcome.MISSED] == outcomes(step)
    assert touches == (step.check.status is Status.UP)


def test_an_unverified_slot_is_listed_with_what_we_could_not_hear() -> None:
    step = judge(make_check(), CLOSES, [make_blind(at(), at(minutes=1)), INSIDE])

    assert ["unverified"] == told(step)
    found = step.unverified[0]
    assert (step.runs[0], OPENS, CLOSES, INSIDE) == (found.run, found.from_at, found.to_at, found.blind)
    assert (OPENS, RunOutcome.UNVERIFIED) == (found.run.slot_at, found.run.outcome)
    assert (1, at(hours=2)) == (step.check.unverified_in_row, step.check.expected_at)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        (at(hours=4) - TICK, at(hours=4)),
        (at(hours=4), at(hours=4)),
        (at(hours=4) + TICK, at(hours=5)),
        (at(minutes=61), at(hours=2)),
        (at(hours=1), at(hours=2)),
    ],
)
def test_the_next_slot_is_the_first_that_opens_when_we_could_hear_again(ends: datetime, expected: datetime) -> None:
    step = judge(make_check(), CLOSES, [make_blind(at(minutes=59), ends)])

    assert expected == step.check.expected_at


def test_of_several_deaf_spans_in_a_slot_the_last_one_says_from_when_we_could_hear() -> None:
    blind = [INSIDE, make_blind(at(minutes=64), at(hours=3, minutes=1)), make_blind(OPENS, OPENS)]

    assert at(hours=4) == judge(make_check(), CLOSES, blind).check.expected_at


def test_a_period_keeps_its_rhythm_through_an_unverified_slot() -> None:
    check = judge(make_check(rules=make_rules(period=timedelta(minutes=7))), at(minutes=12), [INSIDE]).check

    assert Status.DOWN is check.status, "the blind interval is not in this slot"
    check = judge(
        make_check(rules=make_rules(period=timedelta(minutes=7))),
        at(minutes=12),
        [make_blind(at(minutes=8), at(minutes=30))],
    ).check
    assert at(minutes=35) == check.expected_at


def test_silence_after_an_unverified_slot_is_an_alarm_as_any_other() -> None:
    check = judge(make_check(), CLOSES, [INSIDE]).check

    step = judge(check, at(hours=2) + GRACE, [INSIDE])

    assert [(Status.DOWN, Reason.MISSED, at(hours=2) + GRACE)] == changes(step)
    assert ["check.down"] == told(step)


def both_slots() -> list[Blind]:
    return [INSIDE, make_blind(at(hours=2), at(hours=2))]


def test_nothing_is_excused_twice_in_a_row() -> None:
    check = judge(make_check(), CLOSES, both_slots()).check

    step = judge(check, at(hours=2) + GRACE, both_slots())

    assert [(Status.DOWN, Reason.MISSED_TWICE_UNVERIFIED, at(hours=2) + GRACE)] == changes(step)
    assert [(at(hours=2), RunOutcome.MISSED)] == [(run.slot_at, run.outcome) for run in step.runs]
    assert ["check.down"] == told(step)


def test_two_slots_that_are_judged_in_one_go_are_judged_one_after_the_other() -> None:
    step = judge(make_check(), at(hours=2) + GRACE, both_slots())

    assert [RunOutcome.UNVERIFIED, RunOutcome.MISSED] == outcomes(step)
    assert ["check.down", "unverified"] == told(step)


@pytest.mark.parametrize("kind", [success, fail])
def test_any_end_that_is_heard_starts_the_count_again(kind: type[object]) -> None:
    check = judge(make_check(), CLOSES, [INSIDE]).check

    check = kind(check, at(minutes=90)).check  # type: ignore[call-arg,attr-defined]

    assert 0 == check.unverified_in_row


def test_a_start_does_not_start_the_count_again() -> None:
    check = judge(make_check(), CLOSES, [INSIDE]).check

    assert 1 == start(check, at(minutes=90)).check.unverified_in_row


def test_a_success_in_the_unverified_slot_that_comes_late_is_a_success_in_time() -> None:
    check = judge(make_check(), CLOSES, [INSIDE]).check

    step = success(check, at(minutes=62))

    assert not step.flips
    assert at(minutes=122) == step.check.expected_at


def test_an_outage_of_ours_that_lasts_many_slots_raises_no_alarm() -> None:
    check = make_check(rules=make_rules(period=GRACE, grace=timedelta(minutes=1)))
    blind = [make_blind(at(minutes=3), at(hours=9, minutes=1))]

    step = judge(check, at(hours=9, minutes=5), blind)

    assert [RunOutcome.UNVERIFIED] == outcomes(step)
    assert at(hours=9, minutes=6) == step.check.goes_down_at


def test_a_one_time_slot_that_we_could_not_hear_is_not_expected_again() -> None:
    check = judge(make_check(rules=make_rules(next_after=fires(OPENS))), CLOSES, [INSIDE]).check
    assert (None, None) == (check.expected_at, check.wake_at)

    check = judge(success(start(check, at(hours=2), rid="a").check, at(hours=2), rid="a").check, at(days=9)).check

    assert Status.UP is check.status


# --- runs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("from_at", "to_at", "touches"),
    [
        (at(), at(minutes=10) - TICK, False),
        (at(), at(minutes=10), True),
        (at(minutes=15), at(hours=9), True),
        (at(minutes=15) + TICK, at(hours=9), False),
    ],
)
def test_a_run_that_we_could_not_hear_all_the_time_does_not_hang(
    from_at: datetime, to_at: datetime, *, touches: bool
) -> None:
    check = make_check(rules=make_rules(period=HOUR * 24), open_runs=(make_run(at(minutes=10)),))

    step = judge(check, at(minutes=15), [make_blind(from_at, to_at)])

    assert [RunOutcome.UNVERIFIED if touches else RunOutcome.HUNG] == outcomes(step)
    assert touches == (step.check.status is Status.UP)
    assert not step.check.open_runs


def test_an_unverified_run_is_listed_and_its_slot_judged_for_itself() -> None:
    blind = make_blind(at(minutes=58), at(minutes=58))
    check = start(make_check(), at(minutes=58)).check

    step = judge(check, CLOSES, [blind])

    assert [(at(minutes=58), at(minutes=63), blind)] == [(u.from_at, u.to_at, u.blind) for u in step.unverified]
    assert [Reason.MISSED] == [flip.reason for flip in step.flips]


def test_a_run_that_began_with_its_slot_is_unverified_together_with_it() -> None:
    check = start(make_check(), OPENS).check

    step = judge(check, CLOSES, [INSIDE])

    assert [(RunOutcome.UNVERIFIED, OPENS, OPENS)] == [(r.outcome, r.started_at, r.slot_at) for r in step.runs]
    assert ["unverified"] == told(step)
    assert (1, at(hours=2)) == (step.check.unverified_in_row, step.check.expected_at)


def test_two_unverified_runs_are_no_alarm() -> None:
    check = start(make_check(Status.NEW), at(minutes=1), rid="a").check
    check = start(check, at(minutes=2), rid="b").check

    step = judge(check, at(hours=1), [make_blind(at(minutes=3), at(minutes=4))])

    assert Status.NEW is step.check.status
    assert ["unverified", "unverified"] == told(step)
