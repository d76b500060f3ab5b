"""What a budget tells and when it may tell it again, what it becomes, and how fast its money goes."""

from __future__ import annotations

import os
from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from heartfly.core.budget_burn import burn, gone_on, lasts_days
from heartfly.core.budgets import (
    MILLIONTH,
    MOST_PERCENT,
    MOST_THRESHOLDS,
    TURNS,
    USUAL_THRESHOLDS,
    BudgetState,
    Kind,
    Mark,
    Seen,
    Spike,
    Terms,
    Turn,
    allocation_key,
    demand_fits,
    due,
    holds,
    is_reached,
    rearmed,
    sum_of,
    thresholds_of,
    turned,
)
from heartfly.core.money import MONEY_ONE, Money, money
from heartfly.errors import ConflictError, InvalidValueError

TODAY = date(2026, 3, 10)


def of(text: str) -> Money:
    return money(text)


def threshold(percent: int) -> Mark:
    return Mark(Kind.THRESHOLD, str(percent))


def terms(whole: str | None = "100", **more: Any) -> Terms:
    return Terms(amount=None if whole is None else of(whole), **({"thresholds": USUAL_THRESHOLDS} | more))


def seen(spent: str, **more: Any) -> Seen:
    return Seen(spent=of(spent), **more)


# --- thresholds


def test_each_threshold_is_reached_to_the_last_digit_and_not_before() -> None:
    assert not is_reached(of("0.299999999999999999"), of("0.6"), 50)
    assert is_reached(of("0.3"), of("0.6"), 50)
    assert is_reached(of("90000000000000000000"), of("100000000000"), 1000)


def test_what_is_reached_at_once_is_told_from_the_lowest_on_and_once() -> None:
    first = due(terms(), seen("85"), ())

    assert [threshold(50), threshold(80)] == first
    assert [threshold(90)] == due(terms(), seen("95"), first)
    assert [] == due(terms(), seen("85"), first)


def test_what_was_told_stays_told_when_a_correction_takes_the_spend_back() -> None:
    told = due(terms(), seen("85"), ())

    assert [] == due(terms(), seen("10"), told)
    assert [] == rearmed(told, terms(), terms(), seen("10"))
    assert [] == due(terms(), seen("85"), told)


def test_after_a_raise_only_what_is_below_again_may_be_told_anew() -> None:
    told = due(terms(), seen("85"), ())
    raised = terms("150")  # 85 of 150 is 56.7 %

    again = rearmed(told, terms(), raised, seen("85"))

    assert [threshold(80)] == again
    assert [threshold(80)] == due(raised, seen("120"), set(told) - set(again))


def test_a_cut_re_arms_nothing_and_tells_what_it_makes_true() -> None:
    told = due(terms(), seen("55"), ())

    assert [] == rearmed(told, terms(), terms("60"), seen("10"))
    assert [threshold(80), threshold(90)] == due(terms("60"), seen("55"), told)


def test_without_an_amount_no_threshold_is_ever_reached() -> None:
    assert [] == due(terms(None), seen("1000000"), ())
    assert [threshold(50)] == rearmed([threshold(50)], terms(), terms(None), seen("85"))
    assert [] == rearmed([threshold(50)], terms(None), terms(), seen("85"))


@pytest.mark.parametrize("asked", [[0], [MOST_PERCENT + 1], [-5], list(range(1, MOST_THRESHOLDS + 2))])
def test_what_are_no_thresholds_is_refused(asked: list[int]) -> None:
    with pytest.raises(InvalidValueError) as refused:
        thresholds_of(asked)
    assert "thresholds" == refused.value.field


def test_thresholds_are_in_order_and_each_is_one() -> None:
    assert (80, 100, 120) == thresholds_of([120, 80, 100, 80])
    assert () == thresholds_of([])


# --- allocations


def test_parts_come_to_the_whole_at_most() -> None:
    demand_fits(of("100"), of("100"), "USD")
    demand_fits(None, 0, "USD")
    for whole, parts in ((of("100"), of("100.000001")), (None, of("1"))):
        with pytest.raises(InvalidValueError) as refused:
            demand_fits(whole, parts, "USD")
        assert "allocations" == refused.value.field


def test_a_part_that_is_spent_is_told_once_and_anew_when_it_was_raised() -> None:
    key = allocation_key("provider", "openai")
    before = terms(allocations={key: of("40"), "model:a": of("10")})
    after = terms(allocations={key: of("50")})
    now = seen("45", by_allocation={key: of("40")})
    mark = Mark(Kind.ALLOCATION, key)

    assert [mark] == due(before, now, ())
    assert [mark] == rearmed([mark], before, after, now)
    assert [mark] == rearmed([mark], before, terms(), now)  # what is lifted is raised, too
    assert [] == rearmed([mark], before, terms(allocations={key: of("40")}), seen("45", by_allocation={key: 0}))
    assert [] == due(before, seen("45"), ())


