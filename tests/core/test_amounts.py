"""Amounts come in as texts of one grammar and stay exact."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.amounts import LIMIT, ONE, amount, decimal_of, over, stored, text_of, thousandths

AMOUNTS = st.integers(-LIMIT + 1, LIMIT - 1)


@given(AMOUNTS)
def test_an_amount_is_written_and_read_without_loss(value: int) -> None:
    assert value == amount(text_of(value))
    assert value == int(decimal_of(value).scaleb(18, _wide()))


def _wide() -> Context:
    return Context(prec=60)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("-0.000", "0"),
        ("007", "7"),
        ("1.50", "1.5"),
        ("-0.000000000000000001", "-0.000000000000000001"),
        ("99999999999999999999.999999999999999999", "99999999999999999999.999999999999999999"),
    ],
)
def test_a_number_has_one_spelling(text: str, written: str) -> None:
    value = amount(text)
    assert value is not None
    assert written == text_of(value)
    assert Decimal(written) == decimal_of(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "+1",
        ".5",
        "1.",
        "1e3",
        "1E-5",
        " 1",
        "1 ",
        "1\n",
        "1_000",
        "1,5",
        "NaN",
        "Infinity",
        "0x10",
        "\N{ARABIC-INDIC DIGIT ONE}",
        "100000000000000000000.0000000000000000001",
        "123456789012345678901",
        "0.1234567890123456789",
    ],
)
def test_whatever_else_is_no_amount(text: str) -> None:
    assert amount(text) is None


@given(AMOUNTS, st.integers(1, 10**9))
def test_a_share_is_rounded_to_the_nearest_and_halves_to_the_even(value: int, n: int) -> None:
    with localcontext() as context:
        context.prec = 80
        exact = Decimal(value) / Decimal(n)
        assert int(exact.to_integral_value("ROUND_HALF_EVEN")) == over(value, n)


def test_halves_of_the_smallest_part() -> None:
    assert [0, 2, 2, -2, 0] == [over(1, 2), over(3, 2), over(5, 2), over(-3, 2), over(-1, 2)]
    assert ONE // 4 == over(ONE, 4)


@given(st.integers())
def test_a_sum_of_any_length_is_stored_and_read_back(value: int) -> None:
    assert value == stored(text_of(value))


@pytest.mark.parametrize(
    ("part", "whole", "share"),
    [(0, 7, 0), (3, 7, 429), (4, 7, 571), (7, 7, 1_000), (1, 10**60, 1), (10**60 - 1, 10**60, 999), (1, 2_000, 1)],
)
def test_a_share_is_told_to_the_nearest_thousandth_and_something_is_never_nothing(
    part: int, whole: int, share: int
) -> None:
    assert share == thousandths(part, whole)
