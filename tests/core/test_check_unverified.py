"""Silence that we ourselves may have caused: slots and runs touched by a blind interval."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from heartfly.core.values import Blind, Past, replace
from heartfly.core.words import Reason, RunOutcome, Status
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
    outcomes,
    start,
    success,
    told,
)

HOURLY = make_rules(next_after=fires(*(at(hours=n) for n in range(1, 12))))
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
    step = judge(make_check(rules=HOURLY), CLOSES, [make_blind(from_at, to_at)])

    assert [RunOutcome.UNVERIFIED if touches else RunOutcome.MISSED] == outcomes(step)
    assert touches == (step.check.status is Status.UP)


def test_an_unverified_slot_is_listed_with_what_we_could_not_hear() -> None:
    step = judge(make_check(rules=HOURLY), CLOSES, [make_blind(at(), at(minutes=1)), INSIDE])

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
    step = judge(make_check(rules=HOURLY), CLOSES, [make_blind(at(minutes=59), ends)])

    assert expected == step.check.expected_at


def test_of_several_deaf_spans_in_a_slot_the_last_one_says_from_when_we_could_hear() -> None:
    blind = [INSIDE, make_blind(at(minutes=64), at(hours=3, minutes=1)), make_blind(OPENS, OPENS)]

    assert at(hours=4) == judge(make_check(rules=HOURLY), CLOSES, blind).check.expected_at


EVERY_HOUR = make_rules(period=HOUR)


@pytest.mark.parametrize(
    ("grace", "from_at", "to_at", "excused"),
    [
        (GRACE, at(), at(minutes=55) - TICK, False),
        (GRACE, at(), at(minutes=55), True),
        (GRACE, at(minutes=56), at(minutes=57), True),
        (GRACE, CLOSES + TICK, at(hours=9), False),
        (2 * HOUR, at(), at(), False),  # nothing came between an end and itself
        (2 * HOUR, at(), at() + TICK, True),
    ],
)
def test_a_job_without_a_calendar_may_have_come_early_by_the_grace(
    grace: timedelta, from_at: datetime, to_at: datetime, *, excused: bool
) -> None:
    """Heard, that success would have put the slot off."""
    check = make_check(rules=make_rules(period=HOUR, grace=grace))

    step = judge(check, OPENS + grace, [make_blind(from_at, to_at)])

    assert [RunOutcome.UNVERIFIED if excused else RunOutcome.MISSED] == outcomes(step)


@pytest.mark.parametrize("to_at", [at(minutes=57), at(minutes=61), at(hours=4), at(hours=4, minutes=13)])
def test_a_period_counts_from_the_last_moment_in_which_a_success_may_have_come_unheard(to_at: datetime) -> None:
    """A job that sleeps between its runs has lost its rhythm by then."""
    check = judge(make_check(rules=EVERY_HOUR), CLOSES, [make_blind(at(minutes=56), to_at)]).check

    assert to_at + HOUR == check.expected_at
    assert (Status.DOWN, Reason.MISSED) == changes(judge(check, to_at + HOUR + GRACE))[0][:2]


def test_where_the_last_success_is_not_known_the_next_may_have_come_at_any_time() -> None:
    """The second such slot is an alarm all the same, but says why."""
    check = judge(make_check(rules=EVERY_HOUR), CLOSES, [make_blind(at(minutes=58), at(minutes=80))]).check
    assert at(minutes=140) == check.expected_at

    step = judge(check, at(minutes=145), [make_blind(at(minutes=118), at(minutes=119))])

    assert [(Status.DOWN, Reason.MISSED_TWICE_UNVERIFIED, at(minutes=145))] == changes(step)


def test_a_period_shorter_than_its_grace_counts_on_until_a_slot_is_open() -> None:
    check = make_check(rules=make_rules(period=timedelta(minutes=5), grace=timedelta(minutes=20)))

    step = judge(check, at(minutes=25), [make_blind(at(minutes=1), at(minutes=2))])

    assert at(minutes=7) == step.check.expected_at


def test_silence_after_an_unverified_slot_is_an_alarm_as_any_other() -> None:
    check = judge(make_check(rules=HOURLY), CLOSES, [INSIDE]).check

    step = judge(check, at(hours=2) + GRACE, [INSIDE])

    assert [(Status.DOWN, Reason.MISSED, at(hours=2) + GRACE)] == changes(step)
    assert ["check.down"] == told(step)


def both_slots() -> list[Blind]:
    return [INSIDE, make_blind(at(hours=2), at(hours=2))]


def test_nothing_is_excused_twice_in_a_row() -> None:
    check = judge(make_check(rules=HOURLY), CLOSES, both_slots()).check

    step = judge(check, at(hours=2) + GRACE, both_slots())

    assert [(Status.DOWN, Reason.MISSED_TWICE_UNVERIFIED, at(hours=2) + GRACE)] == changes(step)
    assert [(at(hours=2), RunOutcome.MISSED)] == [(run.slot_at, run.outcome) for run in step.runs]
    assert ["check.down"] == told(step)


def test_a_slot_that_opened_in_the_last_instant_that_we_could_not_hear_is_the_second_of_its_row() -> None:
    deaf = [make_blind(at(minutes=1), at(hours=2))]

    step = judge(make_check(rules=HOURLY), at(hours=2) + GRACE, deaf)

    assert [(Status.DOWN, Reason.MISSED_TWICE_UNVERIFIED, at(hours=2) + GRACE)] == changes(step)


def test_two_slots_that_are_judged_in_one_go_are_judged_one_after_the_other() -> None:
    step = judge(make_check(rules=HOURLY), at(hours=2) + GRACE, both_slots())

    assert [RunOutcome.UNVERIFIED, RunOutcome.MISSED] == outcomes(step)
    assert ["check.down", "unverified"] == told(step)


@pytest.mark.parametrize("kind", [success, fail])
def test_any_end_that_is_heard_starts_the_count_again(kind: type[object]) -> None:
    check = judge(make_check(rules=HOURLY), CLOSES, [INSIDE]).check

    check = kind(check, at(minutes=90)).check  # type: ignore[call-arg,attr-defined]

    assert 0 == check.unverified_in_row


def test_a_start_does_not_start_the_count_again() -> None:
    check = judge(make_check(rules=HOURLY), CLOSES, [INSIDE]).check

    assert 1 == start(check, at(minutes=90)).check.unverified_in_row


def test_a_success_in_the_unverified_slot_that_comes_late_is_a_success_in_time() -> None:
    check = judge(make_check(rules=EVERY_HOUR), CLOSES, [INSIDE]).check

    step = success(check, at(minutes=62))

    assert not step.flips
    assert at(minutes=122) == step.check.expected_at


def test_an_outage_of_ours_that_lasts_many_slots_raises_no_alarm() -> None:
    check = make_check(rules=make_rules(period=GRACE, grace=timedelta(minutes=1)))
    blind = [make_blind(at(minutes=3), at(hours=9, minutes=1))]

    step = judge(check, at(hours=9, minutes=5), blind)

    assert [RunOutcome.UNVERIFIED] == outcomes(step)
    assert at(hours=9, minutes=1) + GRACE + timedelta(minutes=1) == step.check.goes_down_at


def test_a_one_time_slot_that_we_could_not_hear_is_not_expected_again() -> None:
    check = judge(make_check(rules=make_rules(next_after=fires(OPENS))), CLOSES, [INSIDE]).check
    assert (None, None) == (check.expected_at, check.wake_at)

    check = judge(success(start(check, at(hours=2), rid="a").check, at(hours=2), rid="a").check, at(days=9)).check

    assert Status.UP is check.status


def test_a_check_whose_last_success_was_never_known_is_judged_by_its_slot_alone() -> None:
    check = replace(make_check(rules=EVERY_HOUR), anchor_at=None)

    assert [RunOutcome.UNVERIFIED] == outcomes(judge(check, CLOSES, [make_blind(at(minutes=55), at(minutes=56))]))
    assert [RunOutcome.MISSED] == outcomes(judge(check, CLOSES, [make_blind(at(minutes=53), at(minutes=54))]))


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
    check = start(make_check(rules=HOURLY), at(minutes=58)).check

    step = judge(check, CLOSES, [blind])

    assert [(at(minutes=58), at(minutes=63), blind)] == [(u.from_at, u.to_at, u.blind) for u in step.unverified]
    assert [Reason.MISSED] == [flip.reason for flip in step.flips]


def test_a_run_that_began_with_its_slot_is_unverified_together_with_it() -> None:
    check = start(make_check(rules=HOURLY), OPENS).check

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


def test_a_restore_excuses_one_more_slot_and_then_no_other() -> None:
    """Unverified in the backup, and -1 since the restore: whether that was in a row nobody knows."""
    check = make_check(rules=HOURLY, unverified_in_row=-1)

    excused = judge(check, CLOSES, [INSIDE]).check
    assert (Status.UP, 1) == (excused.status, excused.unverified_in_row)
    second = judge(excused, CLOSES + HOUR, [make_blind(at(minutes=121), at(minutes=122))])

    assert (Status.DOWN, Reason.MISSED_TWICE_UNVERIFIED) == (second.check.status, second.flips[0].reason)


# --- a check that wants no silence excused

STRICT = replace(HOURLY, unverified_is_down=True)


@pytest.mark.parametrize("blind", [INSIDE, make_blind(at(), at(hours=9)), make_blind(OPENS, OPENS)])
def test_where_no_silence_is_excused_a_slot_that_we_could_not_hear_is_missed_at_its_end(blind: Blind) -> None:
    step = judge(make_check(rules=STRICT), CLOSES, [blind])

    assert [RunOutcome.MISSED] == outcomes(step)
    assert [(Status.DOWN, Reason.MISSED, CLOSES)] == changes(step)
    assert ((), 0) == (step.unverified, step.check.unverified_in_row)
    assert judge(make_check(rules=STRICT), CLOSES - TICK, [blind]).check.status is Status.UP


def test_where_no_silence_is_excused_a_run_hangs_though_its_end_may_have_come_unheard() -> None:
    rules = make_rules(period=HOUR * 24, unverified_is_down=True)
    check = make_check(rules=rules, open_runs=(make_run(at(minutes=10)),))

    step = judge(check, at(minutes=15), [make_blind(at(minutes=12), at(minutes=13))])

    assert ([RunOutcome.HUNG], [Reason.HUNG]) == (outcomes(step), [flip.reason for flip in step.flips])


def test_where_no_silence_is_excused_time_that_was_planned_not_to_be_judged_excuses_all_the_same() -> None:
    planned = replace(INSIDE, planned=True)

    step = judge(make_check(rules=STRICT), CLOSES, [planned, make_blind(at(), at(minutes=1))])

    assert ([RunOutcome.UNVERIFIED], Status.UP) == (outcomes(step), step.check.status)


def test_a_success_that_comes_late_takes_an_alarm_back_that_time_unheard_did_not_excuse() -> None:
    down = judge(make_check(rules=STRICT), CLOSES, [INSIDE]).check

    step = success(down, OPENS + TICK, past=Past(status_at=Status.UP))

    assert [(Status.UP, Reason.RETRACTED, CLOSES)] == changes(step)


def test_what_was_excused_before_the_switch_was_set_is_not_undone_and_the_next_slot_is_an_alarm_of_its_own() -> None:
    excused = judge(make_check(rules=HOURLY), CLOSES, [INSIDE]).check
    strict = edited_to(excused, STRICT, CLOSES + TICK)
    assert (Status.UP, 1, excused.expected_at) == (strict.status, strict.unverified_in_row, strict.expected_at)

    step = judge(strict, at(hours=2) + GRACE, [make_blind(at(hours=2), at(hours=3))])

    assert [Reason.MISSED] == [flip.reason for flip in step.flips]
