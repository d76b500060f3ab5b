"""What follows from a drop: a hold that ends, by an answer or by itself, and blindness only where it is proved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.guard import (
    FORGOTTEN_AFTER,
    HOLD,
    STILL_KNOWN,
    Guard,
    Stand,
    after_minute,
    after_probe,
    after_time,
    without_answer,
)
from heartfly.core.volume import Volume

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
TICK = timedelta(microseconds=1)


def well(at: datetime = T0) -> Guard:
    return after_probe(after_minute(Guard(), Volume.ENOUGH, until=at, knows=False), arrived=True, at=at)


def dropped(at: datetime = T0) -> Guard:
    return after_minute(well(at - MINUTE), Volume.FEW, until=at, knows=True)


def cut_off(at: datetime = T0) -> Guard:
    once = after_probe(dropped(at), arrived=False, at=at + SECOND)
    return after_probe(once, arrived=False, at=at + 5 * SECOND)


def released(at: datetime = T0) -> Guard:
    return after_probe(dropped(at), arrived=True, at=at + SECOND)


def test_a_drop_holds_what_falls_due_after_it() -> None:
    guard = dropped()

    assert (Stand.HELD, T0) == (guard.stand, guard.hold(T0 + SECOND))
    assert guard.wants_probe(T0)
    assert guard.cut_off_since is None


def test_no_deadline_waits_for_longer_than_two_minutes() -> None:
    guard = dropped()

    assert T0 == guard.hold(T0 + HOLD)
    assert T0 + SECOND == guard.hold(T0 + HOLD + SECOND)
    assert Stand.HELD is after_time(guard, T0 + HOLD - TICK).stand
    over = after_time(guard, T0 + HOLD)
    assert (Stand.RELEASED, None) == (over.stand, over.hold(T0 + HOLD))


def test_a_probe_that_arrives_lets_go_at_once_and_the_same_drop_holds_nothing_again() -> None:
    guard = released()
    later = guard
    for n in range(1, 200):
        at = T0 + n * 10 * SECOND
        later = after_time(after_minute(later, Volume.FEW, until=at, knows=True), at)

    assert (Stand.RELEASED, None) == (guard.stand, guard.hold(T0 + SECOND))
    assert Stand.RELEASED is later.stand


def test_one_lost_probe_is_not_yet_believed_and_two_are() -> None:
    once = after_probe(dropped(), arrived=False, at=T0 + 5 * SECOND)

    assert (Stand.HELD, None) == (once.stand, once.cut_off_since)
    assert not once.wants_probe(T0 + 8 * SECOND - TICK)
    assert once.wants_probe(T0 + 8 * SECOND)
    assert (Stand.CUT_OFF, T0 - MINUTE) == (cut_off().stand, cut_off().cut_off_since)
    assert cut_off().hold(T0 + MINUTE) is None  # what is due is judged, and is unverified


def test_being_cut_off_goes_on_until_a_probe_arrives_or_pings_come() -> None:
    guard = cut_off()
    still = after_time(after_probe(guard, arrived=False, at=T0 + 3 * HOLD), T0 + 100 * HOLD)
    few = after_minute(guard, Volume.FEW, until=T0 + MINUTE, knows=False)

    assert T0 - MINUTE == still.cut_off_since == few.cut_off_since
    assert Stand.RELEASED is after_probe(guard, arrived=True, at=T0 + MINUTE).stand
    assert Stand.CLEAR is after_minute(guard, Volume.ENOUGH, until=T0 + MINUTE, knows=False).stand
    assert Stand.CUT_OFF is after_minute(guard, Volume.UNKNOWN, until=T0 + MINUTE, knows=False).stand


def test_where_no_probe_arrived_before_its_loss_says_nothing_and_nothing_is_held() -> None:
    guard = after_minute(well(), Volume.FEW, until=T0 + MINUTE, knows=False)

    assert (Stand.CLEAR, None) == (guard.stand, guard.hold(T0 + MINUTE))


def test_pings_that_come_again_end_a_hold() -> None:
    assert Stand.CLEAR is after_minute(dropped(), Volume.ENOUGH, until=T0 + 10 * SECOND, knows=True).stand


def test_who_cannot_ask_lets_go() -> None:
    guard = without_answer(dropped())

    assert (Stand.RELEASED, None) == (guard.stand, guard.arrived_at)
    assert cut_off() == without_answer(cut_off())


def test_a_probe_that_is_lost_while_few_come_holds_again_from_the_last_that_arrived() -> None:
    guard = released()
    lost = after_probe(guard, arrived=False, at=T0 + MINUTE)
    twice = after_probe(lost, arrived=False, at=T0 + MINUTE + 5 * SECOND)

    assert (Stand.HELD, T0 + MINUTE) == (lost.stand, lost.hold(T0 + MINUTE))
    assert T0 + SECOND == twice.cut_off_since


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda guard: after_minute(guard, Volume.ENOUGH, until=T0 + MINUTE, knows=True), "pings come"),
        (lambda guard: after_time(guard, T0 + FORGOTTEN_AFTER), "the drop is over"),
        (lambda _: without_answer(dropped()), "nobody could ask before"),
        (lambda _: released(T0 - STILL_KNOWN), "it was long ago that one arrived"),
    ],
)
def test_a_lost_probe_holds_nothing_where_it_proves_nothing(spoil: Callable[[Guard], Guard], why: str) -> None:
    guard = after_probe(spoil(released()), arrived=False, at=T0 + 2 * MINUTE)

    assert guard.stand in {Stand.CLEAR, Stand.RELEASED}, why


def test_a_drop_is_forgotten_an_hour_after_its_last_minute() -> None:
    guard = after_minute(released(), Volume.FEW, until=T0 + MINUTE, knows=True)

    assert Stand.RELEASED is after_time(guard, T0 + MINUTE + FORGOTTEN_AFTER - TICK).stand
    assert Stand.CLEAR is after_time(guard, T0 + MINUTE + FORGOTTEN_AFTER).stand


@pytest.mark.parametrize(
    ("guard", "each"),
    [(well(), 5 * MINUTE), (released(T0 - SECOND), MINUTE), (cut_off(T0 - 5 * SECOND), 5 * SECOND)],
    ids=["all is well", "released", "cut off"],
)
def test_our_own_address_is_asked_ever_so_often(guard: Guard, each: timedelta) -> None:
    assert T0 == guard.answered_at

    assert not guard.wants_probe(T0 + each - TICK)
    assert guard.wants_probe(T0 + each)
    assert guard.wants_probe(T0 - TICK)  # the clock was set back


def test_it_is_not_asked_where_nothing_is_known_and_at_once_where_few_come_anew() -> None:
    unknown = after_minute(well(), Volume.UNKNOWN, until=T0, knows=False)
    back = after_minute(released(), Volume.ENOUGH, until=T0 + 10 * SECOND, knows=True)
    anew = after_minute(back, Volume.FEW, until=T0 + 20 * SECOND, knows=True)

    assert not unknown.wants_probe(T0 + 9 * MINUTE)
    assert not back.wants_probe(T0 + 20 * SECOND)
    assert (Stand.RELEASED, True) == (anew.stand, anew.wants_probe(T0 + 20 * SECOND))


STEPS = st.one_of(
    st.tuples(st.just("minute"), st.sampled_from(Volume), st.booleans()),
    st.tuples(st.just("probe"), st.booleans(), st.just(0)),
    st.tuples(st.just("nobody"), st.just(0), st.just(0)),
)


@given(st.lists(st.tuples(st.integers(0, 150), STEPS), max_size=60))
def test_whatever_happens_nothing_waits_for_longer_and_blindness_needs_two_lost_probes(
    steps: list[tuple[int, tuple[str, object, object]]],
) -> None:
    guard, now, lost = Guard(), T0, 0
    for passed, (what, found, knows) in steps:
        now += passed * SECOND
        before = guard = after_time(guard, now)
        if what == "minute":
            guard = after_minute(guard, Volume(str(found)), until=now, knows=bool(knows))
        elif what == "probe":
            guard = after_probe(guard, arrived=bool(found), at=now)
            lost = 0 if found else lost + 1
        else:
            guard = without_answer(guard)

        hold = guard.hold(now)
        assert hold is None or now - HOLD <= hold <= now
        if guard.stand is Stand.CUT_OFF and before.stand is not Stand.CUT_OFF:
            assert (before.stand, what) == (Stand.HELD, "probe")
            assert lost >= 2
        if guard.cut_off_since is not None:
            assert guard.cut_off_since <= now
