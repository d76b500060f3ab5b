"""Why a check has its status, in words that a person reads at 3 a.m."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from heartfly.core.explain import explain, explain_blind
from heartfly.core.gates import Broken, Gate, Level, Op
from heartfly.core.spans import span
from heartfly.core.values import Blind, Flip, Run, replace
from heartfly.core.words import PingKind, Reason, RunOutcome, Status
from tests.factories import make_check

T0 = datetime(2026, 3, 2, 2, 30, tzinfo=UTC)
RUN = Run(id=1, started_at=T0, slot_at=T0, exit_status=7)


EMPTY = Gate("rows", Op.GT, Decimal(0), Level.FAIL)


def flip(reason: Reason, **rest: object) -> Flip:
    made = Flip(flip_no=1, at=T0 + timedelta(minutes=10), from_status=Status.UP, to_status=Status.DOWN, reason=reason)
    return replace(made, **rest)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "part"),
    [
        (flip(Reason.MISSED, run=RUN), "A success was expected at 2026-03-02 02:30:00 UTC (daily) and none came by"),
        (flip(Reason.MISSED), "expected at 2026-03-02 02:40:00 UTC"),
        (flip(Reason.MISSED_TWICE_UNVERIFIED, run=RUN), "two in a row count"),
        (
            flip(Reason.MISSED_TWICE_UNVERIFIED, from_status=Status.NEW),
            "wanted by 2026-03-02 02:40:00 UTC, and none",
        ),
        (flip(Reason.NO_FIRST_PING), "Its first ping was wanted by 2026-03-02 02:40:00 UTC, and none has come."),
        (flip(Reason.HUNG, run=RUN), "The run that started at 2026-03-02 02:30:00 UTC did not end within"),
        (flip(Reason.HUNG), "started at an unknown time"),
        (flip(Reason.EXIT_STATUS, run=RUN), "exit status 7"),
        (flip(Reason.EXIT_STATUS), "exit status None"),
        (flip(Reason.FAIL), "reported a failure"),
        (flip(Reason.GATE, broken=(Broken(EMPTY, Decimal(0)),)), "success, but rows is 0, expected > 0."),
        (flip(Reason.GATE, broken=(Broken(EMPTY, None),)), "success, but rows was not reported, expected > 0."),
        (flip(Reason.RETRACTED), "A success from before 2026-03-02 02:40:00 UTC reached Heartfly late"),
        (flip(Reason.SUCCESS, down_since=T0), "10 min after it went down"),
        (flip(Reason.SUCCESS), "A success came at 2026-03-02 02:40:00 UTC."),
        (flip(Reason.PAUSED), "paused"),
        (flip(Reason.RESUMED), "resumed"),
    ],
)
def test_every_reason_is_told_in_a_sentence(told: Flip, part: str) -> None:
    assert part in explain(told, make_check(), schedule="daily")


def test_the_last_signal_is_named_if_there_was_one() -> None:
    heard = replace(make_check(), last_ping_at=T0, last_kind=PingKind.START)
    silent = replace(make_check(), last_ping_at=None, last_kind=None)

    assert "The last signal was a start at 2026-03-02 02:30:00 UTC." in explain(
        flip(Reason.MISSED), heard, schedule="x"
    )
    assert "last signal" not in explain(flip(Reason.MISSED), silent, schedule="x")


def test_a_start_that_came_late_is_told_as_one_while_its_run_is_open() -> None:
    unstarted = replace(make_check(), status_reason=Reason.NOT_STARTED)
    begun, ended = flip(Reason.RETRACTED, run=RUN), flip(Reason.RETRACTED, run=replace(RUN, outcome=RunOutcome.OK))

    assert "A start from before 2026-03-02 02:40:00 UTC reached Heartfly late: the alarm was not true." == explain(
        begun, unstarted, schedule="x"
    )
    for success in (ended, flip(Reason.RETRACTED)):
        assert explain(success, unstarted, schedule="x").startswith("A success from before")


def test_our_own_deafness_is_told_with_its_bounds() -> None:
    said = explain_blind(Blind(id=1, from_at=T0, to_at=T0 + timedelta(minutes=30)))

    assert "Heartfly itself could not hear from 2026-03-02 02:30:00 UTC to 2026-03-02 03:00:00 UTC." == said


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (-5, "0 s"), (59, "59 s"), (3665, "1 h 1 min"), (90061, "1 d 1 h"), (120, "2 min")],
)
def test_a_span_is_told_in_its_two_largest_units(seconds: int, words: str) -> None:
    assert words == span(timedelta(seconds=seconds))


def test_a_slot_that_a_run_held_open_did_not_end_with_the_grace() -> None:
    told = flip(Reason.MISSED, run=RUN, at=T0 + timedelta(hours=3))

    sentence = explain(told, make_check(), schedule="daily")

    assert "none came by 2026-03-02 05:30:00 UTC, though a run under way was waited for." in sentence