# --- spikes, and what runs low


def spiky(**more: Any) -> Seen:
    given_ = {"day": TODAY, "today": of("21"), "before": [of("10")] * 7}
    return seen("21", **(given_ | more))


@pytest.mark.parametrize(
    ("more", "is_one"),
    [
        ({}, True),
        ({"today": of("20")}, False),  # twice, not more
        ({"today": of("4.99")}, False),
        ({"before": [0, 0, 0, 0, of("1"), of("1"), of("1")]}, True),
        ({"before": [0, 0, 0, 0, 0, of("1"), of("1")]}, False),  # what is usual is not known after two days
        ({"before": [of("1"), 0, 0, 0, 0, 0, 0]}, True),
        ({"before": []}, False),
        ({"before": [of("1000"), *[of("10")] * 7]}, True),  # older than a week
        ({"day": None}, False),
    ],
)
def test_a_day_that_costs_far_more_than_those_before_is_a_spike(more: dict[str, Any], is_one: bool) -> None:  # noqa: FBT001
    agreed = terms(None, spike=Spike(percent=200, least=of("5")))

    assert is_one == (due(agreed, spiky(**more), ()) == [Mark(Kind.SPIKE, "2026-03-10")])


def test_a_spike_is_told_once_a_day_and_by_no_raise_again() -> None:
    agreed, told = terms("1000", spike=Spike(percent=200, least=of("5"))), [Mark(Kind.SPIKE, "2026-03-10")]

    assert [] == due(agreed, spiky(), told)
    assert [Mark(Kind.SPIKE, "2026-03-11")] == due(agreed, spiky(day=date(2026, 3, 11)), told)
    assert [] == rearmed(told, agreed, terms("2000"), seen("1"))
    assert not holds(told[0], terms(None), spiky())
    assert not holds(told[0], agreed, spiky(day=date(2026, 3, 11)))


@pytest.mark.parametrize(
    ("spent", "more", "is_low"),
    [
        ("70", {}, True),  # 30 left, 10 a day: three days
        ("69", {}, False),
        ("70", {"days_left": Fraction(3)}, False),  # it lasts until the end
        ("70", {"days_left": None}, False),
        ("70", {"before": []}, False),
        ("100", {}, False),  # gone, and told so by thresholds
    ],
)
def test_what_runs_out_soon_and_before_its_period_ends_is_low(spent: str, more: dict[str, Any], is_low: bool) -> None:  # noqa: FBT001
    now = seen(spent, **({"before": [of("10")] * 7, "days_left": Fraction(20)} | more))

    assert is_low == holds(Mark(Kind.LOW), terms(low_days=3), now)
    assert not holds(Mark(Kind.LOW), terms(None, low_days=3), now)
    assert not holds(Mark(Kind.LOW), terms(), now)


def test_the_burn_is_the_mean_of_the_last_week_since_something_was_spent() -> None:
    assert burn([]) is None
    assert burn([0, 0]) is None
    assert Fraction(of("10")) == burn([of("900"), *[of("10")] * 7])
    assert Fraction(of("10"), 3) == burn([0, 0, of("10"), 0, 0])


def test_what_is_left_lasts_and_is_gone_on_a_day() -> None:
    assert lasts_days(of("10"), None) is None
    assert lasts_days(of("10"), Fraction(0)) is None
    assert Fraction(5, 2) == lasts_days(of("10"), Fraction(of("4")))
    assert Fraction(0) == lasts_days(-of("10"), Fraction(of("4")))
    half = Fraction(1, 2)
    assert date(2026, 3, 12) == gone_on(TODAY, of("10"), Fraction(of("4")), share_left=half)
    assert TODAY == gone_on(TODAY, of("2"), Fraction(of("4")), share_left=half)
    assert gone_on(TODAY, of("2"), None, share_left=half) is None
    assert gone_on(TODAY, 10**60, Fraction(1), share_left=half) is None


# --- money


@pytest.mark.parametrize("text", ["0", "-1", "1e3", "", "0.0000001", "1000000000000.000001", "x", "1,5"])
def test_what_is_no_amount_of_a_budget_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        sum_of(text, "amount")
    assert "amount" == refused.value.field


def test_money_is_exact() -> None:
    assert (MONEY_ONE // 10, MILLIONTH, 10**12 * MONEY_ONE) == (
        sum_of("0.1", "amount"),
        sum_of("0.000001", "amount"),
        sum_of("1000000000000", "amount"),
    )


# --- states


