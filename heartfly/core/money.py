"""Money: exact, in its currency, as whole numbers; never a float, and never two currencies in one sum.

A price of one unit has up to 30 places (providers write 3.75e-08), an amount of units up to 18 (amounts.py), so what
they come to has up to 48, and is kept to the last of them. Where money is rounded for eyes is not decided here.
"""

from __future__ import annotations

import re

from heartfly.core.amounts import PLACES, Amount
from heartfly.errors import InvalidValueError

Rate = int
"""What one unit costs, in 10^-30 of its currency."""
Money = int
"""In 10^-48 of its currency."""

RATE_PLACES = 30
MONEY_PLACES = RATE_PLACES + PLACES
RATE_ONE: Rate = 10**RATE_PLACES
MONEY_ONE: Money = 10**MONEY_PLACES
"""One of the currency itself."""
MOST_DIGITS = 18
"""Of a rate, before the point."""
_RATE = re.compile(r"(\d{1,18})(?:\.(\d{1,30}))?", re.ASCII)
_SCIENTIFIC = re.compile(r"(\d{1,18})(?:\.(\d{1,30}))?[eE]([+-]?\d{1,2})", re.ASCII)
_MONEY = re.compile(r"(-?)(\d+)(?:\.(\d{1,48}))?", re.ASCII)


def rate(text: str) -> Rate | None:
    """None if the text is not one of 1 to 18 digits with at most 30 places: `1e-8`, `-1` and `.5` are not."""
    found = _RATE.fullmatch(text)
    if found is None:
        return None
    return int(found[1]) * RATE_ONE + int((found[2] or "").ljust(RATE_PLACES, "0"))


def rate_of_json(text: str) -> Rate | None:
    """As `rate`, and of a number in JSON's scientific spelling, if all its digits are kept: `3.75e-08`."""
    found = _SCIENTIFIC.fullmatch(text)
    if found is None:
        return rate(text)
    places = found[2] or ""
    digits, shift = int(found[1] + places), RATE_PLACES + int(found[3]) - len(places)
    scaled, lost = (digits * 10**shift, 0) if shift >= 0 else divmod(digits, 10**-shift)
    return None if lost or scaled >= 10 ** (MOST_DIGITS + RATE_PLACES) else scaled


def rate_text(value: Rate) -> str:
    """The one spelling of it: no exponent, no trailing zeros."""
    return _text(value, RATE_PLACES)


def money_text(value: Money) -> str:
    """The one spelling of it: no exponent, no trailing zeros, no negative zero."""
    return _text(value, MONEY_PLACES)


def money(text: str) -> Money:
    """What `money_text` spelled, of any length. ValueError."""
    found = _MONEY.fullmatch(text)
    if found is None:
        raise ValueError("no amount of money")
    value = int(found[2]) * MONEY_ONE + int((found[3] or "").ljust(MONEY_PLACES, "0"))
    return -value if found[1] else value


def money_of(amount: Amount) -> Money:
    """Of an amount of the currency itself, as callers tell one."""
    return amount * RATE_ONE


def currency_of(text: str, field: str = "currency") -> str:
    """InvalidValueError: it is no code of a currency that is in use (ISO 4217)."""
    code = text.strip().upper()
    if code not in CURRENCIES:
        raise InvalidValueError(field, "must be the code of a currency (ISO 4217), such as USD")
    return code


def _text(value: int, places: int) -> str:
    whole, fraction = divmod(abs(value), 10**places)
    sign = "-" if value < 0 else ""
    if not fraction:
        return f"{sign}{whole}"
    digits = str(fraction).rjust(places, "0").rstrip("0")
    return f"{sign}{whole}.{digits}"


CURRENCIES = frozenset(
    """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP
    CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR
    IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU
    MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG
    SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV
    WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
    """.split()  # noqa: SIM905 - one would not see them for quotes
)
