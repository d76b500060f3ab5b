"""Numbers as people read them in an alert: rounded for eyes, with their unit, and never to what they are not.

What machines read is exact, and spelled elsewhere. Pages about money have a spelling of their own (web/money_words.py).
"""

from __future__ import annotations

from fractions import Fraction

from heartfly.core.money import MONEY_ONE, MONEY_PLACES, Money, money_text

_PLACES = 4
"""At most, of what is no money."""
_DIGITS = 3
"""Of money below one."""


def number_words(value: Fraction) -> str:
    """`1,234.5`; to four places at most, whole numbers as they are."""
    return _spelled(round(value * 10**_PLACES), _PLACES)


def percent_words(value: Fraction) -> str:
    """`12.4 %`. To one place, unless that would say a whole number which it is not: 99.96 is neither 100 nor 99."""
    for places in range(1, _PLACES + 1):
        whole = round(value * 10**places)
        if whole % 10**places or Fraction(whole, 10**places) == value:
            return f"{_spelled(whole, places)} %"
    nearest = round(value)
    return f"{'more' if value > nearest else 'less'} than {_spelled(nearest, 0)} %"


def money_words(money: Money, currency: str) -> str:
    """`1,234.50 USD`; less than one to three digits, `0.0102 USD`. Halves go to the even neighbour."""
    size = abs(money)
    places = 2
    if size and size < MONEY_ONE:
        places = min(MONEY_PLACES, MONEY_PLACES - len(str(size)) + _DIGITS)
    unit = 10 ** (MONEY_PLACES - places)
    whole, rest = divmod(size, unit)
    whole += 2 * rest > unit or (2 * rest == unit and whole % 2 == 1)
    before, _, after = money_text(whole * unit).partition(".")
    return f"{'-' if money < 0 and whole else ''}{int(before):,}.{after.ljust(2, '0')} {currency}"


def share_words(part: Money, whole: Money) -> str:
    """Rounded down, as all of it is said of what is spent indeed; and something is never nothing. `whole`: not 0."""
    percent = part * 100 // whole
    return "less than 1 %" if part > 0 and not percent else f"{percent:,} %"


def _spelled(value: int, places: int) -> str:
    """Of that many places."""
    before, after = divmod(abs(value), 10**places)
    text = f"{after:0{places}}".rstrip("0") if places else ""
    return f"{'-' if value < 0 else ''}{before:,}{'.' if text else ''}{text}"