TABLE = """
           below  reached  ended  extended  pause  resume  cancel
active     A      X        E      A         P      -       C
paused     P      P        E      P         P      A       C
exceeded   A      X        E      X         P      -       C
expired    E      E        E      A         -      -       C
cancelled  C      C        C      -         -      -       -
"""
LETTERS = {one.value[0].upper() if one is not BudgetState.EXCEEDED else "X": one for one in BudgetState} | {
    "C": BudgetState.CANCELLED
}


def test_what_becomes_of_a_budget_stands_in_the_table() -> None:
    head, *rows = (line.split() for line in TABLE.strip().splitlines())
    found = {(row[0], turn): LETTERS.get(cell) for row in rows for turn, cell in zip(head, row[1:], strict=True)}

    assert set(found) == {(state, turn) for state in BudgetState for turn in Turn}
    for (state, turn), expected in found.items():
        if expected is None:
            with pytest.raises(ConflictError, match=state):
                turned(BudgetState(state), Turn(turn))
        else:
            assert expected == turned(BudgetState(state), Turn(turn)), (state, turn)
    assert {one for turns in TURNS.values() for one in turns.values()} == set(BudgetState)


# --- all together


MOSTLY = st.sampled_from([1, 1, 1, 0])


class Telling(RuleBasedStateMachine):
    """Costs that come, come late, and are corrected; raises and cuts; periods that end. Looked at now and then.

    The oracle knows of each threshold of each period only whether it is armed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.terms = Terms(amount=100, thresholds=(50, 80, 100))
        self.spent = {0: 0}
        self.told: dict[int, set[Mark]] = {0: set()}
        self.armed = {(0, percent): True for percent in self.terms.thresholds}
        self.n_told: dict[tuple[int, int], int] = {}
        self.n_expected: dict[tuple[int, int], int] = {}

    @property
    def now(self) -> int:
        return max(self.spent)

    @rule(cost=st.sampled_from([1, 10, 30, 49, 50, 51, 200]), looks=MOSTLY)
    def something_is_spent(self, cost: int, looks: int) -> None:
        self.spent[self.now] += cost
        self.somebody_looks(looks)

    @rule(cost=st.sampled_from([-60, -1, 1, 50, 100]), back=st.sampled_from([0, 0, 1]), looks=MOSTLY)
    def what_was_spent_is_corrected(self, cost: int, back: int, looks: int) -> None:
        self.spent[max(self.now - back, 0)] += cost
        self.somebody_looks(looks)

    @precondition(lambda self: self.spent[self.now] > 0)
    @rule()
    def the_next_period_begins(self) -> None:
        period = self.now + 1
        self.spent[period], self.told[period] = 0, set()
        self.armed |= {(period, percent): True for percent in self.terms.thresholds}

    @rule(whole=st.sampled_from([20, 100, 101, 150, 400]), looks=MOSTLY)
    def it_is_raised_or_cut(self, whole: int, looks: int) -> None:
        after = Terms(amount=whole, thresholds=self.terms.thresholds)
        assert self.terms.amount is not None
        period, spent = self.now, self.spent[self.now]
        self.told[period] -= set(rearmed(self.told[period], self.terms, after, Seen(spent=spent)))
        if whole > self.terms.amount:
            for percent in self.terms.thresholds:
                self.armed[period, percent] |= Fraction(spent, whole) < Fraction(percent, 100)
        self.terms = after
        self.somebody_looks(looks)

    def somebody_looks(self, looks: int) -> None:
        assert self.terms.amount is not None
        for period in {self.now, max(self.now - 1, 0)} if looks else ():
            spent = self.spent[period]
            for mark in due(self.terms, Seen(spent=spent), self.told[period]):
                self.told[period].add(mark)
                key = (period, int(mark.what))
                self.n_told[key] = self.n_told.get(key, 0) + 1
            for percent in self.terms.thresholds:
                if self.armed[period, percent] and Fraction(spent, self.terms.amount) >= Fraction(percent, 100):
                    self.armed[period, percent] = False
                    key = (period, percent)
                    self.n_expected[key] = self.n_expected.get(key, 0) + 1

    @invariant()
    def each_is_told_as_often_as_it_was_armed_and_reached(self) -> None:
        assert self.n_expected == self.n_told


N_LIVES = 1_000 if os.environ.get("HEARTFLY_SEARCH") else 100
TestTelling = Telling.TestCase
TestTelling.settings = settings(max_examples=N_LIVES, stateful_step_count=30, deadline=None)


@given(spent=st.integers(0, 10**25), whole=st.integers(1, 10**24), percent=st.integers(1, 1000))
def test_a_threshold_is_reached_exactly_where_the_fraction_says(spent: int, whole: int, percent: int) -> None:
    assert (Fraction(spent, whole) >= Fraction(percent, 100)) == is_reached(spent, whole, percent)
