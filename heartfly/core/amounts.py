"""Amounts: exact decimals of usage, as whole numbers of 10^-18.

One grammar for what comes in, checked as text before any arithmetic; inside, Python's integers, which neither round
nor wrap. What is added up may outgrow the grammar; it stays exact.
"""

from __future__ import annotations

from decimal import Decimal

from heartfly.core.metrics import QUANTITY

Amount = int
"""In units of 10^-18."""

PLACES = 18
ONE: Amount = 10**PLACES
MOST_DIGITS = 20
"""Before the point."""
LIMIT: Amount = 10**MOST_DIGITS * ONE
"""An amount that comes in lies below, and above its negative."""


class Number(str):
    """A JSON number as it was written, so that no digit is lost on the way."""

    __slots__ = ()


def amount(text: str) -> Amount | None:
    """None if the text is not one of 1 to 20 digits with at most 18 places: `1e3`, `+1`, ` 1` and `.5` are not."""
    if text.isdecimal() and text.isascii() and len(text) <= MOST_DIGITS:  # most amounts, in a third of the time
        return int(text) * ONE
    if not QUANTITY.fullmatch(text):
        return None
    whole, _, fraction = text.partition(".")
    found = abs(int(whole)) * ONE + (int(fraction) * _UNIT_OF[len(fraction)] if fraction else 0)
    return -found if text[0] == "-" else found


_UNIT_OF = tuple(10 ** (PLACES - n) for n in range(PLACES + 1))
"""What the last digit counts, of so many places."""


def text_of(value: Amount) -> str:
    """The one spelling of it: no exponent, no trailing zeros, no negative zero."""
    whole, fraction = divmod(abs(value), ONE)
    if not fraction:  # most of what is counted, in half of the time
        return f"{'-' if value < 0 else ''}{whole}"
    places = f"{fraction:018d}".rstrip("0")
    return f"{'-' if value < 0 else ''}{whole}.{places}"


def stored(text: str) -> Amount:
    """What `text_of` spelled, of any length."""
    whole, dot, fraction = text.partition(".")
    if not dot:
        return int(whole) * ONE
    return int(whole + fraction.ljust(PLACES, "0"))


def decimal_of(value: Amount) -> Decimal:
    return Decimal(text_of(value))


def thousandths(part: int, whole: int) -> int:
    """The share that a part is, to the nearest; something is never nothing of it, nor is a part ever all."""
    nearest = (2_000 * part + whole) // (2 * whole)
    if 0 < part < whole:
        return min(999, max(1, nearest))
    return nearest


def over(value: Amount, n: int) -> Amount:
    """A share of it, to the 18th place; halves go to the even neighbour. `n` is positive."""
    share, rest = divmod(value, n)
    return share + (2 * rest > n or (2 * rest == n and share % 2 == 1))
