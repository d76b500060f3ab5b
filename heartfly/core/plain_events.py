"""Bodies of plain events, read in a third of the time that core/events.py takes: what nearly all senders send.

An array of events that have all their fields, whose properties are texts that can be printed, numbers and truth values.
What is otherwise in any way is not judged here: None, and it is read by the rules (core/events.py). What is read
here is the same to the last byte of its fingerprint; a property test compares both.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from heartfly.core.events import (
    FUTURE,
    MAX_BYTES,
    MAX_ID,
    MAX_NAME,
    MAX_PROPERTIES,
    MAX_SUBJECT,
    MAX_TYPE,
    Event,
    fingerprint_of,
    instant_of,
)


class _Plain(msgspec.Struct, gc=False):
    transaction_id: str
    customer_id: str
    timestamp: str
    event_type: str
    properties: dict[str, Any]


_READ = msgspec.json.Decoder(list[_Plain], float_hook=lambda text: msgspec.Raw(text.encode()))
_WRITE = msgspec.json.Encoder(order="sorted")
_MINUS_ZERO = tuple(before + b"-0" for before in (b":", b",", b"[", b" ", b"\t", b"\n", b"\r"))
"""As a whole number it would lose its sign."""
_WHOLE = 1 << 63
"""Whole numbers below are read as such, whatever reads them."""


def plain_events(content: bytes, *, now: datetime, oldest: datetime, most: int) -> list[Event] | None:
    """All of them; None: there is one, or the whole, that is not plain. `oldest`: as in core/events.py."""
    if any(mark in content for mark in _MINUS_ZERO):
        return None
    try:
        found = _READ.decode(content)
    except (msgspec.DecodeError, ValueError, RecursionError):  # told by who reads it by the rules
        return None
    if len(found) > most:
        return None
    events: list[Event] = []
    latest = now + FUTURE
    for one in found:
        at = _at(one.timestamp)
        if at is None or at > latest or at < oldest:
            return None
        if not (_is_plain(one.transaction_id, MAX_ID) and _is_plain(one.customer_id, MAX_SUBJECT)
                and _is_plain(one.event_type, MAX_TYPE)):  # fmt: skip
            return None
        loose = _loose(one.properties)
        if loose is None:
            return None
        exact = _WRITE.encode(one.properties)
        if len(exact) > MAX_BYTES:
            return None
        content_ = f"{one.customer_id}\0{_iso(at)}\0{one.event_type}\0".encode() + _WRITE.encode(loose)
        events.append(Event(
            one.transaction_id, one.customer_id, at, one.event_type, exact.decode(),
            fingerprint_of(content_),
        ))  # fmt: skip
    return events


def _is_plain(text: str, most: int) -> bool:
    return 0 < len(text) <= most and text.isprintable() and not text.isspace()


def _loose(properties: Mapping[str, Any]) -> dict[str, Any] | None:
    """With numbers as texts. None: one is not plain."""
    if len(properties) > MAX_PROPERTIES:
        return None
    loose: dict[str, Any] = {}
    for name, value in properties.items():
        if not (0 < len(name) <= MAX_NAME and name.isprintable()):
            return None
        kind = value.__class__
        if kind is str:
            if not value.isprintable():
                return None
            loose[name] = value
        elif kind is int:
            if not -_WHOLE < value < _WHOLE:
                return None
            loose[name] = str(value)
        elif kind is msgspec.Raw:
            loose[name] = bytes(value).decode()
        elif kind is bool:
            loose[name] = value
        else:
            return None
    return loose


_at = lru_cache(4_096)(instant_of)
_iso = lru_cache(4_096)(datetime.isoformat)
