"""Money for people: exact where somebody asks, rounded for eyes, always with its currency, and never two in one sum.

What is there is never rounded to nothing: small amounts keep three digits. Sums and prices are core/money.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal

from heartfly.core.money import MONEY_PLACES, Money, money_text

NONE = "–"
_CENT = Decimal("0.01")
_DIGITS = 3
_WHOLE_FROM = 100_000
"""From here on nobody reads cents."""


def decimal_of(money: Money) -> Decimal:
    """Exact, however many digits it has."""
    sign, digits = (1, -money) if money < 0 else (0, money)
    return Decimal((sign, tuple(map(int, str(digits))), -MONEY_PLACES))


def rounded(money: Money) -> str:
    value = decimal_of(money)
    size = abs(value)
    if size >= _WHOLE_FROM:
        return f"{value.quantize(Decimal(1), ROUND_HALF_EVEN):,f}"
    if size >= 1 or not value:
        return f"{value.quantize(_CENT, ROUND_HALF_EVEN):,f}"
    places = min(MONEY_PLACES, max(2, _DIGITS - 1 - size.adjusted()))
    return f"{value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN).normalize():f}"


def told(money: Money, currency: str) -> str:
    return f"{currency} {rounded(money)}"


def exact(money: Money, currency: str) -> str:
    return f"{currency} {money_text(money)}"


def several(cost: Mapping[str, Money]) -> str:
    """Each currency for itself."""
    return ", ".join(told(money, currency) for currency, money in sorted(cost.items())) or NONE


def share(part: Money, whole: Money) -> str:
    """In per cent; never rounded to nothing, nor to all."""
    if whole <= 0 or part < 0:
        return NONE
    if part and part * 10_000 < whole:
        return "< 0.01 %"
    found = Decimal((part * 10_000 + whole // 2) // whole) / 100
    if part < whole and found == 100:
        found = Decimal("99.99")
    return f"{found.normalize():f} %"


def more(now: Money, before: Money) -> str:
    """By how many per cent it is more than before. Empty: there is nothing to compare."""
    if before <= 0:
        return ""
    change = Decimal(((now - before) * 2_000 + before) // (2 * before)) / 10
    if not change:
        return "±0 %"
    return f"{'+' if change > 0 else chr(0x2212)}{abs(change).normalize():,f} %"


def thousandths(part: Money, whole: Money) -> int:
    """As long as a bar is that shows the share."""
    return max(0, min(1_000, 1_000 * part // whole)) if whole > 0 else 0
