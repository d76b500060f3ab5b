"""Why a check has its status: sentences that a person reads at 3 a.m., and the facts that they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from heartfly.core.check import first_ping_by, pause, resume
from heartfly.core.gate_text import gate_of_text
from heartfly.core.gates import Gate, Level, Op
from heartfly.core.slots import current_slot
from heartfly.core.values import Blind, Check, Flip, Rules, Run, Step, replace
from heartfly.core.verdict import asks_since, verdict, what_now
from heartfly.core.verdict_facts import Again, LastFlip, Newest, Touches, Verdict
from heartfly.core.words import PingKind, Reason, Status
from tests.factories import (
    GRACE,
    HOUR,
    START,
    TICK,
    at,
    fires,
    judge,
    make_blind,
    make_check,
    make_rules,
    make_run,
    start,
    success,
)

MINUTE = timedelta(minutes=1)
ROWS = Gate("rows", Op.GT, Decimal(0), Level.FAIL)
SOME = Gate("rows", Op.GT, Decimal(9), Level.WARN)


def of(check: Check, now: datetime, **known: Any) -> Verdict:
    return verdict(check, now=now, schedule="every 1 h", **known)


def said(check: Check, now: datetime, **known: Any) -> list[str]:
    return list(of(check, now, **known).sentences)


def last(step: Step, **more: Any) -> LastFlip:
    return LastFlip(flip=step.flips[-1], **more)


def missed(check: Check | None = None, blind: Sequence[Blind] = ()) -> Step:
    """Up at 03:00, each hour with a grace of 5 min; down at 04:05."""
    return judge(check or make_check(), at(hours=2), blind)


# --- each status -----------------------------------------------------------------------------------


def test_a_new_check_waits_for_its_first_success() -> None:
    assert ["It is new: nothing is expected until its first success."] == said(make_check(Status.NEW), at())


def test_a_new_check_says_by_when_its_first_ping_is_wanted_and_is_never_late() -> None:
    wanted = first_ping_by(make_check(Status.NEW), at(hours=2), at())
    assert wanted is not None
    check = wanted.check
    ahead, due = (verdict(check, now=now, schedule="daily") for now in (at(), at(hours=2)))

    assert (
        "It is new: its first ping is wanted by 2026-03-02 05:00:00 UTC; without one it goes down.",
    ) == ahead.sentences
    assert (
        "It is new: its first ping was wanted by 2026-03-02 05:00:00 UTC, which is about to be judged.",
    ) == due.sentences
    assert (False, False) == (ahead.is_late, due.is_late)
    assert ahead.slot is not None
    assert at(hours=2) == ahead.slot.closes_at


def test_a_resumed_check_waits_for_its_next_success() -> None:
    resumed = resume(pause(make_check(), at(minutes=5)).check, at(minutes=9))
    assert resumed is not None

    (sentence,) = said(resumed.check, at(minutes=10))

    assert (
        "It is new since 2026-03-02 03:09:00 UTC, when somebody resumed it: nothing is expected until its next success."
        == sentence
    )


def test_a_check_that_is_up_says_until_when_silence_is_fine() -> None:
    assert [
        "It is up since 2026-03-02 03:00:00 UTC, when a success came.",
        (
            "A success is expected at 2026-03-02 04:00:00 UTC (every 1 h), and in time until 2026-03-02 04:05:00 UTC, "
            "the end of the grace of 5 min."
        ),
    ] == said(make_check(), at(minutes=1))


@pytest.mark.parametrize(
    ("now", "is_late", "part"),
    [
        (at(hours=1) - TICK, False, "A success is expected at 2026-03-02 04:00:00 UTC"),
        (at(hours=1), True, "A success was expected at 2026-03-02 04:00:00 UTC (every 1 h) and has not come; it is in"),
        (at(hours=1) + GRACE - TICK, True, "and has not come; it is in time until 2026-03-02 04:05:00 UTC"),
        (at(hours=1) + GRACE, True, "A success was expected by 2026-03-02 04:05:00 UTC (every 1 h): that is about to"),
    ],
)
def test_lateness_begins_with_the_slot_and_ends_with_it(now: datetime, is_late: bool, part: str) -> None:  # noqa: FBT001
    found = of(make_check(), now)

    assert part in found.sentences[1]
    assert is_late is found.is_late


def test_an_alarm_that_was_taken_back_is_told() -> None:
    check = replace(make_check(), status_reason=Reason.RETRACTED)

    assert "took the alarm of 2026-03-02 03:00:00 UTC back" in said(check, at())[0]


def test_a_calendar_that_has_ended_expects_nothing_more() -> None:
    check = success(make_check(rules=make_rules(next_after=fires(at(minutes=10)))), at(minutes=10)).check

    assert "Its schedule (every 1 h) has no further time, so nothing more is expected." == said(check, at(hours=9))[1]


def test_a_schedule_that_raises_is_told_with_its_error() -> None:
    def broken(_: datetime, __: datetime) -> datetime | None:
        raise ValueError("there is no zone Mars")

    check = success(make_check(rules=make_rules(next_after=lambda after, _: after + HOUR)), at(minutes=1)).check
    check = success(replace(check, rules=make_rules(next_after=broken)), at(minutes=2)).check

    assert [
        "It is up since 2026-03-02 03:00:00 UTC, when a success came.",
        "When it is expected next cannot be worked out: there is no zone Mars.",
    ] == said(check, at(minutes=3))


def test_a_paused_check_says_what_ends_the_pause() -> None:
    (plain,) = said(pause(make_check(), at(minutes=1)).check, at(minutes=2))
    (sticky,) = said(pause(make_check(rules=make_rules(sticky=True)), at(minutes=1)).check, at(minutes=2))

    assert "It is paused since 2026-03-02 03:01:00 UTC: nothing is expected, and a resume ends that, or" in plain
    assert "and only a resume ends that." in sticky


# --- down and degraded -----------------------------------------------------------------------------


def test_a_check_that_is_down_says_what_was_said_then_and_what_ends_it() -> None:
    step = missed()

    frozen = said(step.check, at(hours=9), last=last(step, said="Nothing came."))
    told_anew = said(step.check, at(hours=9), last=last(step))

    assert ["It is down since 2026-03-02 04:05:00 UTC. Nothing came. It stays down until its next success."] == frozen
    assert "A success was expected at 2026-03-02 04:00:00 UTC (every 1 h) and none came by" in told_anew[0]
    assert "the end of the grace of 5 min." in told_anew[0]
    assert [
        "It is down since 2026-03-02 04:05:00 UTC. Why is not known any more. It stays down until its next success."
    ] == said(step.check, at(hours=9))


def test_a_grace_that_was_edited_since_is_told_as_it_was() -> None:
    step = missed()
    edited = replace(step.check, rules=make_rules(grace=HOUR))

    assert "the end of the grace of 5 min." in said(edited, at(hours=9), last=last(step))[0]


def test_a_failure_is_told_without_a_slot() -> None:
    run = Run(id=1, exit_status=7)
    flip = Flip(flip_no=2, at=at(), from_status=Status.UP, to_status=Status.DOWN, reason=Reason.EXIT_STATUS, run=run)
    check = replace(make_check(Status.DOWN), status_reason=Reason.EXIT_STATUS)

    assert "The job ended with exit status 7." in said(check, at(), last=LastFlip(flip=flip))[0]
    assert "exit status None" in said(check, at(), last=LastFlip(flip=replace(flip, run=None)))[0]


def by_gate(status: Status, gates: tuple[Gate, ...], **metrics: Decimal) -> tuple[Check, LastFlip]:
    check = replace(make_check(status, rules=make_rules(gates=gates)), status_reason=Reason.GATE)
    flip = Flip(flip_no=2, at=at(), from_status=Status.UP, to_status=status, reason=Reason.GATE, run=Run(id=1))
    return check, LastFlip(flip=flip, metrics=metrics)


def test_figures_that_break_gates_are_told_with_those() -> None:
    check, flip = by_gate(Status.DOWN, (ROWS, SOME), rows=Decimal(0))

    found = of(check, at(), last=flip)

    assert [ROWS, SOME] == [one.gate for one in found.broken_gates]
    assert (
        "It is down since 2026-03-02 03:00:00 UTC. A success came, but its figures break rows > 0, rows > 9. "
        "It stays down until its next success whose figures hold." == found.sentences[0]
    )


def test_figures_that_only_warn_are_told_too() -> None:
    check, flip = by_gate(Status.DEGRADED, (SOME,), rows=Decimal(5))

    sentences = said(check, at(), last=flip)

    assert (
        "It is degraded since 2026-03-02 03:00:00 UTC: a success came, but its figures break rows > 9." == sentences[0]
    )
    assert sentences[1].startswith("A success is expected at")


def test_gates_that_need_words_of_their_own_get_them() -> None:
    ratio, covers = (gate_of_text(line, field="gate") for line in ("bad / rows < 1%", "coverage unbroken warn"))
    check, flip = by_gate(Status.DEGRADED, (ratio, covers), rows=Decimal(10), bad=Decimal(1))

    assert (
        "It is degraded since 2026-03-02 03:00:00 UTC: a success came, but its figures break bad / rows < 1% (bad / "
        "rows is 10% (1 of 10), expected < 1%), coverage unbroken (coverage was not reported: no from and to, expected "
        "it unbroken)." == said(check, at(), last=flip)[0]
    )


def test_a_flip_whose_run_is_not_kept_is_explained_by_its_figures() -> None:
    check, flip = by_gate(Status.DEGRADED, (SOME,), rows=Decimal(5))
    last = LastFlip(flip=replace(flip.flip, run=None), metrics=flip.metrics)

    assert [SOME] == [one.gate for one in of(check, at(), last=last).broken_gates]


def test_a_gate_without_enough_past_says_that_it_holds() -> None:
    usual = gate_of_text("rows within 40% of median(last 20 runs)", field="gate")

    assert (
        "The gate rows within 40% of median(last 20 runs) has nothing to compare with yet: 0 of 7 runs that went well "
        "are known. Until then it holds for any figure." == said(make_check(rules=make_rules(gates=(usual,))), at())[-1]
    )


def test_a_gate_that_was_edited_since_breaks_nothing() -> None:
    check, flip = by_gate(Status.DEGRADED, (), rows=Decimal(5))

    assert "its figures broke a gate that has been changed since" in said(check, at(), last=flip)[0]
    assert () == of(check, at()).broken_gates


# --- runs ------------------------------------------------------------------------------------------


def test_a_run_under_way_is_no_lateness_and_says_until_when_it_may_take() -> None:
    check = start(make_check(), at(minutes=59)).check

    found = of(check, at(hours=1, minutes=1))

    assert not found.is_late
    assert (
        "A run is under way since 2026-03-02 03:59:00 UTC; it may take until 2026-03-02 04:04:00 UTC."
        in found.sentences
    )
    assert [(at(minutes=64), False)] == [(run.ends_by, run.holds_slot) for run in found.runs]


def test_a_run_that_holds_its_slot_is_told_as_the_reason_of_the_later_end() -> None:
    check = start(make_check(rules=make_rules(max_run=HOUR)), at(minutes=59)).check

    found = of(check, at(hours=1, minutes=10))

    assert found.slot is not None
    assert at(hours=1, minutes=59) == found.slot.closes_at
    assert [True] == [run.holds_slot for run in found.runs]
    assert (
        "it is in time until 2026-03-02 04:59:00 UTC, as a run that is under way may take so long."
        in found.sentences[1]
    )


def test_a_run_over_its_limit_is_about_to_be_judged() -> None:
    check = start(make_check(Status.NEW), at()).check

    assert "The run that started at 2026-03-02 03:00:00 UTC is over its limit: that is about to be judged." in said(
        check, at() + GRACE
    )
    assert "A run is under way since" in said(check, at() + GRACE - TICK)[1]


@pytest.mark.parametrize(("n", "words"), [(3, None), (4, "1 more is under way."), (6, "3 more are under way.")])
def test_of_many_runs_some_are_named_and_the_rest_are_counted(n: int, words: str | None) -> None:
    runs = tuple(make_run(at(minutes=i), rid=str(i)) for i in range(n))

    sentences = said(make_check(Status.NEW, open_runs=runs), at(minutes=3))

    assert min(n, 3) == len([one for one in sentences if one.startswith("A run is under way")])
    assert (words if words is not None else sentences[-1]) == sentences[-1]
    assert (words is not None) == ("more" in sentences[-1])


# --- our own deafness ------------------------------------------------------------------------------

CALENDAR: Rules = make_rules(next_after=fires(*(at(hours=n) for n in range(1, 6))))


def touched(found: Verdict) -> list[Touches]:
    return [touch.what for touch in found.blind]


@pytest.mark.parametrize(
    ("from_at", "to_at", "expected"),
    [
        (at(minutes=50), at(hours=1) - TICK, []),
        (at(minutes=50), at(hours=1), [Touches.SLOT]),
        (at(hours=1) + GRACE, at(hours=2), [Touches.SLOT]),
        (at(hours=1) + GRACE + TICK, at(hours=2), []),
    ],
)
def test_an_interval_that_touches_the_slot_excuses_silence(
    from_at: datetime, to_at: datetime, expected: list[Touches]
) -> None:
    check = make_check(rules=CALENDAR)

    found = of(check, at(hours=1, minutes=1), blind=[make_blind(from_at, to_at)])

    assert expected == touched(found)
    assert len(expected) == sum("silence is unverified, and no alarm." in one for one in found.sentences)


def test_where_no_silence_is_excused_an_interval_says_so() -> None:
    check = make_check(rules=replace(CALENDAR, unverified_is_down=True))

    (sentence,) = (one for one in said(check, at(hours=1, minutes=1), blind=[make_blind(at(minutes=50), at(hours=1))])
                   if "touches the slot" in one)  # fmt: skip

    assert sentence.endswith("That touches the slot: the check wants silence to be an alarm all the same.")


def test_a_job_with_a_period_may_have_come_early_and_unheard() -> None:
    found = of(make_check(), at(minutes=59), blind=[make_blind(at(minutes=50), at(minutes=55))])

    assert [Touches.SLOT] == touched(found)
    assert found.slot is not None
    assert at(minutes=55) == found.slot.counts_from


def test_the_second_slot_in_a_row_is_not_excused() -> None:
    first, second = make_blind(at(minutes=50), at(minutes=62)), make_blind(at(hours=2), at(hours=2, minutes=1))
    check = judge(make_check(rules=CALENDAR), at(hours=1, minutes=30), [first]).check

    found = of(check, at(hours=2, minutes=2), blind=[first, second])

    assert [Touches.EXCUSED, Touches.SLOT] == touched(found)
    assert [
        (
            "Heartfly itself could not hear from 2026-03-02 03:50:00 UTC to 2026-03-02 04:02:00 UTC. "
            "That excused the slot before."
        ),
        (
            "Heartfly itself could not hear from 2026-03-02 05:00:00 UTC to 2026-03-02 05:01:00 UTC. "
            "That touches the slot: it is the second in a row, so silence is an alarm."
        ),
    ] == list(found.sentences[-2:])
    assert (
        "The slot before was excused, as Heartfly itself could not hear for part of it." == said(check, at(hours=2))[-1]
    )
    assert first.to_at == asks_since(check, None)


def test_an_alarm_after_two_slots_that_nobody_heard_names_what_touched_it() -> None:
    first, second = make_blind(at(minutes=50), at(minutes=62)), make_blind(at(hours=2), at(hours=2, minutes=1))
    check = judge(make_check(rules=CALENDAR), at(hours=1, minutes=30), [first]).check
    step = judge(check, at(hours=2, minutes=5), [first, second])

    found = of(step.check, at(hours=3), last=last(step), blind=[first, second])

    assert Reason.MISSED_TWICE_UNVERIFIED is step.check.status_reason
    assert Touches.ALARM in touched(found)
    assert (
        "Heartfly itself could not hear from 2026-03-02 05:00:00 UTC to 2026-03-02 05:01:00 UTC. "
        "That touches the slot that was missed." == found.sentences[-1]
    )
    since = asks_since(step.check, last(step))
    assert since is not None
    assert since <= at(hours=2) - GRACE
    no_run = LastFlip(flip=replace(step.flips[-1], run=None))
    assert Touches.ALARM not in touched(of(step.check, at(hours=3), last=no_run, blind=[second]))


def test_a_run_that_an_interval_touches_may_have_ended_unheard() -> None:
    check = start(make_check(Status.NEW), at()).check
    blind = make_blind(at(minutes=2), at(minutes=3))

    found = of(check, at(minutes=4), blind=[blind, make_blind(at(minutes=-9), at() - TICK)])

    assert [Touches.RUN] == touched(found)
    assert "That touches a run under way, whose end may have come unheard." in found.sentences[-1]
    assert at() == asks_since(check, None)


def test_what_nothing_waits_for_asks_for_no_interval() -> None:
    assert asks_since(make_check(Status.NEW), None) is None
    assert at(minutes=55) == asks_since(make_check(), None)


# --- pings that count for nothing ------------------------------------------------------------------


def test_a_ping_that_was_ignored_is_told_for_somebody_wonders() -> None:
    ignored = said(make_check(), at(minutes=2), newest=Newest(PingKind.IGNORED, at(minutes=1)))
    counted = said(make_check(), at(minutes=2), newest=Newest(PingKind.LOG, at(minutes=1)))

    assert "Its newest ping, at 2026-03-02 03:01:00 UTC, was ignored" in ignored[1]
    assert 2 == len(counted)


# --- the slot itself -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.NEW, Status.DOWN, Status.PAUSED])
def test_nothing_is_expected_of_what_is_not_watched(status: Status) -> None:
    assert current_slot(make_check(status)) is None


@pytest.mark.parametrize("n", [0, 20, 59])
def test_the_slot_is_the_one_that_is_judged(n: int) -> None:
    """Whatever began when: one microsecond before the slot closes nothing is judged, and then something is."""
    check = start(make_check(rules=make_rules(max_run=HOUR)), at(minutes=n)).check
    slot = current_slot(check)
    assert slot is not None

    first = min(slot.closes_at, *(run.started_at + HOUR for run in check.open_runs if run.started_at))

    assert () == judge(check, first - TICK).flips
    assert 1 == len(judge(check, first).flips)


@pytest.mark.parametrize(
    ("again", "says"),
    [
        (Again(at=at(hours=3)), "It has failed again since, last at 2026-03-02 06:00:00 UTC."),
        (
            Again(at=at(hours=3), exit_status=7),
            "It has failed again since, last with exit status 7 at 2026-03-02 06:00",
        ),
        (Again(at=at(hours=3), hung=True), "A run hung since: it was not done by 2026-03-02 06:00:00 UTC."),
    ],
)
def test_a_check_that_is_down_says_that_it_failed_again(again: Again, says: str) -> None:
    step = missed()

    assert any(sentence.startswith(says) for sentence in said(step.check, at(hours=4), last=last(step), again=again))
    assert not any("since" in sentence for sentence in said(make_check(Status.NEW), at(), again=again))


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (make_check(Status.DOWN), "It stays down until its next success."),
        (
            replace(make_check(Status.UP), goes_down_at=START + HOUR + GRACE),
            (
                "Its next success is expected at 2026-03-02 04:00:00 UTC; if none has come by 2026-03-02 04:05:00 UTC, "
                "that counts as missed."
            ),
        ),
        (
            replace(make_check(Status.DEGRADED), goes_down_at=None),
            "Its next success is expected at 2026-03-02 04:00:00 UTC.",
        ),
        (replace(make_check(Status.UP), expected_at=None), ""),
        (make_check(Status.PAUSED), ""),
    ],
)
def test_an_alert_says_what_holds_from_now_on(check: Check, said: str) -> None:
    assert said == what_now(check)
