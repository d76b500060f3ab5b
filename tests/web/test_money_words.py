"""Money for eyes: rounded, never to nothing, and never two currencies in one sum."""

from __future__ import annotations

import pytest

from heartfly.core.money import MONEY_ONE, Money, money
from heartfly.web import money_words


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("0", "0.00"),
        ("0.000000012345", "0.0000000123"),
        ("0.0099999", "0.01"),
        ("0.5", "0.5"),
        ("0.999", "0.999"),
        ("1.005", "1.00"),  # to even
        ("-2.5", "-2.50"),
        ("99999.994", "99,999.99"),
        ("1234567.89", "1,234,568"),
        ("0.000000000000000000000000000000000000000000000001", "0.000000000000000000000000000000000000000000000001"),
    ],
)
def test_what_is_there_is_never_rounded_to_nothing(amount: str, expected: str) -> None:
    assert expected == money_words.rounded(money(amount))


def test_the_exact_amount_keeps_its_last_digit_and_currencies_stand_apart() -> None:
    tiny = money("0.000000000000000000000000000000000000000000000001")

    assert "USD 0.000000000000000000000000000000000000000000000001" == money_words.exact(tiny, "USD")
    assert "EUR 2.00, USD 1.50" == money_words.several({"USD": money("1.5"), "EUR": money("2")})
    assert "–" == money_words.several({})


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        (0, MONEY_ONE, "0 %"),
        (1, MONEY_ONE, "< 0.01 %"),
        (MONEY_ONE - 1, MONEY_ONE, "99.99 %"),
        (MONEY_ONE, MONEY_ONE, "100 %"),
        (MONEY_ONE, 3 * MONEY_ONE, "33.33 %"),
        (MONEY_ONE, 0, "–"),
        (-MONEY_ONE, MONEY_ONE, "–"),
    ],
)
def test_a_share_is_never_rounded_to_nothing_nor_to_all(part: Money, whole: Money, expected: str) -> None:
    assert expected == money_words.share(part, whole)


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        (3, 2, "+50 %"),
        (2, 3, f"{chr(0x2212)}33.3 %"),
        (2, 2, "±0 %"),
        (2, 0, ""),
        (0, 2, f"{chr(0x2212)}100 %"),
    ],
)
def test_a_trend_is_told_where_there_was_something_before(now: int, before: int, expected: str) -> None:
    assert expected == money_words.more(now * MONEY_ONE, before * MONEY_ONE)
