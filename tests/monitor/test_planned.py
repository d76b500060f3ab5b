"""Which windows leave a check unjudged, until when, and what they excuse afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from heartfly.checks.rows import Stored
from heartfly.core.silence import Effect, Recurrence, Scope, Silence, SilenceKind
from heartfly.core.values import Blind, Check, Run, Step, Unverified, replace
from heartfly.core.words import Status
from heartfly.monitor.planned import Planned, Windows, left_alone, planned
from tests.factories import HOUR, START, TICK, at, make_check, make_rules, make_run, number, start

PID = 7
DAY = timedelta(days=1)


def a_check(check: Check | None = None, *, uuid: str = "mine", tags: Sequence[str] = ("db",), pid: int = PID) -> Stored:
    return Stored(SimpleNamespace(uuid=uuid, tags=list(tags)), check or make_check(), pid, 1)


def window(from_at: datetime, to_at: datetime | None, scope: Scope = Scope.PROJECT, **rest: Any) -> Silence:
    values: dict[str, Any] = {"targets": frozenset()} | rest
    return Silence(
        id=number(),
        uuid="w",
        kind=SilenceKind.MAINTENANCE,
        effect=Effect.IGNORE,
        scope=scope,
        from_at=from_at,
        to_at=to_at,
        **values,
    )


def windows(*silences: Silence, since: datetime = START) -> Windows:
    return Windows({PID: silences}, since=since)


def excused(plan: Planned) -> list[tuple[datetime, datetime, bool]]:
    return [(one.from_at, one.to_at, one.planned) for one in plan.blind]


def test_in_a_window_a_check_is_judged_up_to_its_beginning_and_left_alone_until_its_end() -> None:
    known = windows(window(at(hours=1), at(hours=3)))

    assert Planned(at(hours=1) - TICK, at(hours=3), []) == planned(a_check(), known, through=at(hours=2))


@pytest.mark.parametrize(
    ("hours", "alone"), [(1 - 1 / 3600, False), (1, True), (3 - 1 / 3600, True), (3, False)], ids=range(4)
)
def test_a_window_holds_from_its_first_instant_and_no_longer_at_its_end(hours: float, *, alone: bool) -> None:
    plan = planned(a_check(), windows(window(at(hours=1), at(hours=3))), through=at(hours=hours))

    assert alone is (plan.until is not None)


def test_a_window_that_is_over_counts_as_time_that_nobody_could_hear() -> None:
    plan = planned(a_check(), windows(window(at(hours=1), at(hours=3))), through=at(hours=4))

    assert (at(hours=4), None) == (plan.through, plan.until)
    assert [(at(hours=1), at(hours=3), True)] == excused(plan)


def test_of_windows_that_overlap_the_first_beginning_and_the_last_end_count() -> None:
    known = windows(window(at(hours=1), at(hours=3)), window(at(hours=2), at(hours=5)))

    assert Planned(at(hours=1) - TICK, at(hours=5), []) == planned(a_check(), known, through=at(hours=2.5))


@pytest.mark.parametrize(
    ("scope", "targets", "covers"),
    [
        (Scope.PROJECT, (), True), (Scope.CHECK, ("mine",), True), (Scope.CHECK, ("another",), False),
        (Scope.TAG, ("db", "web"), True), (Scope.TAG, ("web",), False),
    ],
)  # fmt: skip
def test_only_what_the_window_covers_is_left_alone(scope: Scope, targets: tuple[str, ...], *, covers: bool) -> None:
    known = windows(window(at(hours=1), at(hours=3), scope, targets=frozenset(targets)))

    plan = planned(a_check(), known, through=at(hours=2))

    assert (at(hours=3) if covers else None) == plan.until
    assert Planned(at(hours=2), None, []) == planned(a_check(pid=8), known, through=at(hours=2))


def test_checks_that_share_a_window_get_the_same_times() -> None:
    """Worked out once: a window that comes each five minutes has thousands of them."""
    nightly = window(START, None, recurs=Recurrence("*/5 * * * *", "UTC", timedelta(minutes=1)))
    known = windows(nightly)

    first, second = (planned(a_check(uuid=uuid), known, through=at(hours=2, minutes=3)) for uuid in ("a", "b"))

    assert excused(first) == excused(second)
    assert 25 == len(first.blind)


OPEN = make_run(at(days=-5))


@pytest.mark.parametrize(
    ("check", "is_seen"),
    [
        (make_check(), False),
        (make_check(rules=make_rules(period=7 * DAY, grace=HOUR), since=at(days=-7)), False),
        (make_check(rules=make_rules(period=DAY, grace=5 * DAY), since=at(days=-1)), True),
        (make_check(Status.NEW, since=at(days=-5)), True),
        (replace(make_check(unverified_in_row=1), anchor_at=at(days=-5)), True),
        (replace(make_check(), anchor_at=at(days=-5)), False),
        (replace(make_check(), open_runs=(OPEN,)), True),
        (replace(make_check(), open_runs=(replace(OPEN, progress_at=START),)), False),
        (make_check(Status.DOWN, since=at(days=-5)), True),
    ],
    ids=["hourly", "weekly", "long grace", "new", "excused before", "anchor", "run", "run at work", "down"],
)
def test_a_window_counts_as_far_back_as_something_may_have_been_heard_that_is_judged_now(
    check: Check, *, is_seen: bool
) -> None:
    before = window(at(days=-4), at(days=-3))

    plan = planned(a_check(check), windows(before, since=at(days=-40)), through=at(minutes=30))

    assert is_seen is bool(plan.blind)


def test_no_further_back_than_a_month_nor_than_matters_to_any() -> None:
    new = a_check(make_check(Status.NEW, since=at(days=-300)))
    long_ago, lately = window(at(days=-50), at(days=-40)), window(at(days=-20), at(days=-19))

    assert [lately.from_at] == [
        one.from_at for one in planned(new, windows(long_ago, lately, since=at(days=-300)), through=START).blind
    ]
    assert [] == planned(new, windows(lately, since=at(days=-10)), through=START).blind


def test_who_is_left_alone_is_looked_at_again_at_the_end_of_the_window() -> None:
    step = Step(check=make_check())
    assert step.check.wake_at is not None

    assert at(hours=9) == left_alone(step, at(hours=9)).check.wake_at
    assert step == left_alone(step, None)
    assert step == left_alone(step, step.check.wake_at - TICK)
    silent = replace(step, check=replace(step.check, wake_at=None))
    assert silent == left_alone(silent, at(hours=9))


def test_nobody_is_told_of_what_went_unjudged_as_planned() -> None:
    def unverified(*, as_planned: bool) -> Unverified:
        blind = Blind(id=1, from_at=START, to_at=at(hours=1), planned=as_planned)
        return Unverified(run=Run(id=1), from_at=START, to_at=at(hours=1), blind=blind)

    ours, theirs = unverified(as_planned=False), unverified(as_planned=True)
    step = replace(start(make_check(), START), unverified=(theirs, ours))

    assert (ours,) == left_alone(step, None).unverified


def test_the_window_from_whose_end_slots_count_is_found_however_long_ago_it_was() -> None:
    known = windows(window(at(hours=1), at(hours=3)), window(at(hours=5), at(hours=6)))
    long_ago = replace(make_check(), anchor_at=at(hours=3))

    assert Blind(id=0, from_at=at(hours=1), to_at=at(hours=3), planned=True) == known.before(a_check(long_ago))
    assert None is known.before(a_check(replace(long_ago, anchor_at=None)))
    assert None is known.before(a_check(replace(long_ago, anchor_at=at(hours=3) - TICK)))
    assert None is known.before(a_check(replace(long_ago, anchor_at=at(hours=5))))
    assert None is windows(window(at(hours=1), at(hours=3), Scope.TAG, targets=frozenset({"x"}))).before(
        a_check(long_ago)
    )
