"""What events come to, by brute force: Python's Decimal, one loop, nothing of what Heartfly folds with."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal, localcontext
from typing import Any


@dataclass(frozen=True)
class Sent:
    """An event of a test. `size`: as it is written in the JSON."""

    number: int
    at: datetime
    subject: str
    type: str
    endpoint: str | None
    size: str
    user: str

    @property
    def name(self) -> str:
        """Its transaction id: every second one is a UUID, as senders' mostly are."""
        return f"00000000-0000-4000-8000-{self.number:012x}" if self.number % 2 else f"t-{self.number}"

    def wire(self) -> dict[str, Any]:
        from heartfly.core.amounts import Number  # noqa: PLC0415 - how JSON is read, not what is folded

        properties: dict[str, Any] = {"user": self.user}
        if self.endpoint is not None:
            properties["endpoint"] = self.endpoint
        if self.size:
            properties["size"] = Number(self.size)
        return {
            "transaction_id": self.name,
            "customer_id": self.subject,
            "timestamp": self.at.isoformat(),
            "event_type": self.type,
            "properties": properties,
        }


COUNT = {"event_types": ["api"], "aggregation": "count"}
SUM = {"event_types": ["api", "job"], "aggregation": "sum", "value": "size * 3", "group_keys": ["endpoint"]}
PEAK = {"event_types": ["api"], "aggregation": "max", "value": "size"}
LATEST = {"event_types": ["api"], "aggregation": "latest", "value": "size"}
USERS = {"event_types": ["api"], "aggregation": "unique", "value": "user", "group_keys": ["endpoint"]}
DEFINITIONS: dict[str, dict[str, Any]] = {
    "count": COUNT,
    "sum": SUM,
    "peak": PEAK,
    "latest": LATEST,
    "users": USERS,
}

Answer = dict[tuple[str, str, str | None], Any]
"""By meter, subject, and group as JSON (None: all of them)."""


def answers(found: Iterable[Sent], definitions: dict[str, dict[str, Any]] = DEFINITIONS) -> Answer:
    told: Answer = {}
    ordered = sorted(found, key=lambda one: (one.at, one.number))
    with localcontext(Context(prec=500)):
        for name, definition in definitions.items():
            for one in ordered:
                if one.type not in definition["event_types"]:
                    continue
                if name in {"sum", "peak", "latest"} and not _counts(one.size, 3 if name == "sum" else 1):
                    continue
                keys: list[str | None] = [None]
                if "group_keys" in definition:
                    keys.append(json.dumps([one.endpoint], separators=(",", ":"), ensure_ascii=False))
                for key in keys:
                    _add(told, name, (name, one.subject, key), one)
    return {key: len(value) if isinstance(value, set) else value for key, value in told.items()}


def _counts(size: str, times: int) -> bool:
    if not size:
        return False
    digits = size.lstrip("-").split(".")
    if "e" in size or len(digits[0]) > 20 or (len(digits) > 1 and len(digits[1]) > 18):
        return False
    return abs(Decimal(size) * times) < Decimal(10) ** 20


def _add(told: Answer, name: str, key: tuple[str, str, str | None], one: Sent) -> None:
    match name:
        case "count":
            told[key] = told.get(key, Decimal(0)) + 1
        case "sum":
            told[key] = told.get(key, Decimal(0)) + Decimal(one.size) * 3
        case "peak":
            told[key] = max(told.get(key, Decimal(one.size)), Decimal(one.size))
        case "latest":
            told[key] = Decimal(one.size)
        case _:
            told.setdefault(key, set()).add(one.user)
