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
_WHOLE = 1 << 63
"""Whole numbers below are read as such, whatever reads them."""


def plain_events(content: bytes, *, now: datetime, oldest: datetime, most: int) -> list[Event] | None:
    """All of them; None: there is one, or the whole, that is not plain. `oldest`: as in core/events.py."""
    try:
        found = _READ.decode(content)
    except (msgspec.DecodeError, ValueError, RecursionError):  # told by who reads it by the rules
        return None
    if len(found) > most:
        return None
    # JSON has no control character but as an escape, nor has what is left then any that cannot be printed.
    printable = content.isascii() and b"\\" not in content and b"\x7f" not in content
    events: list[Event] = []
    latest = now + FUTURE
    names: set[str] = set()
    has_zero = False
    for one in found:
        id_, subject, type_, properties = one.transaction_id, one.customer_id, one.event_type, one.properties
        at = instant(one.timestamp)
        if at is None or at > latest or at < oldest:
            return None
        if not (_is_plain(id_, MAX_ID) and is_known_plain(subject, MAX_SUBJECT) and is_known_plain(type_, MAX_TYPE)):
            return None
        if not properties.keys() <= names:
            if not all(_is_name(name) for name in properties):
                return None
            names |= properties.keys()
        if len(properties) > MAX_PROPERTIES or not (printable or _are_printable(properties)):
            return None
        exact = _WRITE.encode(properties)
        if len(exact) > MAX_BYTES:
            return None
        loose = _loose(properties, exact)
        if loose is None:
            return None
        has_zero = has_zero or 0 in properties.values()
        content_ = f"{subject}\0{iso(at)}\0{type_}\0".encode() + loose
        events.append(Event(id_, subject, at, type_, exact.decode(), fingerprint_of(content_)))
    return None if has_zero and _has_minus_zero(content) else events


def _has_minus_zero(content: bytes) -> bool:
    """As a whole number it would have lost its sign. Times have such pairs, too."""
    place = content.find(b"-0")
    while place >= 0:
        if content[place - 1] in b":,[ \t\n\r":
            return True
        place = content.find(b"-0", place + 2)
    return False


def _is_plain(text: str, most: int) -> bool:
    return 0 < len(text) <= most and text.isprintable() and not text.isspace()


is_known_plain = lru_cache(4_096)(_is_plain)
"""Of what comes again and again."""


def _is_name(name: str) -> bool:
    return 0 < len(name) <= MAX_NAME and name.isprintable()


def _are_printable(properties: Mapping[str, Any]) -> bool:
    return all(value.isprintable() for value in properties.values() if value.__class__ is str)


def _loose(properties: dict[str, Any], exact: bytes) -> bytes | None:
    """With numbers as texts. None: one is not plain."""
    others = [(name, value) for name, value in properties.items() if value.__class__ is not str]
    if not others:
        return exact
    loose = properties.copy()
    for name, value in others:
        kind = value.__class__
        if kind is int:
            if not -_WHOLE < value < _WHOLE:
                return None
            loose[name] = str(value)
        elif kind is msgspec.Raw:
            loose[name] = text = bytes(value).decode()
            if text.startswith("-0"):
                return None
        elif kind is not bool:
            return None
    return _WRITE.encode(loose)


instant = lru_cache(4_096)(instant_of)
iso = lru_cache(4_096)(datetime.isoformat)
