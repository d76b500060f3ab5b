"""Limits as one line of text, as gateways write them: `[quota];w=[seconds];u=[unit];s=[segment]`.

`1000;w=3600;u=request;s=user` is a thousand requests in any hour for each user. The grammar is Helicone's, whose units
are `request` and `cents`; any unit of ours is read as well.
"""

from __future__ import annotations

from dataclasses import dataclass

from heartfly.core.amounts import Amount, amount
from heartfly.core.limits.scope import DIMENSIONS, EACH
from heartfly.errors import InvalidValueError

_UNITS = {"request": "requests", "token": "tokens"}
_CENTS = "cents"
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Policy:
    amount: Amount
    period_s: int
    unit: str
    scope: dict[str, str]


def policy(text: str) -> Policy:
    """InvalidValueError of the field `policy`."""
    first, *rest = text[:_LONGEST].strip().split(";")
    quota = amount(first.strip())
    if quota is None or quota < 0:
        raise _wrong("must begin with how much is allowed, such as 1000;w=3600")
    given: dict[str, str] = {}
    for part in rest:
        name, equals, value = part.strip().partition("=")
        if name not in {"w", "u", "s"} or not equals or not value.strip() or name in given:
            raise _wrong(f"has {part[:40]!r}, which is none of w=SECONDS, u=UNIT and s=SEGMENT, once each")
        given[name] = value.strip()
    window = given.get("w", "")
    if not (window.isascii() and window.isdecimal() and len(window) <= 9):
        raise _wrong("needs w=SECONDS")
    unit = given.get("u", "request")
    if unit == _CENTS:
        unit, quota = "cost:USD", quota // 100
    segment = given.get("s", "")
    if segment and segment not in DIMENSIONS:
        raise _wrong(f"has s={segment[:40]}, which is none of {', '.join(DIMENSIONS)}")
    return Policy(quota, int(window), _UNITS.get(unit, unit), {segment: EACH} if segment else {})


def _wrong(why: str) -> InvalidValueError:
    return InvalidValueError("policy", why)
