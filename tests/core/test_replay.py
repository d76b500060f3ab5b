"""The past under other rules: which alarms there would have been, and which of two rules' alarms are the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.check import after_ping
from heartfly.core.coverage import Span
from heartfly.core.gate_text import gate_of_text
from heartfly.core.gates import Gate, Level, Op
from heartfly.core.replay import Alarm, Command, compared, replay
from heartfly.core.values import Check, Rules, Signal, replace
from heartfly.core.words import PingKind, Reason, Status
from tests.factories import GRACE, HOUR, START, TICK, at, judge, make_blind, make_rules, make_signal, number

FAIL, BEGIN = PingKind.FAIL, PingKind.START


def hourly(*hours: float) -> list[Signal]:
    return [make_signal(when=at(hours=hour)) for hour in hours]


def tried(
    signals: Sequence[Signal], *, through: datetime | None = None, rules: Rules | None = None, **more: Any
) -> list[Any]:
    found = replay(rules or make_rules(), signals, from_at=START, through=through or at(hours=10), **more)
    return [(alarm.at, alarm.reason, alarm.ended_at) for alarm in found]


def test_a_job_that_came_in_time_would_have_raised_no_alarm() -> None:
    assert [] == tried(hourly(*range(11)))


def test_without_a_signal_there_is_nothing_to_alarm_about() -> None:
    assert [] == tried([])


def test_a_gap_is_an_alarm_from_the_deadline_to_the_next_success() -> None:
    assert [(at(hours=3) + GRACE, Reason.MISSED, at(hours=5))] == tried(hourly(0, 1, 2, 5, 6, 7, 8, 9, 10))


def test_an_alarm_that_goes_on_has_no_end() -> None:
    assert [(at(hours=3) + GRACE, Reason.MISSED, None)] == tried(hourly(0, 1, 2))


def test_a_signal_at_the_very_deadline_wins_and_one_a_moment_later_does_not() -> None:
    deadline = at(hours=1) + GRACE
    one, late = make_signal(when=deadline), make_signal(when=deadline + TICK)
    assert [] == tried([*hourly(0), one], through=deadline + TICK)
    assert [(deadline, Reason.MISSED, deadline + TICK)] == tried([*hourly(0), late], through=deadline + 2 * TICK)


def test_silence_is_judged_up_to_the_end_inclusive() -> None:
    deadline = at(hours=1) + GRACE
    assert [(deadline, Reason.MISSED, None)] == tried(hourly(0), through=deadline)
    assert [] == tried(hourly(0), through=deadline - TICK)


def test_a_reported_failure_is_an_alarm_under_every_grace() -> None:
    failed = make_signal(FAIL, at(hours=1), exit_status=3)
    wanted = [(at(hours=1), Reason.EXIT_STATUS, at(hours=2))]
    for grace in (GRACE, 5 * HOUR):
        assert wanted == tried([*hourly(0), failed, *hourly(2)], rules=make_rules(grace=grace), through=at(hours=2.5))


def test_a_longer_grace_takes_an_alarm_away() -> None:
    signals = hourly(0, 1.5, 2.5)
    assert [(at(hours=1) + GRACE, Reason.MISSED, at(hours=1.5))] == tried(signals, through=at(hours=3))
    assert [] == tried(signals, through=at(hours=3), rules=make_rules(grace=HOUR))


def test_a_run_over_its_limit_hangs_and_its_end_is_known_by_its_id() -> None:
    begun, done = make_signal(BEGIN, at(hours=0.5), rid="a"), make_signal(when=at(hours=0.9), rid="a")
    signals = [*hourly(0), begun, done]
    limit = timedelta(minutes=10)
    hung = [(at(hours=0.5) + limit, Reason.HUNG, at(hours=0.9))]
    assert hung == tried(signals, through=at(hours=1), rules=make_rules(max_run=limit))
    assert [] == tried(signals, through=at(hours=1), rules=make_rules(max_run=HOUR))


def test_a_start_that_came_after_its_own_end_does_not_hang() -> None:
    done, begun = make_signal(when=at(hours=0.5), rid="a"), make_signal(BEGIN, at(hours=0.5) + TICK, rid="a")
    other = make_signal(BEGIN, at(hours=0.6), rid="b")
    limit = timedelta(minutes=10)
    assert [] == tried([done, begun], through=at(hours=1), rules=make_rules(max_run=limit))
    assert [Reason.HUNG] == [
        reason for _, reason, _ in tried([done, other], through=at(hours=1), rules=make_rules(max_run=limit))
    ]


def test_an_id_that_a_job_uses_for_ever_names_a_new_run_each_time() -> None:
    done = make_signal(when=at(hours=0.5), rid="a")
    begun = make_signal(BEGIN, at(hours=0.6), rid="a")
    limit = timedelta(minutes=10)
    assert [(at(hours=0.6) + limit, Reason.HUNG, None)] == tried(
        [done, begun], through=at(hours=1), rules=make_rules(max_run=limit)
    )


def test_an_end_that_the_clock_put_before_another_is_judged_all_the_same() -> None:
    """The node's clock was set back: its sequence knows better, and asks for the past, of which there is none."""
    first, second = make_signal(when=at(hours=1), seq=5), make_signal(FAIL, at(hours=1.1), seq=4)
    assert [] == tried([first, second], through=at(hours=1.2))


