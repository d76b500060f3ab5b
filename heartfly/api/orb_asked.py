"""What Orb's calls ask, in our words: events, objects and instants. Values in, values out, but for the body."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from heartfly.api.foreign import unfit
from heartfly.core.events import instant_of
from heartfly.errors import InvalidValueError


def event_from(found: Any) -> Any:
    """Ours from one of Orb's."""
    if not isinstance(found, dict):
        return found
    named = [found[name] for name in ("external_customer_id", "customer_id") if found.get(name) is not None]
    if len(named) > 1:
        return unfit(found, "exactly one of customer_id and external_customer_id must be given")
    given = {
        "transaction_id": found.get("idempotency_key"),
        "customer_id": named[0] if named else None,
        "timestamp": _in_utc(found.get("timestamp")),
        "event_type": found.get("event_name"),
        "properties": found.get("properties"),
    }
    return {name: value for name, value in given.items() if value is not None}


def _in_utc(found: Any) -> Any:
    """A time without an offset is of UTC there; ours always has one."""
    without = isinstance(found, str) and instant_of(found) is None and instant_of(f"{found}Z") is not None
    return f"{found}Z" if without else found


def instant(asked: Mapping[str, Any], name: str) -> datetime | None:
    """None: it is not said. InvalidValueError."""
    if asked.get(name) is None:
        return None
    text = _in_utc(asked[name])
    at = instant_of(text) if isinstance(text, str) else None
    if at is None:
        raise InvalidValueError(name, "must be an instant, such as 2026-11-28T13:00:00Z")
    return at
