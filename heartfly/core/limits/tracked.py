"""A call that was made, as its event tells of it: whose it was, what it used, and what its provider said of limits.

Events of calls have the type `api.call`; whatever of their properties is not as it should be is not counted here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heartfly.core.amounts import ONE, PLACES, Amount, amount
from heartfly.core.limits.rules import COST, REQUESTS
from heartfly.core.limits.scope import MAX_VALUE, MOST_TAGS, Call, tags_of
from heartfly.core.money import CURRENCIES, RATE_PLACES, rate_of_json

CALL = "api.call"
_UNITS, _TOLD = "units.", "ratelimit."
_MOST_TOLD = 20
_RATES = 10 ** (RATE_PLACES - PLACES)
"""Of the last place of an amount; what is beyond it counts as one of it."""


@dataclass(frozen=True, slots=True)
class Made:
    """`reservation`: what the caller was given for it; empty: nothing. `told`: what the provider said, by name."""

    call: Call
    units: Mapping[str, Amount]
    reservation: str
    told: Mapping[str, str]
    tier: str = ""


def made_of(customer: str, properties: str) -> Made:
    """`properties`: as an event keeps them."""
    found: dict[str, Any] = json.loads(properties, parse_int=str, parse_float=str)
    call = Call(
        provider=_text(found, "provider").strip().lower(),
        model=_text(found, "model"),
        key=_text(found, "key"),
        customer=customer,
        user=_text(found, "user"),
        tags=tags_of(_tags(found.get("tags"))[:MOST_TAGS]),
    )
    units: dict[str, Amount] = {REQUESTS: ONE}
    told: dict[str, str] = {}
    nested = found.get("units")
    within = {f"{_UNITS}{kind}": value for kind, value in nested.items()} if isinstance(nested, dict) else {}
    for name, value in (within | found).items():
        if name.startswith(_UNITS):
            if isinstance(value, str) and (used := amount(value)) is not None and used >= 0:
                units[name.removeprefix(_UNITS)] = used
        elif name.startswith(_TOLD) and isinstance(value, str) and len(told) < _MOST_TOLD:
            told[name.removeprefix(_TOLD)[:MAX_VALUE]] = value[:MAX_VALUE]
    # As the fold reads what a caller says that a call has cost.
    cost, currency = rate_of_json(_text(found, "cost")), _text(found, "currency").strip().upper()
    if cost is not None and currency in CURRENCIES:
        units[f"{COST}{currency}"] = -(-cost // _RATES)
    return Made(call, units, _text(found, "reservation"), told, _text(found, "tier"))


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    return value[:MAX_VALUE] if isinstance(value, str) else ""


def _tags(value: Any) -> list[str]:
    """Separated by commas, or a JSON list, as it is or as text."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value, parse_int=str, parse_float=str)
        except (ValueError, RecursionError):  # it may nest as deep as it likes
            return []
    if isinstance(value, list):
        return [one for one in value if isinstance(one, str)]
    return [one.strip() for one in value.split(",")] if isinstance(value, str) else []
