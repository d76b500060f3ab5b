"""A rule's life in one scope, step by step, and the same steps over past days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.alert_rules import Condition, Family, Metric, Rule, Scope, Seen
from heartfly.core.amounts import ONE
from heartfly.core.rule_states import (
    Fired,
    Happened,
    Standing,
    State,
    Step,
    acknowledged,
    replay,
    resolved_by_hand,
    step,
)

MINUTE = timedelta(minutes=1)
T0 = datetime(2026, 3, 2, 12, tzinfo=UTC)


def at(minute: int) -> datetime:
    return T0 + minute * MINUTE


def lived(verdicts: str, *, wait: int = 0, cooldown: int = 0, begun: Standing | None = None) -> list[Step]:
    """A look each minute: + it holds, - it does not, ? it is not known."""
    steps: list[Step] = []
    standing = begun
    for n, mark in enumerate(verdicts):
        holds = {"+": True, "-": False}.get(mark)
        steps.append(step(standing, holds=holds, wait=wait * MINUTE, cooldown=cooldown * MINUTE, at=at(n)))
        standing = steps[-1].standing
    return steps


def happenings(steps: list[Step]) -> list[tuple[int, Happened]]:
    return [(n, one.happened) for n, one in enumerate(steps) if one.happened is not None]


def test_it_fires_once_and_ends_once() -> None:
    steps = lived("-++--")
    assert [(1, Happened.FIRED), (3, Happened.RESOLVED)] == happenings(steps)
    assert Standing(state=State.OK, since=at(3), fired_at=at(1), resolved_at=at(3)) == steps[-1].standing


def test_it_must_hold_for_as_long_as_it_was_told_to() -> None:
    steps = lived("++-++++", wait=3)
    assert [(6, Happened.FIRED)] == happenings(steps)
    assert [State.PENDING, State.PENDING, State.OK, State.PENDING] == [one.standing.state for one in steps[:4]]
    assert at(3) == steps[-1].standing.since


def test_after_it_fired_a_cooldown_holds_it_back_and_then_it_fires_if_it_still_holds() -> None:
    steps = lived("+-++++", cooldown=5)
    assert [(0, Happened.FIRED), (1, Happened.RESOLVED), (5, Happened.FIRED)] == happenings(steps)


def test_what_is_not_known_changes_nothing() -> None:
    assert [] == happenings(lived("??"))
    assert [(0, Happened.FIRED)] == happenings(lived("+??"))
    assert [State.PENDING] * 2 == [one.standing.state for one in lived("+?", wait=9)]


def test_acknowledging_ends_nothing_and_holds_nothing_up() -> None:
    (fired,) = lived("+")
    taken = acknowledged(fired.standing)
    assert State.ACKNOWLEDGED == taken.state
    assert taken.is_firing
    assert [(1, Happened.RESOLVED)] == happenings(lived("+-", begun=taken))
    assert State.OK == acknowledged(Standing(state=State.OK, since=T0)).state


def test_who_resolves_it_is_not_told_of_the_same_again() -> None:
    (fired,) = lived("+")
    ended = resolved_by_hand(fired.standing, at=at(0))
    assert (State.OK, at(0), True) == (ended.state, ended.resolved_at, ended.by_hand)
    assert [] == happenings(lived("++++", begun=ended))
    assert [(2, Happened.FIRED)] == happenings(lived("+-+", begun=ended))
    assert [(3, Happened.FIRED)] == happenings(lived("++++", cooldown=3, begun=ended))


def test_only_what_fires_can_be_resolved() -> None:
    calm = Standing(state=State.OK, since=T0)
    assert resolved_by_hand(calm, at=at(5)) is calm
    assert not calm.is_remembered
    assert all(one.standing.is_remembered for one in lived("+-"))


@given(
    st.text("+-?", max_size=60),
    st.integers(0, 5),
    st.integers(0, 10),
)
def test_fired_and_resolved_take_turns_and_keep_their_distance(verdicts: str, wait: int, cooldown: int) -> None:
    found = happenings(lived(verdicts, wait=wait, cooldown=cooldown))
    assert [Happened.FIRED, Happened.RESOLVED] * (len(found) // 2) == [what for _, what in found][: len(found) // 2 * 2]
    fired = [n for n, what in found if what is Happened.FIRED]
    assert all(later - earlier >= cooldown for earlier, later in pairwise(fired))
    assert all(verdicts[n] == "+" for n in fired)
    assert all("-" not in verdicts[max(0, n - wait) : n + 1] for n in fired)
    assert all(verdicts[n] == "-" for n, what in found if what is Happened.RESOLVED)


# --- the past


def looks(**of_scopes: list[int | None]) -> list[tuple[datetime, dict[Scope, list[Seen]]]]:
    n = max(map(len, of_scopes.values()))

    def seen(value: int | None) -> list[Seen]:
        return [Seen(value=None if value is None else Fraction(value))]

    return [
        (at(i), {(scope,): seen(values[i]) for scope, values in of_scopes.items() if i < len(values)}) for i in range(n)
    ]


def rule(**changes: Any) -> Rule:
    one = Condition(of=Family.CALLS, metric=Metric.REQUESTS, window=MINUTE, threshold=10 * ONE)
    return Rule(conditions=(one,), by=("provider",), **changes)


def test_a_replay_tells_where_it_would_have_fired_in_each_scope_for_itself() -> None:
    told = replay(rule(cooldown=3 * MINUTE), looks(a=[11, 9, 11, 11, 12], b=[0, 11]))
    assert [
        Fired(scope=("a",), from_at=at(0), to_at=at(1)),
        Fired(scope=("b",), from_at=at(1)),
        Fired(scope=("a",), from_at=at(3)),
    ] == told.fired


def test_a_replay_tells_conditions_that_never_and_always_held() -> None:
    never = replay(rule(), looks(a=[1, 2, None])).conditions[0]
    always = replay(rule(), looks(a=[11, 12, None])).conditions[0]
    both = replay(rule(), looks(a=[11, 2])).conditions[0]
    nothing = replay(rule(), looks(a=[None])).conditions[0]
    assert [(True, False), (False, True), (False, False), (False, False)] == [
        (one.never, one.always) for one in (never, always, both, nothing)
    ]
    assert (0, 2, 1) == (never.held, never.did_not, never.unknown)
