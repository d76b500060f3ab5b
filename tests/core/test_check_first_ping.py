"""A new check whose first ping is wanted by an instant: found if it never pings, left alone as soon as it does."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from heartfly.core.check import after_ping, edited, first_ping_by, needs_past, pause, resume
from heartfly.core.slots import current_slot
from heartfly.core.values import Check, NextAfter, Past, Rules, replace
from heartfly.core.words import PingKind, Reason, RunOutcome, Status
from tests.factories import (
    GRACE,
    HOUR,
    START,
    TICK,
    at,
    changes,
    fail,
    fires,
    judge,
    make_blind,
    make_rules,
    make_signal,
    ping,
    start,
    success,
    told,
)

BY = at(hours=3)
DAY = timedelta(days=1)


def new(rules: Rules | None = None, by: datetime | None = BY) -> Check:
    made = Check(rules=rules or make_rules(), status=Status.NEW, status_since=START)
    step = first_ping_by(made, by, START)
    assert step is not None
    return step.check


def test_without_one_a_new_check_waits_for_ever() -> None:
    check = new(by=None)

    assert (None, None, None) == (check.expected_at, check.goes_down_at, check.wake_at)
    assert not judge(check, at(days=3650)).flips


@pytest.mark.parametrize(("through", "down"), [(BY - TICK, False), (BY, True), (BY + TICK, True)])
def test_the_instant_itself_is_the_deadline_without_any_grace(through: datetime, *, down: bool) -> None:
    check = new()

    assert (BY, BY) == (check.goes_down_at, check.wake_at)
    assert down == (judge(check, through).check.status is Status.DOWN)


def test_it_goes_down_with_a_reason_of_its_own_and_people_are_told() -> None:
    step = judge(new(), at(hours=9))

    assert [(Status.DOWN, Reason.NO_FIRST_PING, BY)] == changes(step)
    assert ["check.down"] == told(step)
    assert [(BY, RunOutcome.MISSED)] == [(run.slot_at, run.outcome) for run in step.runs]
    assert (None, None) == (step.check.expected_at, step.check.wake_at)
    assert Status.UP is after_ping(step.check, make_signal(when=at(hours=10)), past=Past()).check.status


@pytest.mark.parametrize("first", [success, fail, start])
def test_the_first_ping_ends_it(first: object) -> None:
    step = first(new(), at(hours=1))  # type: ignore[operator]

    assert BY not in {step.check.expected_at, step.check.goes_down_at}
    assert first_ping_by(step.check, BY, at(hours=1)) is None


def test_a_start_is_a_first_ping_and_its_run_may_take_its_time() -> None:
    check = start(new(make_rules(max_run=5 * HOUR)), at(hours=2)).check

    assert at(hours=7) == check.goes_down_at
    assert [(Status.DOWN, Reason.HUNG, at(hours=7))] == changes(judge(check, at(hours=8)))


@pytest.mark.parametrize("kind", [PingKind.LOG, PingKind.IGNORED])
def test_what_says_nothing_about_the_job_is_no_first_ping(kind: PingKind) -> None:
    check = ping(new(), kind, at(hours=1)).check

    assert BY == check.goes_down_at
    assert first_ping_by(check, at(hours=4), at(hours=1)) is not None


def test_it_can_be_put_off_and_taken_back() -> None:
    later = first_ping_by(new(), at(hours=5), at(hours=1))
    assert later is not None
    never = first_ping_by(later.check, None, at(hours=1))
    assert never is not None

    assert (at(hours=5), None) == (later.check.goes_down_at, never.check.goes_down_at)


def test_another_schedule_moves_it_not_and_a_pause_forgets_it() -> None:
    check = edited(new(), make_rules(period=DAY), at(hours=1)).check
    paused = pause(check, at(hours=2)).check
    resumed = resume(paused, at(hours=2, minutes=1))
    assert resumed is not None
    again = first_ping_by(resumed.check, at(hours=9), at(hours=2, minutes=1))
    assert again is not None

    assert BY == check.goes_down_at
    assert (None, None, at(hours=9)) == (paused.expected_at, resumed.check.goes_down_at, again.check.goes_down_at)


def test_nobody_hears_that_a_new_check_is_late() -> None:
    step = judge(new(make_rules(wants_late=True)), BY - TICK)

    assert (BY, None) == (step.check.wake_at, step.late_since)
    assert ["check.down"] == told(judge(step.check, BY))


# --- time in which we could not hear -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("blind", "excused"),
    [
        ((at(minutes=-9), START - TICK), False),
        ((at(minutes=-9), START), False),  # a whole slot was heard since
        ((at(hours=1), BY - HOUR - GRACE), False),  # the same, to the microsecond
        ((at(hours=1), BY - HOUR - GRACE + TICK), True),
        ((BY, BY + TICK), True),
        ((BY + TICK, BY + HOUR), False),
    ],
)
def test_only_what_may_have_come_unheard_is_excused(blind: tuple[datetime, datetime], *, excused: bool) -> None:
    step = judge(new(), BY, [make_blind(*blind)])

    assert (Status.NEW if excused else Status.DOWN) is step.check.status
    assert excused == bool(step.unverified)
    assert (None if excused else Reason.NO_FIRST_PING) == step.check.status_reason


def test_what_is_excused_is_judged_at_the_end_of_the_first_slot_that_can_be_heard() -> None:
    excused = judge(new(), BY, [make_blind(at(hours=2, minutes=50), at(hours=2, minutes=55))])

    until = at(hours=3, minutes=55) + GRACE
    assert (until, 1) == (excused.check.goes_down_at, excused.check.unverified_in_row)
    assert [(BY, RunOutcome.UNVERIFIED)] == [(run.slot_at, run.outcome) for run in excused.runs]
    assert [(Status.DOWN, Reason.NO_FIRST_PING, until)] == changes(judge(excused.check, until))


def test_twice_in_a_row_is_an_alarm() -> None:
    deaf = [
        make_blind(at(hours=2), at(hours=2, minutes=55)),
        make_blind(at(hours=3, minutes=30), at(hours=3, minutes=40)),
    ]

    step = judge(new(), at(hours=5), deaf)

    assert 1 == len(step.unverified)
    assert [(Status.DOWN, Reason.MISSED_TWICE_UNVERIFIED, at(hours=3, minutes=55) + GRACE)] == changes(step)


def test_one_that_is_wanted_anew_may_be_excused_anew() -> None:
    excused = judge(new(), BY, [make_blind(BY, BY)]).check
    anew = first_ping_by(excused, at(hours=6), BY)
    assert anew is not None

    assert 1 == len(judge(anew.check, at(hours=6), [make_blind(at(hours=6), at(hours=7))]).unverified)


def raises(*_: object) -> None:
    raise LookupError("no such zone")


@pytest.mark.parametrize("next_after", [fires(at(hours=1)), raises])
def test_where_no_slot_follows_what_was_excused_is_not_waited_for(next_after: NextAfter) -> None:
    step = judge(new(make_rules(next_after=next_after)), BY, [make_blind(at(hours=2), at(hours=4))])

    assert (Status.NEW, None, None) == (step.check.status, step.check.goes_down_at, step.check.schedule_error_at)
    assert 1 == len(step.unverified)


# --- out of order ------------------------------------------------------------------------------------


def test_a_first_success_that_reached_us_late_takes_the_alarm_back() -> None:
    down = judge(new(), BY).check
    signal = make_signal(when=BY - TICK)

    step = after_ping(down, signal, past=Past())

    assert needs_past(down, signal)
    assert [(Status.UP, Reason.RETRACTED, BY)] == changes(step)
    assert 1 == step.flips[0].retracts_flip_no


def test_one_that_would_have_been_followed_by_silence_does_not() -> None:
    down = judge(new(), BY).check

    step = after_ping(down, make_signal(when=at(minutes=1)), past=Past())

    assert (Status.DOWN, ()) == (step.check.status, step.flips)


def test_a_start_from_before_the_resume_is_none() -> None:
    paused = pause(success(new(), at(hours=1)).check, at(hours=2)).check
    resumed = resume(paused, at(hours=2, minutes=1))
    assert resumed is not None
    waiting = first_ping_by(resumed.check, BY, at(hours=2, minutes=1))
    assert waiting is not None

    assert BY == start(waiting.check, at(hours=1, minutes=59)).check.goes_down_at


def test_its_slot_is_shown_as_it_is_judged() -> None:
    slot = current_slot(new())
    assert slot is not None
    assert (START, BY, BY) == (slot.counts_from, slot.expected_at, slot.closes_at)

    excused = judge(new(), BY, [make_blind(BY, BY)]).check
    after = current_slot(excused)
    assert after is not None
    assert BY + TICK == after.counts_from
    assert current_slot(replace(excused, expected_at=None)) is None