def test_figures_are_held_against_the_gates() -> None:
    gate = Gate("rows", Op.GE, 10, Level.FAIL)  # type: ignore[arg-type] # compares alike
    assert [(START, Reason.GATE, None)] == tried(hourly(0), rules=make_rules(gates=(gate,)), through=at(hours=0.5))


def test_time_in_which_we_could_not_hear_excuses_a_slot() -> None:
    blind = [make_blind(at(hours=0.9), at(hours=1.2))]
    assert [] == tried(hourly(0, 2), through=at(hours=2), blind=blind)
    assert 1 == len(tried(hourly(0, 2), through=at(hours=2)))


def test_what_was_paused_raises_nothing_and_ends_an_alarm() -> None:
    pauses, goes_on = Command(at=at(hours=2), pauses=True), Command(at=at(hours=8), pauses=False)
    assert [(at(hours=1) + GRACE, Reason.MISSED, at(hours=2))] == tried(hourly(0), commands=[pauses, goes_on])


def test_a_pause_that_a_signal_ended_ends_with_it_though_the_check_is_sticky_now() -> None:
    """What a sticky pause swallowed is no signal of the history, so those that are there counted."""
    pauses, sticky = Command(at=at(hours=2), pauses=True), make_rules(sticky=True)
    wanted = [(at(hours=4) + GRACE, Reason.MISSED, None)]
    assert (
        wanted == tried(hourly(0, 1, 3), commands=[pauses], rules=sticky) == tried(hourly(0, 1, 3), commands=[pauses])
    )


def test_resuming_what_is_not_paused_changes_nothing() -> None:
    """A success in between has ended the pause, as it did not when it was really resumed."""
    commands = [Command(at=at(hours=1), pauses=False)]
    assert tried(hourly(0)) == tried(hourly(0), commands=commands)


def test_a_command_comes_before_a_signal_of_the_same_instant() -> None:
    pauses = Command(at=at(hours=1), pauses=True)
    assert [(at(hours=2) + GRACE, Reason.MISSED, None)] == tried(hourly(0, 1), commands=[pauses])


def test_nobody_who_hears_of_lateness_changes_an_alarm() -> None:
    assert tried(hourly(0)) == tried(hourly(0), rules=make_rules(wants_late=True))


