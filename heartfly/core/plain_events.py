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
    # Of such a text each character can be printed, so that none of its strings has to be looked through.
    clean = content.isascii() and not (b"\\" in content or b"\x7f" in content)
    events: list[Event] = []
    latest = now + FUTURE
    for one in found:
        at = _at(one.timestamp)
        if at is None or at > latest or at < oldest:
            return None
        id_, subject, type_, properties = one.transaction_id, one.customer_id, one.event_type, one.properties
        if not (0 < len(id_) <= MAX_ID and 0 < len(subject) <= MAX_SUBJECT and 0 < len(type_) <= MAX_TYPE):
            return None
        if id_.isspace() or subject.isspace() or type_.isspace():
            return None
        if not clean and not (id_.isprintable() and subject.isprintable() and type_.isprintable()):
            return None
        loose = _loose(properties, clean=clean)
        if loose is None:
            return None
        exact = _WRITE.encode(properties)
        if len(exact) > MAX_BYTES:
            return None
        content_ = f"{subject}\0{_iso(at)}\0{type_}\0".encode() + _WRITE.encode(loose)
        events.append(Event(id_, subject, at, type_, exact.decode(), fingerprint_of(content_)))
    return events


def _loose(properties: Mapping[str, Any], *, clean: bool) -> dict[str, Any] | None:
    """With numbers as texts. None: one is not plain. `clean`: every text of them can be printed."""
    if len(properties) > MAX_PROPERTIES:
        return None
    loose: dict[str, Any] = {}
    for name, value in properties.items():
        if not 0 < len(name) <= MAX_NAME or not (clean or name.isprintable()):
            return None
        kind = value.__class__
        if kind is str:
            if not (clean or value.isprintable()):
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
