"""Service levels are counted exactly; what Heartfly could not hear speaks neither for nor against a check."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.slo import Counted, Level, Slo, left_words, levels, percent

COUNTS = st.integers(min_value=0, max_value=5_000)


def test_in_time_are_those_that_came_and_well_went_those_of_them_that_were_ok() -> None:
    found = levels(Counted(n_ok=90, n_failed=6, n_missed=4, n_unverified=9, blind_s=600), None)

    assert (Fraction(96, 100), Fraction(90, 96)) == (found.on_time.share, found.success.share)
    assert (None, None, None) == (found.on_time.allowed, found.on_time.is_met, found.is_met)


def test_a_target_gives_a_budget_of_bad_runs() -> None:
    slo = Slo(on_time=Decimal("99.5"), success=Decimal(99))
    found = levels(Counted(n_ok=990, n_failed=8, n_missed=2), slo)

    assert (Fraction(5), Fraction(3), True) == (found.on_time.allowed, found.on_time.left, found.on_time.is_met)
    assert (Fraction(998, 100), Fraction(198, 100)) == (found.success.allowed, found.success.left)
    assert found.is_met
    assert ("3 of 5 bad runs left", "1.98 of 9.98 bad runs left") == (
        left_words(found.on_time),
        left_words(found.success),
    )


def test_a_budget_that_is_overdrawn_says_by_how_much() -> None:
    found = levels(Counted(n_ok=28, n_missed=2), Slo(on_time=Decimal(99)))

    assert (False, None, False) == (found.on_time.is_met, found.success.is_met, found.is_met)
    assert "1.7 over the 0.3 that may be bad" == left_words(found.on_time)
    assert "" == left_words(found.success)


def test_of_all_and_nothing() -> None:
    every = levels(Counted(n_ok=3), Slo(on_time=Decimal(100), success=Decimal(100)))
    none = levels(Counted(blind_s=60, n_unverified=1), Slo(on_time=Decimal(99)))

    assert (Fraction(0), True) == (every.on_time.left, every.is_met)
    assert (None, None, None) == (none.on_time.share, none.on_time.is_met, none.is_met)


def test_a_run_that_is_missing_is_never_rounded_away() -> None:
    shares = (Fraction(99_999, 100_000), Fraction(1), Fraction(1, 3), Fraction(0), None)
    assert ["99.99 %", "100 %", "33.33 %", "0 %", "–"] == [percent(share) for share in shares]


@given(COUNTS, COUNTS, COUNTS, st.decimals(min_value=1, max_value=100, places=3))
def test_a_target_is_met_if_and_only_if_the_share_reaches_it(
    ok: int, failed: int, missed: int, target: Decimal
) -> None:
    found = levels(Counted(n_ok=ok, n_failed=failed, n_missed=missed), Slo(on_time=target, success=target))

    for level in (found.on_time, found.success):
        wanted = None if level.share is None else level.share >= Fraction(target) / 100
        assert wanted == level.is_met


def test_days_add_up() -> None:
    one = Counted(n_ok=1, n_failed=2, n_missed=3, n_unverified=4, up_s=5, down_s=6, blind_s=7)
    assert Counted(n_ok=2, n_failed=4, n_missed=6, n_unverified=8, up_s=10, down_s=12, blind_s=14) == one.plus(one)


@pytest.mark.parametrize(("n", "n_bad"), [(0, 0), (10, 10)])
def test_without_a_target_nothing_is_left_and_nothing_is_met(n: int, n_bad: int) -> None:
    level = Level(n=n, n_bad=n_bad)
    assert (None, None) == (level.left, level.is_met)
