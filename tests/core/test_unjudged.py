"""What maintenance that is not judged makes of a check, worked out ahead, and how that is told."""

from __future__ import annotations

from datetime import datetime

import pytest

from heartfly.core.check import first_ping_by
from heartfly.core.explain import explain
from heartfly.core.silence import Effect, Scope, Silence, SilenceKind, Span
from heartfly.core.silenced import Silenced
from heartfly.core.tolerance import Tolerance
from heartfly.core.unjudged import after_windows, expected_after, is_excused, left_until
from heartfly.core.values import Blind, Check, replace
from heartfly.core.verdict import verdict
from heartfly.core.verdict_facts import Verdict
from heartfly.core.words import Reason, Status
from tests.factories import GRACE, HOUR, TICK, at, judge, make_check, make_rules, make_run

WINDOW = Span(at(minutes=30), at(hours=3))
DUE = at(hours=1) + GRACE


def kept(effect: Effect = Effect.IGNORE, span: Span = WINDOW) -> Silenced:
    silence = Silence(
        id=1, uuid="w", kind=SilenceKind.MAINTENANCE, effect=effect, scope=Scope.PROJECT, targets=frozenset(),
        from_at=span.from_at, to_at=span.to_at,
    )  # fmt: skip
    return Silenced(silence=silence, span=span, by="user:ada@example.com")


def of(check: Check, now: datetime, *silenced: Silenced) -> Verdict:
    return verdict(check, now=now, schedule="every 1 h", silenced=silenced)


@pytest.mark.parametrize(
    ("windows", "until"),
    [
        ([], None),
        ([WINDOW], at(hours=3)),
        ([WINDOW, Span(at(minutes=20), at(hours=2))], at(hours=3)),
        ([Span(DUE, DUE + TICK)], DUE + TICK),
        ([Span(at(minutes=1), DUE)], DUE),
        ([Span(at(minutes=1), DUE - TICK)], None),
        ([Span(DUE + TICK, at(hours=3))], None),
    ],
)
def test_what_falls_due_in_a_window_is_looked_at_at_its_end(windows: list[Span], until: datetime | None) -> None:
    assert until == left_until(make_check(), windows)
    assert None is left_until(make_check(Status.DOWN), windows)


@pytest.mark.parametrize(
    ("window", "excused", "expected"),
    [
        (Span(at(minutes=30), at(hours=3)), True, at(hours=4)),  # it falls due in it, and counts from its end
        (Span(at(minutes=30), DUE - TICK), True, DUE - TICK),  # its time falls into it, and its deadline does not
        (Span(at(hours=1), at(hours=1) + TICK), True, at(hours=1) + TICK),
        (Span(at(hours=1) + TICK, DUE - TICK), False, at(hours=1)),  # it was late before
        (Span(at(hours=1) + TICK, DUE), True, DUE + HOUR),
        (Span(at(minutes=10), at(hours=1)), False, at(hours=1)),
    ],
)
def test_what_is_not_judged_is_not_late_and_is_expected_after_it(
    window: Span, expected: datetime, *, excused: bool
) -> None:
    check = make_check()
    assert excused == is_excused(at(hours=1), check.goes_down_at, [window])
    assert expected == expected_after(check, [window])


def test_what_is_not_judged_is_not_said_to_be_late() -> None:
    check, now = make_check(), at(hours=1, minutes=1)
    assert of(check, now).is_late
    assert of(check, now, kept(Effect.HOLD)).is_late
    assert not of(check, now, kept()).is_late


def test_without_windows_nothing_is_excused() -> None:
    check = make_check()
    assert not is_excused(at(hours=1), check.goes_down_at, [])
    assert check.expected_at == expected_after(check, [])
    assert None is expected_after(make_check(Status.PAUSED), [WINDOW])
    assert not is_excused(at(hours=1), None, [Span(at(hours=2), at(hours=3))])


def test_after_a_window_the_next_run_is_expected_from_its_end_on() -> None:
    check = make_check()

    assert at(hours=4) + GRACE == after_windows(check, [WINDOW]).goes_down_at
    assert check == after_windows(check, [Span(at(hours=2), at(hours=3))])


def test_a_run_under_way_that_hangs_in_a_window_is_excused_too() -> None:
    check = make_check(rules=make_rules(max_run=HOUR), open_runs=(make_run(at(minutes=1)),))

    after = after_windows(check, [WINDOW])

    assert ((), at(hours=4) + GRACE) == (after.open_runs, after.goes_down_at)


def test_a_first_ping_that_is_wanted_in_a_window_is_wanted_a_slot_after_its_end() -> None:
    wanted = first_ping_by(make_check(Status.NEW), at(hours=2), at())
    assert wanted is not None

    after = after_windows(wanted.check, [WINDOW])

    assert Status.NEW is after.status
    assert at(hours=4) + GRACE == after.goes_down_at


def test_a_slot_that_closed_in_the_window_is_said_to_be_left_alone() -> None:
    found = of(make_check(), at(hours=2), kept())

    assert (at(hours=4) + GRACE,) * 2 == (found.goes_down_at, found.alarm_at)
    text = " ".join(found.sentences)
    assert "that is not judged, as maintenance lasts until 2026-03-02 06:00:00 UTC." in text
    assert "If nothing comes any more, it goes down at 2026-03-02 07:05:00 UTC, after the maintenance." in text
    assert "about to be judged" not in text


def test_maintenance_in_which_all_is_judged_changes_nothing_of_that() -> None:
    found = of(make_check(), at(hours=2), kept(Effect.HOLD))

    assert (DUE, DUE) == (found.goes_down_at, found.alarm_at)
    assert "that is about to be judged" in " ".join(found.sentences)


def test_with_a_tolerance_the_instant_is_said_once() -> None:
    check = make_check(rules=make_rules(tolerance=Tolerance(failures=2)))

    text = " ".join(of(check, at(hours=2), kept()).sentences)

    assert 1 == text.count("it goes down at")
    assert "after the maintenance" not in text


@pytest.mark.parametrize(
    ("hours", "part"),
    [
        (1, "its first ping is wanted by {due}; without one that is not judged, as"),
        (2, "its first ping was wanted by {due}, which is not judged, as"),
    ],
)
def test_a_first_ping_that_is_wanted_in_the_window_is_left_alone_too(hours: float, part: str) -> None:
    wanted = first_ping_by(make_check(Status.NEW), at(hours=1.5), at())
    assert wanted is not None

    text = " ".join(of(wanted.check, at(hours=hours), kept()).sentences)

    assert part.format(due="2026-03-02 04:30:00 UTC") in text


def test_a_run_over_its_limit_is_left_alone() -> None:
    check = make_check(rules=make_rules(max_run=HOUR), open_runs=(make_run(at(minutes=1)),))

    text = " ".join(of(check, at(hours=2), kept()).sentences)

    assert "is over its limit: that is not judged, as maintenance lasts until 2026-03-02 06:00:00 UTC." in text


WORDS = "Maintenance from 2026-03-02 03:30:00 UTC to 2026-03-02 06:00:00 UTC was not judged"


@pytest.mark.parametrize(("reason", "is_said"), [(Reason.MISSED, True), (Reason.FAIL, False)])
def test_an_alarm_of_silence_that_comes_after_it_names_it(reason: Reason, *, is_said: bool) -> None:
    blind = Blind(id=0, from_at=WINDOW.from_at, to_at=WINDOW.to_at, planned=True)
    (flip,) = judge(make_check(), at(hours=2)).flips

    told = explain(replace(flip, reason=reason), make_check(), schedule="every 1 h", unjudged=blind)

    assert is_said is (WORDS in told)
