"""What an event that is a call says that was used, and whether the call came to something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heartfly.core.amounts import ONE, Amount, amount
from heartfly.core.prices import REQUESTS

_UNIT = "units."
_FAILED = 400


def units_of(properties: Mapping[str, Any]) -> dict[str, Amount]:
    """A call is one request, unless it says otherwise; an amount that is none counts nothing."""
    found = {REQUESTS: ONE}
    for name, value in properties.items():
        if name.startswith(_UNIT) and isinstance(value, str) and (told := amount(value)) is not None:
            found[name.removeprefix(_UNIT)] = told
    return found


def failed(properties: Mapping[str, Any]) -> bool:
    status = text_of(properties, "status")
    is_wrong = status.isascii() and status.isdigit() and int(status[:9]) >= _FAILED
    return is_wrong or bool(text_of(properties, "error"))


def text_of(properties: Mapping[str, Any], name: str) -> str:
    value = properties.get(name)
    return str(value) if isinstance(value, str) else ""
