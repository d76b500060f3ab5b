"""Which fact explains what, who waits for whom, and what a people's channel hears of a cause."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from heartfly.core.causes import (
    BACK,
    IN_HAND,
    LOOK,
    MOST_GATHERED,
    NO_TIES,
    QUIET,
    Alone,
    AsOne,
    Begin,
    Down,
    Explains,
    HostLife,
    Join,
    Needed,
    Telling,
    Ties,
    a_cycle,
    explained,
    on_channel,
    sentences,
    waits_for,
)
from heartfly.core.silence import Hold, Part

NOW = datetime(2026, 3, 2, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
UNTIL = "nobody is told of it until that is up again and its own grace has passed"
BEGIN, END, FACT = Part.BEGIN, Part.END, Part.FACT


def down(check: int, minute: float = 0, **rest: Any) -> Down:
    at = NOW + minute * MINUTE
    values: dict[str, Any] = {"at": at, "began_at": at} | rest
    return Down(check=check, **values)


def found(one: Down, *others: Down, host: HostLife | None = None) -> Join | Begin | None:
    return explained(one, {each.check: each for each in (one, *others)}, {} if host is None else {one.host: host})


# --- what explains what ------------------------------------------------------------------------------


def test_a_check_without_facts_is_explained_by_nothing() -> None:
    assert found(down(1), down(2), down(3, host="db-1")) is None


def test_two_of_a_host_on_which_nothing_goes_well_are_a_cause_and_one_is_none() -> None:
    assert found(down(2, host="db-1")) is None
    assert found(down(2, host="db-1"), down(1, host="db-2")) is None
    begun = Begin(what=Explains.HOST, members=(1, 3, 2), host="db-1")
    assert begun == found(down(2, 1, host="db-1"), down(1, host="db-1"), down(3, host="db-1"), host=HostLife())


@pytest.mark.parametrize(("well", "is_cause"), [(-1, True), (0, False), (0.5, False), (1, False)])
def test_a_success_since_the_first_went_down_says_that_the_host_lives(well: float, *, is_cause: bool) -> None:
    life = HostLife(well_at=NOW + well * MINUTE)
    assert is_cause == isinstance(found(down(2, 1, host="db-1"), down(1, 0, host="db-1"), host=life), Begin)


def test_who_belongs_to_another_cause_makes_no_cause_of_its_host() -> None:
    assert found(down(2, 1, host="db-1"), down(1, host="db-1", cause=7), host=HostLife()) is None


def test_later_members_join_until_something_goes_well_on_the_host() -> None:
    open_one = HostLife(cause=7)
    assert Join(7, (2,)) == found(down(2, 90, host="db-1"), host=open_one)
    back = HostLife(cause=7, back_at=NOW + 60 * MINUTE)
    # Its run was expected while the host was away, though it is judged only now.
    assert Join(7, (2,)) == found(down(2, 90, began_at=NOW + 60 * MINUTE, host="db-1"), host=back)
    assert found(down(2, 90, began_at=NOW + 61 * MINUTE, host="db-1"), down(1, host="db-1"), host=back) is None


def test_a_check_that_is_needed_explains_what_needs_it() -> None:
    begun = Begin(what=Explains.UPSTREAM, members=(1, 2), root=1)
    assert begun == found(down(2, 5, needs=(1, 9)), down(1))
    assert found(down(2, 5, needs=(9,)), down(1)) is None


def test_a_child_that_went_down_first_is_explained_as_well() -> None:
    begun = Begin(what=Explains.UPSTREAM, members=(2, 3, 1), root=1)
    assert begun == found(down(1, 5, needed_by=(3, 2, 4)), down(2), down(3))
    assert found(down(1, 5, needed_by=(2,)), down(2, cause=7)) is None


def test_the_cause_of_what_it_needs_goes_before_its_host() -> None:
    one = down(3, 5, host="db-1", needs=(1, 2))
    assert Join(7, (3,)) == found(one, down(1), down(2, cause=7), host=HostLife(cause=8))
    assert Join(8, (3,)) == found(one, down(1), host=HostLife(cause=8))
    # Of one host with what it needs: the host explains both.
    assert Begin(what=Explains.HOST, members=(1, 3), host="db-1") == found(one, down(1, host="db-1"), host=HostLife())


@pytest.mark.parametrize(
    ("needs", "way"),
    [
        ([2], None),
        ([1], [1, 1]),
        ([3], [1, 3, 4, 1]),
        ([2, 3], [1, 3, 4, 1]),
        ([5, 5], None),
    ],
)
def test_a_circle_of_needs_is_found_with_the_way_round(needs: list[int], way: list[int] | None) -> None:
    assert way == a_cycle(1, needs, {3: [2, 4], 4: [1], 5: [6], 6: [5]})


# --- who waits for whom ------------------------------------------------------------------------------


def needed(number: int, name: str, *, is_down: bool = False, back: float | None = None) -> Needed:
    return Needed(id=number, name=name, is_down=is_down, back_at=None if back is None else NOW + back * MINUTE)


def test_it_waits_for_what_is_down_and_is_looked_at_again() -> None:
    grace = 10 * MINUTE
    assert waits_for([needed(1, "dump")], grace, at=NOW) is None
    one = waits_for([needed(1, "dump", is_down=True), needed(2, "up")], grace, at=NOW)
    assert Hold(NOW + LOOK, "waits for “dump”, which is down", 1) == one
    more = waits_for([needed(n, f"job-{n}", is_down=True) for n in (1, 2, 3)], grace, at=NOW)
    assert Hold(NOW + LOOK, "waits for “job-1” and 2 more, which are down", 1) == more


def test_what_somebody_else_has_in_hand_is_looked_at_again_at_once() -> None:
    changing = replace(needed(1, "dump", is_down=True), is_in_hand=True)
    hold = waits_for([changing], 10 * MINUTE, at=NOW)
    assert Hold(NOW + IN_HAND, "waits for “dump”, which is down", 1) == hold
    # The first of them wakes who waits: of the others it is asked when that one is up.
    hold = waits_for([needed(1, "a", is_down=True), changing], 10 * MINUTE, at=NOW)
    assert hold is not None
    assert NOW + LOOK == hold.until


def test_what_came_back_gives_it_its_own_grace() -> None:
    grace = 10 * MINUTE
    those = [needed(1, "dump", back=-9), needed(2, "copy", back=-3), needed(3, "old", back=-600)]
    hold = Hold(NOW + 7 * MINUTE, "it had its own grace since “copy”, which it needs, came back", 2)
    assert hold == waits_for(those, grace, at=NOW)
    assert waits_for([needed(1, "dump", back=-10)], grace, at=NOW) is None


@pytest.mark.parametrize(
    ("ties", "said"),
    [
        (NO_TIES, []),
        (Ties(host="db-1", heard=True), ["It runs on host db-1, as its pings say."]),
        (Ties(host="db-1"), ["It runs on host db-1."]),
        (
            Ties(needs=(needed(1, "dump"),)),
            ["It needs “dump”: while that is down, nobody is told of this one."],
        ),
        (
            Ties(needs=(needed(1, "dump", is_down=True),), is_down=True),
            [f"It waits for “dump”, which is down: {UNTIL}."],
        ),
        (
            Ties(needs=(needed(1, "a", is_down=True), needed(2, "b", is_down=True))),
            [f"It needs “a” and 1 more, which are down: {UNTIL}."],
        ),
        (
            Ties(cause=Explains.HOST, cause_name="db-1", n_members=2),
            ["It went down with host db-1, as did 1 other check."],
        ),
        (
            Ties(cause=Explains.HOST, cause_name="db-1", n_members=30),
            ["It went down with host db-1, as did 29 other checks."],
        ),
        (
            Ties(cause=Explains.UPSTREAM, cause_name="dump", n_members=2),
            ["It went down with “dump”, which it needs."],
        ),
        (
            Ties(cause=Explains.UPSTREAM, cause_name="dump", n_members=3),
            ["It went down with “dump”, which it needs, as did 1 other check."],
        ),
        (
            Ties(cause=Explains.UPSTREAM, cause_name="dump", is_root=True, n_members=2),
            ["1 check that needs it went down with it."],
        ),
        (
            Ties(cause=Explains.UPSTREAM, cause_name="dump", is_root=True, n_members=4),
            ["3 checks that need it went down with it."],
        ),
    ],
)
def test_its_ties_are_said_in_sentences(ties: Ties, said: list[str]) -> None:
    assert said == list(sentences(ties))


# --- what a people's channel hears -------------------------------------------------------------------


def heard(part: Part, known: Telling | None, minute: float = 0, *, is_root: bool = False) -> Alone | AsOne:
    return on_channel(part, "host db-1", known, is_root=is_root, at=NOW + minute * MINUTE)


def test_the_first_is_told_at_once_and_the_others_as_one() -> None:
    first = Telling(since=NOW)
    assert Alone(first) == heard(BEGIN, None)
    second = Telling(since=NOW, n_left=1, n_new=1, due_at=NOW + QUIET)
    assert AsOne("told with the others of host db-1", second) == heard(BEGIN, first)
    third = Telling(since=NOW, n_left=2, n_new=2, due_at=NOW + MINUTE + QUIET)
    assert AsOne("told with the others of host db-1", third) == heard(BEGIN, second, 1)


def test_those_that_come_one_after_another_are_told_after_ten_minutes_at_the_latest() -> None:
    late = heard(BEGIN, Telling(since=NOW, n_left=5, due_at=NOW + 10 * MINUTE), 9.5)
    assert late.telling is not None
    assert NOW + MOST_GATHERED == late.telling.due_at
    # Who comes hours after the first is not held up.
    much_later = heard(BEGIN, Telling(since=NOW), 90)
    assert much_later.telling is not None
    assert NOW + 90 * MINUTE == much_later.telling.due_at


def test_once_told_as_one_the_incident_names_the_rest() -> None:
    told = Telling(since=NOW, n_left=2, told_at=NOW + 2 * MINUTE)
    verdict = heard(BEGIN, told, 30)
    assert isinstance(verdict, AsOne)
    assert "host db-1 was told of as one before; its incident names all that belong to it" == verdict.why
    assert Telling(since=NOW, n_left=3, told_at=NOW + 2 * MINUTE) == verdict.telling


@pytest.mark.parametrize(("waited", "is_alone"), [(1, False), (2, False), (3, True)])
def test_who_waited_for_another_check_is_told_unless_that_message_may_have_named_it(
    waited: float, *, is_alone: bool
) -> None:
    known = Telling(since=NOW, n_left=2, told_at=NOW + 2 * MINUTE)
    verdict = on_channel(
        BEGIN, "what needs dump", known, is_root=False, at=NOW + 9 * MINUTE, waited_since=NOW + waited * MINUTE
    )
    assert is_alone == (Alone(known) == verdict)


def test_that_one_is_up_is_told_with_others_within_a_quarter_of_an_hour() -> None:
    assert Alone() == heard(END, None)
    assert Alone() == heard(END, Telling(since=NOW))
    known = Telling(since=NOW, n_left=2, told_at=NOW)
    first = replace(known, due_at=NOW + MINUTE + BACK)
    assert AsOne("told with others of host db-1 that are up again", first) == heard(END, known, 1)
    # The next ones wait no longer for that.
    assert AsOne("told with others of host db-1 that are up again", first) == heard(END, first, 9)
    assert first.tells_who_is_back
    assert Telling(since=NOW, n_left=2, told_at=NOW, back_at=NOW + 16 * MINUTE, n_told=1) == first.told(
        NOW + 16 * MINUTE, some_are_up=True
    )


def test_who_is_up_before_the_others_were_told_is_named_by_their_message() -> None:
    gathered = Telling(since=NOW, n_left=2, n_new=2, due_at=NOW + QUIET)
    assert AsOne("told with others of host db-1 that are up again", gathered) == heard(END, gathered, 1)
    assert not gathered.tells_who_is_back
    at = NOW + QUIET
    assert Telling(since=NOW, n_left=2, told_at=at, n_told=1) == gathered.told(at, some_are_up=False)
    assert Telling(since=NOW, n_left=2, told_at=at, back_at=at, n_told=1) == gathered.told(at, some_are_up=True)


def test_who_goes_down_after_people_heard_that_some_are_up_is_the_first_anew() -> None:
    """They take it for up."""
    known = Telling(since=NOW, n_left=3, told_at=NOW, back_at=NOW + 16 * MINUTE, n_told=2)
    anew = Telling(since=NOW + 20 * MINUTE, n_left=3, n_told=2)
    assert Alone(anew) == heard(BEGIN, known, 20)
    more = replace(anew, n_left=4, n_new=1, due_at=NOW + 21 * MINUTE + QUIET)
    assert AsOne("told with the others of host db-1", more) == heard(BEGIN, anew, 21)


def test_who_is_up_is_told_though_another_has_gone_down_alone_since() -> None:
    known = Telling(since=NOW, n_left=3, told_at=NOW, back_at=NOW + 16 * MINUTE, due_at=NOW + 35 * MINUTE, n_told=2)
    verdict = heard(BEGIN, known, 22)
    assert verdict.telling is not None
    assert (NOW + 35 * MINUTE, True) == (verdict.telling.due_at, verdict.telling.tells_who_is_back)
    assert replace(verdict.telling, due_at=None) == verdict.telling.not_due()


def test_what_the_others_need_is_told_as_ever_and_so_is_what_begins_and_ends_nothing() -> None:
    known = Telling(since=NOW, n_left=1)
    for part in Part:
        assert Alone(known) == heard(part, known, is_root=True)
    assert Alone(known) == heard(FACT, known)
