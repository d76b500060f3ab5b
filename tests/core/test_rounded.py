"""Numbers in alerts are rounded, and never to what they are not: nothing, all, or a whole one."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from heartfly.core.money import MONEY_ONE
from heartfly.core.rounded import money_words, number_words, percent_words, share_words


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("0", "0 %"),
        ("100", "100 %"),
        ("12.44", "12.4 %"),
        ("33.33333", "33.3 %"),
        ("99.96", "99.96 %"),
        ("99.9996", "99.9996 %"),
        ("99.99999", "less than 100 %"),
        ("0.04", "0.04 %"),
        ("0.00001", "more than 0 %"),
        ("80.04", "80.04 %"),
        ("1234.5", "1,234.5 %"),
    ],
)
def test_a_percentage_has_one_place_unless_that_says_a_whole_number_which_it_is_not(value: str, said: str) -> None:
    assert said == percent_words(Fraction(value))


@pytest.mark.parametrize(
    ("value", "said"), [("0", "0"), ("1234567", "1,234,567"), ("0.33333", "0.3333"), ("-2.5", "-2.5")]
)
def test_other_numbers_have_four_places_at_most(value: str, said: str) -> None:
    assert said == number_words(Fraction(value))


@pytest.mark.parametrize(
    ("money", "said"),
    [
        ("0", "0.00 EUR"),
        ("1234.5", "1,234.50 EUR"),
        ("2.005", "2.00 EUR"),
        ("2.015", "2.02 EUR"),
        ("0.5", "0.50 EUR"),
        ("0.0123456789", "0.0123 EUR"),
        ("0.0000000375", "0.0000000375 EUR"),
        ("0.00000001234", "0.0000000123 EUR"),
        ("-0.25", "-0.25 EUR"),
        ("0.9999", "1.00 EUR"),
        ("0.999", "0.999 EUR"),
    ],
)
def test_money_has_its_currency_and_is_never_rounded_to_nothing(money: str, said: str) -> None:
    assert said == money_words(int(Decimal(money).scaleb(48)), "EUR")


@pytest.mark.parametrize(("part", "said"), [(0, "0 %"), (1, "less than 1 %"), (1_000, "100 %"), (12_345, "1,234 %")])
def test_a_share_is_rounded_down_and_something_is_not_nothing(part: int, said: str) -> None:
    assert said == share_words(part, 1_000)
    assert "99 %" == share_words(MONEY_ONE - 1, MONEY_ONE)
