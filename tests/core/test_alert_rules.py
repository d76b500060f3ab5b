"""What was seen makes a rule fire, or does not, or is not known, which is a third answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.alert_rules import (
    MOST_BRIDGED,
    NOTHING_KNOWN,
    Against,
    Condition,
    Family,
    Match,
    Metric,
    Op,
    Past,
    Rule,
    Seen,
    base_of,
    errors_at_the_end,
    holds,
    limit_of,
    verdict,
)
from heartfly.core.amounts import ONE

HOUR = timedelta(hours=1)
T0 = datetime(2026, 3, 2, 12, tzinfo=UTC)


def condition(metric: Metric = Metric.REQUESTS, **changes: Any) -> Condition:
    given: dict[str, Any] = {"of": Family.CALLS, "metric": metric, "window": HOUR, "threshold": 10 * ONE}
    return Condition(**(given | changes))


def seen(value: Fraction | int | None, **rest: Any) -> Seen:
    return Seen(value=None if value is None else Fraction(value), **rest)


SPIKE = condition(against=Against.BEFORE, n_before=23, threshold=2 * ONE, least=101)
"""Last hour more than twice the mean of the 23 before, and more than 100 requests."""


@pytest.mark.parametrize(
    ("op", "at_nine", "at_ten", "at_eleven"),
    [
        (Op.ABOVE, False, False, True),
        (Op.AT_LEAST, False, True, True),
        (Op.BELOW, True, False, False),
        (Op.AT_MOST, True, True, False),
    ],
)
def test_a_threshold_is_compared_exactly(op: Op, *, at_nine: bool, at_ten: bool, at_eleven: bool) -> None:
    one = condition(op=op)
    assert [at_nine, at_ten, at_eleven] == [holds(one, seen(value), firing=False) for value in (9, 10, 11)]
    hair = Fraction(1, 10**30)
    assert (op in {Op.ABOVE, Op.AT_LEAST}) == holds(one, seen(10 + hair), firing=False)


def test_no_data_is_not_zero() -> None:
    below = condition(op=Op.BELOW, threshold=ONE)
    assert holds(below, seen(0), firing=False) is True
    assert holds(below, NOTHING_KNOWN, firing=False) is None
    assert holds(condition(Metric.ERROR_RATE), NOTHING_KNOWN, firing=True) is None


def test_too_little_to_judge_by_neither_begins_nor_keeps_up_an_alert() -> None:
    one = condition(Metric.ERROR_RATE, least=20)
    assert holds(one, seen(50, n=19), firing=False) is False
    assert holds(one, seen(50, n=20), firing=False) is True
    assert holds(one, seen(None, n=0), firing=True) is False
    assert holds(one, seen(None, n=20), firing=True) is None


def test_what_fires_goes_on_until_it_is_past_the_figure_that_ends_it() -> None:
    one = condition(threshold=10 * ONE, clear=8 * ONE)
    assert [False, True] == [holds(one, seen(9), firing=firing) for firing in (False, True)]
    assert holds(one, seen(8), firing=True) is False


def test_of_what_has_no_price_in_part_the_rest_can_exceed_but_not_fall_short() -> None:
    above, below = condition(), condition(op=Op.BELOW)
    assert holds(above, seen(11, is_partial=True), firing=False) is True
    assert holds(above, seen(9, is_partial=True), firing=True) is None
    assert holds(below, seen(9, is_partial=True), firing=False) is None
    assert holds(below, seen(11, is_partial=True), firing=False) is False
    assert holds(condition(least=5), seen(11, n=4, is_partial=True), firing=False) is None
    assert holds(condition(least=5), seen(None, n=4, is_partial=True), firing=False) is None


HAIR = Fraction(1, 1_000_000)
A_LOT = MOST_BRIDGED + HAIR


@pytest.mark.parametrize(
    ("value", "unheard", "above", "below"),
    [
        (11, HAIR, True, False),
        (11, A_LOT, True, False),
        (9, HAIR, False, True),
        (Fraction(89, 10), MOST_BRIDGED, False, True),
        (Fraction(91, 10), MOST_BRIDGED, None, None),
        (0, MOST_BRIDGED, False, True),
        (0, A_LOT, None, None),
        (0, Fraction(1), None, None),
    ],
)
def test_a_short_gap_is_taken_to_have_been_like_the_rest_of_its_window(
    value: Fraction | int, unheard: Fraction, *, above: bool | None, below: bool | None
) -> None:
    for firing in (False, True):
        told = [holds(condition(op=op), seen(value, unheard=unheard), firing=firing) for op in (Op.ABOVE, Op.BELOW)]
        assert [above, below] == told


def test_a_short_gap_keeps_up_no_alert_of_too_little_and_hides_no_absence() -> None:
    few, absent = condition(Metric.ERROR_RATE, least=20), condition(against=Against.ABSENCE)
    for n, unheard, told in ((17, MOST_BRIDGED, False), (18, MOST_BRIDGED, None), (17, A_LOT, None)):
        assert told is holds(few, seen(50, n=n, unheard=unheard, adds=False), firing=True)
        assert told is holds(few, seen(None, n=n, unheard=unheard), firing=True)
    for unheard, told in ((MOST_BRIDGED, True), (A_LOT, None)):
        assert told is holds(absent, seen(0, base=Fraction(7), unheard=unheard), firing=False)


def test_a_share_of_what_was_heard_is_a_share_all_the_same() -> None:
    rate = condition(Metric.ERROR_RATE)
    assert holds(rate, seen(9, is_partial=True, adds=False), firing=True) is False


def test_a_spike_needs_both_twice_the_mean_and_more_than_a_hundred() -> None:
    assert holds(SPIKE, seen(101, n=101, base=Fraction(50)), firing=False) is True
    assert holds(SPIKE, seen(100, n=100, base=Fraction(10)), firing=False) is False
    assert holds(SPIKE, seen(200, n=200, base=Fraction(100)), firing=False) is False
    assert holds(SPIKE, seen(500, n=500, base=None), firing=False) is None
    assert limit_of(SPIKE, seen(1, base=Fraction(50))) == 100


def test_absence_is_only_of_what_came_before_and_never_of_time_that_was_not_heard() -> None:
    one = condition(against=Against.ABSENCE)
    assert holds(one, seen(0, n=0, base=Fraction(7)), firing=False) is True
    assert holds(one, seen(1, n=1, base=Fraction(7)), firing=True) is False
    assert holds(one, seen(0, n=0, base=Fraction(0)), firing=False) is None
    assert holds(one, seen(0, n=0), firing=False) is None
    assert holds(one, seen(0, n=0, base=Fraction(7), is_partial=True), firing=False) is None


def test_all_and_any_over_what_is_not_known() -> None:
    yes, no, unknown = seen(11), seen(9), NOTHING_KNOWN
    all_ = Rule(conditions=(condition(), condition()), match=Match.ALL)
    any_ = Rule(conditions=(condition(), condition()), match=Match.ANY)

    def told(rule: Rule, *them: Seen) -> bool | None:
        return verdict(rule, them, firing=False).holds

    assert [True, False, None, False] == [
        told(all_, *pair) for pair in ((yes, yes), (yes, no), (yes, unknown), (no, unknown))
    ]
    assert [True, False, True, None] == [
        told(any_, *pair) for pair in ((yes, no), (no, no), (yes, unknown), (no, unknown))
    ]
    assert (True, False) == verdict(any_, (yes, no), firing=False).each


@given(st.lists(st.sampled_from([11, 9, None]), min_size=1, max_size=5))
def test_what_is_not_known_is_whatever_it_may_turn_out_to_be(values: list[int | None]) -> None:
    """If every way to fill the gaps gives one answer, that is the answer; else it is not known."""
    for match, combine in ((Match.ALL, all), (Match.ANY, any)):
        rule = Rule(conditions=(condition(),) * len(values), match=match)
        ways = product(*([value] if value is not None else [9, 11] for value in values))
        answers = {combine(value > 10 for value in way) for way in ways}
        expected = answers.pop() if len(answers) == 1 else None
        assert expected == verdict(rule, [seen(value) for value in values], firing=False).holds


# --- baselines


def past(hours: int, *, first: datetime | None = T0 - timedelta(days=60), deaf: timedelta = timedelta()) -> Past:
    return Past(T0 - hours * HOUR, T0, first, deaf)


def test_a_mean_is_of_the_windows_that_were_heard() -> None:
    assert base_of(SPIKE, Fraction(230), past(23), adds=True) == 10
    assert base_of(SPIKE, Fraction(130), past(23, first=T0 - 13 * HOUR), adds=True) == 10
    assert base_of(SPIKE, Fraction(180), past(23, deaf=5 * HOUR), adds=True) == 10


def test_of_too_little_past_nothing_is_known() -> None:
    assert base_of(SPIKE, Fraction(110), past(23, first=T0 - 11 * HOUR), adds=True) is None
    assert base_of(SPIKE, Fraction(0), past(23, first=None), adds=True) is None
    assert base_of(SPIKE, None, past(23), adds=True) is None
    assert past(23, first=T0 + HOUR).known == timedelta()


def test_a_burn_rate_compares_a_day_with_the_mean_day_of_thirty() -> None:
    burn = condition(Metric.COST, name="USD", against=Against.BURN, window=timedelta(days=1), threshold=3 * ONE // 2)
    base = base_of(burn, Fraction(300), past(30 * 24), adds=True)
    assert base == 10
    assert [False, True] == [holds(burn, seen(value, base=base), firing=False) for value in (15, Fraction(151, 10))]


def test_of_rates_the_past_is_one_figure_and_of_absence_an_amount() -> None:
    rate = condition(Metric.ERROR_RATE, against=Against.BEFORE, n_before=23)
    assert base_of(rate, Fraction(4), past(23), adds=False) == 4
    assert base_of(condition(against=Against.ABSENCE), Fraction(4), past(23, first=None), adds=True) == 4


def test_how_far_back_is_looked() -> None:
    assert [None, 23 * HOUR, timedelta(days=30), 24 * HOUR] == [
        condition(against=against, n_before=23).baseline for against in Against
    ]


def test_conditions_that_differ_by_their_thresholds_alone_look_at_the_same() -> None:
    one = condition(where=(("model", ("a",)),))

    assert one.aspect == condition(where=one.where, threshold=7 * ONE, op=Op.BELOW, clear=ONE, least=3).aspect
    others = [condition(), condition(metric=Metric.COST), condition(window=2 * HOUR), condition(against=Against.BURN)]
    assert 5 == len({one.aspect, *(other.aspect for other in others)})


def test_errors_in_a_row_are_counted_over_the_true_sequence() -> None:
    e, ok = True, False
    assert errors_at_the_end([e, e, e, e, ok, e]) == 1
    assert errors_at_the_end([ok, e, e, e, e, e]) == 5
    assert errors_at_the_end([e, e, e, e, e, ok]) == 0
    assert errors_at_the_end([]) == 0
