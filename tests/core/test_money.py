"""Prices of one unit and what they come to are exact, and each has one spelling."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.amounts import amount
from heartfly.core.money import (
    currency_of,
    money,
    money_of,
    money_text,
    rate,
    rate_of_json,
    rate_text,
)
from heartfly.errors import InvalidValueError

RATES = st.integers(0, 10**48 - 1)


@given(RATES)
def test_a_rate_is_written_and_read_without_loss(value: int) -> None:
    assert value == rate(rate_text(value))


@given(st.integers(-(10**80), 10**80))
def test_money_is_written_and_read_without_loss(value: int) -> None:
    assert value == money(money_text(value))


@given(RATES, st.integers(0, 10**38 - 1))
def test_a_price_times_an_amount_is_what_decimals_say(of_one: int, n: int) -> None:
    with localcontext(Context(prec=200)):
        assert Decimal(of_one).scaleb(-30) * Decimal(n).scaleb(-18) == Decimal(money_text(of_one * n))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("3.75e-08", "0.0000000375"),
        ("1e-08", "0.00000001"),
        ("2E+3", "2000"),
        ("0", "0"),
        ("0.0", "0"),
        ("4.049997e-05", "0.00004049997"),
        ("0.000000000000000000000000000001", "0.000000000000000000000000000001"),
    ],
)
def test_a_number_of_json_is_taken_to_its_last_digit(text: str, written: str) -> None:
    found = rate_of_json(text)

    assert found is not None
    assert written == rate_text(found)


@pytest.mark.parametrize("text", ["", "-1", "1e99", "1e-31", ".5", "NaN", "1e999999999", "1,5", "٣", "9" * 19, "1e18"])
def test_what_is_no_price_is_none(text: str) -> None:
    assert None is rate_of_json(text)


@pytest.mark.parametrize("text", ["1e-8", "-1", "+1", " 1", "1.", "0." + "1" * 31])
def test_a_price_by_hand_has_no_exponent_no_sign_and_30_places(text: str) -> None:
    assert None is rate(text)


def test_what_a_caller_tells_is_money_of_the_same_size() -> None:
    told = amount("12.000000000000000001")

    assert told is not None
    assert "12.000000000000000001" == money_text(money_of(told))


def test_a_currency_is_one_that_is_in_use() -> None:
    assert "USD" == currency_of(" usd ")
    for text in ("", "UDS", "US", "XXX", "$"):
        with pytest.raises(InvalidValueError) as refused:
            currency_of(text)
        assert "currency" == refused.value.field


@pytest.mark.parametrize("text", ["", "much", "1,5", "--1", "1."])
def test_what_is_no_money_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no amount of money"):
        money(text)
