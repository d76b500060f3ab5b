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

CALL = "api.call"
_UNITS, _TOLD = "units.", "ratelimit."
_MOST_TOLD = 20


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
        provider=_text(found, "provider"),
        model=_text(found, "model"),
        key=_text(found, "key"),
        customer=customer,
        user=_text(found, "user"),
        tags=tags_of(_tags(found.get("tags"))[:MOST_TAGS]),
    )
    units: dict[str, Amount] = {REQUESTS: ONE}
    told: dict[str, str] = {}
    for name, value in found.items():
        if name.startswith(_UNITS):
            if isinstance(value, str) and (used := amount(value)) is not None and used >= 0:
                units[name.removeprefix(_UNITS)] = used
        elif name.startswith(_TOLD) and isinstance(value, str) and len(told) < _MOST_TOLD:
            told[name.removeprefix(_TOLD)[:MAX_VALUE]] = value[:MAX_VALUE]
    cost, currency = _cost(_text(found, "cost")), _text(found, "currency")
    if cost is not None and cost >= 0 and currency:
        units[f"{COST}{currency}"] = cost
    return Made(call, units, _text(found, "reservation"), told, _text(found, "tier"))


def _cost(text: str) -> Amount | None:
    """Money may have more places than amounts; what is beyond the last of them counts as one of it."""
    whole, _, places = text.partition(".")
    known = amount(text if len(places) <= PLACES else f"{whole}.{places[:PLACES]}")
    rest = places[PLACES:]
    return known + 1 if known is not None and rest.isdecimal() and rest.strip("0") else known


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    return value[:MAX_VALUE] if isinstance(value, str) else ""


def _tags(value: Any) -> list[str]:
    """Separated by commas, or a JSON list, as it is or as text."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value, parse_int=str, parse_float=str)
        except ValueError:
            return []
    if isinstance(value, list):
        return [one for one in value if isinstance(one, str)]
    return [one.strip() for one in value.split(",")] if isinstance(value, str) else []