@given(st.lists(st.tuples(st.integers(1, 150), st.sampled_from(list(PingKind)[:3])), max_size=30))
def test_a_replay_finds_what_was_found_as_it_happened(gaps: list[tuple[int, PingKind]]) -> None:
    """The same signals, each judged as the watcher and the door would have done."""
    check = Check(rules=make_rules(), status=Status.NEW, status_since=START)
    when, signals, lived = START, [], []
    for minutes, kind in gaps:
        when += timedelta(minutes=minutes)
        signal = make_signal(kind, when)
        signals.append(signal)
        for step in (judge(check, when - TICK, new_id=number), None):
            flips = (step or after_ping(check, signal)).flips
            check = step.check if step is not None else after_ping(check, signal).check
            lived += [flip.at for flip in flips if flip.to_status is Status.DOWN]
    end = when + 3 * HOUR
    lived += [flip.at for flip in judge(check, end).flips if flip.to_status is Status.DOWN]

    found = replay(make_rules(), signals, from_at=START, through=end)
    assert lived == [alarm.at for alarm in found]
    assert [alarm.at for alarm in found] == sorted(alarm.at for alarm in found)


def test_gates_are_judged_by_what_came_before_in_the_same_history() -> None:
    lines = ("rows within 40% of median(last 7 runs)", "coverage unbroken", "rows > 0")
    usual, covers, some = (gate_of_text(line, field="gate") for line in lines)
    hours = range(12)
    figures = [{"rows": Decimal(1 if hour in {3, 9} else 100)} for hour in hours]
    spans = [Span(at(hours=hour - 1), at(hours=hour)) if hour != 5 else None for hour in hours]
    signals = [
        replace(make_signal(when=at(hours=hour), metrics=metrics), covers=span)
        for hour, metrics, span in zip(hours, figures, spans, strict=True)
    ]

    def alarms(gate: Gate) -> list[datetime]:
        return [begun for begun, _, _ in tried(signals, rules=make_rules(gates=(gate,)), through=at(hours=11))]

    assert [] == alarms(some)
    assert [at(hours=9)] == alarms(usual)  # at 3 too little was known, and it counts among the last seven then
    assert [at(hours=5)] == alarms(covers)


# --- two rules -----------------------------------------------------------------------------------


def alarm(begun: float, ended: float | None) -> Alarm:
    return Alarm(at=at(hours=begun), reason=Reason.MISSED, ended_at=None if ended is None else at(hours=ended))


def test_alarms_that_meet_are_one_and_the_others_are_lost_or_new() -> None:
    moved, longer, lost, added, last = alarm(1, 3), alarm(2, 3), alarm(4, 5), alarm(6, 7), alarm(8, None)
    found = compared([moved, lost, last], [longer, added, last])
    assert (((moved, longer), (last, last)), (lost,), (added,)) == (found.kept, found.lost, found.added)


def test_an_alarm_that_begins_as_another_ends_is_another() -> None:
    found = compared([alarm(1, 2)], [alarm(2, 3)])
    assert (0, 1, 1) == (len(found.kept), len(found.lost), len(found.added))


def test_an_alarm_that_was_taken_back_at_once_still_meets_itself() -> None:
    assert 1 == len(compared([alarm(1, 1)], [alarm(1, 1)]).kept)


def test_an_alarm_that_goes_on_meets_all_that_come_later() -> None:
    found = compared([alarm(1, None)], [alarm(2, 3), alarm(4, 5)])
    assert (1, 0, 0) == (len(found.kept), len(found.lost), len(found.added))


def test_hundreds_of_alarms_are_compared_as_if_each_were_held_against_each(monkeypatch: pytest.MonkeyPatch) -> None:
    old = [alarm(2 * n, 2 * n + 1.5) for n in range(400)]
    new = [alarm(3 * n, 3 * n + 0.75 * (n % 4)) for n in range(300)]
    asked, meets = [], Alarm.meets

    def counted(one: Alarm, other: Alarm) -> bool:
        asked.append(one)
        return meets(one, other)

    pairs = [(one, [other for other in new if meets(one, other)]) for one in old]
    monkeypatch.setattr(Alarm, "meets", counted)
    found = compared(old, new)
    assert tuple((one, others[0]) for one, others in pairs if others) == found.kept
    assert tuple(one for one, others in pairs if not others) == found.lost
    is_met = {other for _, others in pairs for other in others}
    assert tuple(one for one in new if one not in is_met) == found.added
    assert len(asked) <= 3 * (len(old) + len(new))
