"""What a receiver of events has been told and has seen, time that passes when somebody waits, and an event."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Told = tuple[int, dict[str, str], bytes]


@dataclass
class Receiver:
    """`answers` are given first, in order; then it takes events as Heartfly does: what has no `ok` is rejected."""

    url: str = ""
    answers: list[Told] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    pings: list[tuple[str, str]] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)
    ping_status: int = 200
    takes_columns: bool = False
    heard: threading.Condition = field(default_factory=threading.Condition)
    """Told with every body of events."""

    def is_unknown(self, path: str) -> bool:
        """As of a Heartfly that takes events one by one only."""
        return path.startswith("/v1/events/") and not self.takes_columns

    def events(self, body: bytes) -> Told:
        with self.heard:
            self.heard.notify_all()
            return self._told(body)

    def foretold(self, body: bytes) -> Told:
        """A dry run: nothing of it is known afterwards."""
        with self.heard:
            known = dict(self.known)
            told = self.events(body)
            self.known = known
            return told

    def _told(self, body: bytes) -> Told:
        self.bodies.append(body)
        if self.answers:
            return self.answers.pop(0)
        return 200, {}, json.dumps({"results": [self._one(event) for event in _events(json.loads(body))]}).encode()

    def _one(self, event: dict[str, Any]) -> dict[str, Any]:
        id_, content = event.get("transaction_id"), json.dumps(event)
        if not isinstance(id_, str):
            return {"outcome": "rejected", "field": "transaction_id", "reason": "is required"}
        if id_ not in self.known:
            self.known[id_] = content
            return {"outcome": "accepted", "field": None, "reason": None}
        return {"outcome": "duplicate" if self.known[id_] == content else "conflict", "field": None, "reason": None}


def _events(body: Any) -> list[dict[str, Any]]:
    """Of columns: what they would be one by one."""
    if isinstance(body, list):
        return body
    n = len(body["transaction_id"])

    def each(column: Any) -> list[Any]:
        if isinstance(column, dict):
            return [column["values"][place] for place in column["places"]]
        return column if isinstance(column, list) else [column] * n

    heads = [dict(zip(_HEAD, one, strict=True)) for one in zip(*(each(body[name]) for name in _HEAD), strict=True)]
    for place, head in enumerate(heads):
        properties = {name: each(column)[place] for name, column in body["properties"].items()}
        for column in body["alike"]:
            properties |= each(column)[place]
        head["properties"] = {name: properties[name] for name in sorted(properties) if properties[name] is not None}
    return heads


_HEAD = ("transaction_id", "customer_id", "timestamp", "event_type")


@dataclass
class PassingTime:
    waited: list[float] = field(default_factory=list)
    on_wait: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        return datetime(2026, 11, 28, 13, tzinfo=UTC) + timedelta(seconds=sum(self.waited))

    def monotonic(self) -> float:
        return sum(self.waited)

    def wait(self, seconds: float, stop: threading.Event) -> None:  # noqa: ARG002 - asked for by the protocol
        self.waited.append(seconds)
        self.on_wait()


def event(n: int, **more: Any) -> dict[str, Any]:
    return {
        "transaction_id": f"tx-{n}",
        "customer_id": "acme",
        "timestamp": "2026-11-28T12:00:00Z",
        "event_type": "api_call",
    } | more
