"""What is tolerated and bounded, in words: of an alert, and of a check as it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from heartfly.core.bounds import Bounds, By
from heartfly.core.explain import explain
from heartfly.core.gates import Level
from heartfly.core.tolerance import Tolerance
from heartfly.core.values import Check, Step
from heartfly.core.verdict import verdict
from heartfly.core.verdict_facts import LastFlip
from heartfly.core.words import PingKind
from tests.factories import GRACE, at, fail, fires, judge, make_blind, make_check, make_rules, ping, start, success

MINUTE = timedelta(minutes=1)


def checked(*, tolerance: Tolerance | None = None, **bounds: Any) -> Check:
    return make_check(rules=make_rules(tolerance=tolerance or Tolerance(), bounds=Bounds(**bounds)))


def why(step: Step, before: Check) -> str:
    return explain(step.flips[-1], before, schedule="every hour")


def said(check: Check, *, minutes: float = 30, step: Step | None = None) -> str:
    last = None if step is None else LastFlip(flip=step.flips[-1])
    return " ".join(verdict(check, now=at(minutes=minutes), schedule="every hour", last=last).sentences)


def test_an_alert_says_which_failure_in_a_row_it_is_of() -> None:
    two = fail(checked(tolerance=Tolerance(failures=2)), at(minutes=1)).check
    assert why(fail(two, at(minutes=2)), two) == (
        "The job reported a failure. It is failure 2 in a row since 2026-03-02 03:01:00 UTC; the one before it was "
        "tolerated."
    )


def test_an_alert_says_what_share_failed() -> None:
    check = success(fail(checked(tolerance=Tolerance(share=50, last=3)), at(minutes=1)).check, at(minutes=2)).check
    assert "2 of the last 3 runs failed, which is more than is tolerated." in why(fail(check, at(minutes=3)), check)


def test_the_first_of_all_is_told_without_a_count() -> None:
    check = checked()
    assert "The job reported a failure." == why(fail(check, at(minutes=1)), check)


def test_each_bound_says_what_it_is_and_how_it_was_broken() -> None:
    unstarted = checked(start_within=MINUTE)
    assert (
        "A run was expected at 2026-03-02 04:00:00 UTC (every hour) and none had begun by 2026-03-02 04:01:00"
        in why(judge(unstarted, at(minutes=61)), unstarted)
    )
    few = success(checked(reports=3, reports_by=By.COUNT), at(minutes=60)).check
    assert (
        "1 of 3 reports came for the slot of 2026-03-02 04:00:00 UTC (every hour) by 2026-03-02 04:05:00 UTC."
        == why(judge(few, at(minutes=65)), few)
    )
    fast = checked(min_run=MINUTE)
    assert "no start, so how long it took is not known: the bound is run >= 1m." in why(
        success(fast, at(minutes=1)), fast
    )
    begun = start(fast, at(minutes=1)).check
    assert "The job reported success after 5 s, which is too fast: the bound is run >= 1m." == why(
        success(begun, at(minutes=1, seconds=5)), begun
    )
    soon = success(checked(apart=MINUTE), at(minutes=1)).check
    assert "A run began too soon after the one before it: the bound is apart >= 1m." == why(
        success(soon, at(minutes=1.5)), soon
    )
    often = success(checked(most=1, most_in=GRACE), at(minutes=1)).check
    assert "Runs begin too often: the bound is at most 1 runs in 5m." == why(success(often, at(minutes=2)), often)


def test_a_bound_that_was_changed_since_is_not_made_up() -> None:
    soon = success(checked(apart=MINUTE, apart_level=Level.WARN), at(minutes=1)).check
    step = success(soon, at(minutes=1.5))
    plain = make_check(step.check.status)
    degraded = verdict(
        Check(rules=plain.rules, status=step.check.status, status_since=at(), status_reason=step.check.status_reason),
        now=at(minutes=2), schedule="every hour", last=LastFlip(flip=step.flips[-1]),
    )  # fmt: skip

    assert "the bound has been changed since" in degraded.sentences[0]


def test_a_check_that_is_failing_says_how_near_it_is_and_when_silence_would_be_told() -> None:
    check = fail(checked(tolerance=Tolerance(failures=3)), at(minutes=10)).check

    words = said(check)

    assert "It is failing since 2026-03-02 03:10:00 UTC: 1 of 3 tolerated, and nobody was told." in words
    assert "It goes down after 3 in a row, up after 1." in words
    assert (
        "If nothing comes any more, it goes down at 2026-03-02 05:15:00 UTC." in words
    )  # 4:10 and 5:10, and the grace


def test_without_a_tolerance_the_alarm_is_the_deadline() -> None:
    check = checked()
    assert check.goes_down_at == verdict(check, now=at(minutes=1), schedule="every hour").alarm_at
    assert "tolerated" not in said(check)


def test_one_that_is_down_says_what_it_takes_to_be_up() -> None:
    step = fail(checked(tolerance=Tolerance(recover=3)), at(minutes=1))
    check = success(step.check, at(minutes=2)).check
    assert "It stays down until 3 successes in a row; 1 of them came." in said(check, step=step)

    several = checked(reports=3)
    step = judge(several, at(minutes=65))
    assert "It stays down until all of 3 have reported success again." in said(step.check, minutes=70, step=step)


def test_of_several_that_it_takes_the_last_is_told() -> None:
    down = fail(checked(tolerance=Tolerance(recover=2)), at(minutes=1)).check
    almost = success(down, at(minutes=2)).check

    assert "The last of 2 successes in a row came at 2026-03-02 03:03:00 UTC, 2 min after it went down." == why(
        success(almost, at(minutes=3)), almost
    )


def test_the_slot_says_when_a_run_must_begin_and_from_when_a_success_is_for_it() -> None:
    words = said(checked(start_within=MINUTE, early=5 * MINUTE))
    assert "A run must have begun by 2026-03-02 04:01:00 UTC." in words
    assert "A success before 2026-03-02 03:55:00 UTC is too early for that slot, and is not for it." in words


def test_a_run_at_work_has_its_limit_from_its_last_word() -> None:
    check = start(checked(), at(minutes=10)).check
    check = ping(check, PingKind.PROGRESS, at(minutes=14)).check
    assert "it may take until 2026-03-02 03:19:00 UTC" in said(check, minutes=15)


def test_where_no_slot_is_left_after_what_is_tolerated_silence_is_never_told() -> None:
    rules = make_rules(next_after=fires(at(hours=1)), tolerance=Tolerance(failures=2))

    assert verdict(make_check(rules=rules), now=at(minutes=30), schedule="once").alarm_at is None
    assert (
        at(hours=2) + GRACE
        == verdict(
            make_check(rules=make_rules(tolerance=Tolerance(failures=2))), now=at(minutes=30), schedule="x"
        ).alarm_at
    )


def test_an_alarm_beyond_all_that_may_be_tolerated_is_not_looked_for() -> None:
    rules = make_rules(tolerance=Tolerance(failures=1_000))

    assert verdict(make_check(rules=rules), now=at(minutes=30), schedule="x").alarm_at is None


def test_a_start_that_may_have_come_unheard_is_not_wanted_any_more() -> None:
    blind = make_blind(at(hours=1) - MINUTE, at(hours=1) + MINUTE)
    check = judge(checked(start_within=2 * MINUTE), at(hours=1) + 2 * MINUTE, [blind]).check

    assert "Heartfly itself could not hear when its start was due, so only its end is wanted." in said(check)
    assert "could not hear" not in said(checked(start_within=2 * MINUTE))


def test_it_says_how_many_have_reported_since_when() -> None:
    check = success(checked(reports=3), at(minutes=60)).check

    assert "1 of 3 reports have come, the first at 2026-03-02 04:00:00 UTC." in said(check, minutes=61)
