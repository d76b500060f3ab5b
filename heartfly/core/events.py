"""An event: one thing that was used, as it came. What is one, what is refused and why, and when two are the same.

Properties need no declaration: whatever comes is kept as it was written. Whether an event counts, and for how much,
is decided by meters (core/meters.py), whenever somebody asks.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, NamedTuple

from heartfly.core.amounts import Number

MAX_ID = 128
MAX_SUBJECT = 256
MAX_TYPE = 128
MAX_PROPERTIES = 100
MAX_NAME = 128
MAX_BYTES = 32_768
MAX_DEPTH = 8
FUTURE = timedelta(hours=24)
"""So far ahead a timestamp may lie, inclusive (Metronome's rule)."""

Value = str | bool | None | Sequence["Value"] | Mapping[str, "Value"]
"""What JSON holds; numbers as they were written (`core.amounts.Number`)."""


class Event(NamedTuple):
    """A tuple, as there are many: it is made in less than half the time.

    `transaction_id`: the sender's name for it, one event each. `subject`: the customer as the sender calls it.

    `properties`: as JSON, names in order, no white space, numbers as they were written. `fingerprint`: 6 bytes, the
    same for the same content, whatever the order of names and whether a number was a text.
    """

    transaction_id: str
    subject: str
    at: datetime
    type: str
    properties: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Rejected:
    """`field`: its path in the event, such as `properties.size`; empty: the event as a whole."""

    field: str
    reason: str


def event_of(found: Any, *, now: datetime, oldest: datetime) -> Event | Rejected:
    """An event from what JSON held (`read`). `oldest`: what happened before is refused, its day is closed for good."""
    if not isinstance(found, dict):
        return Rejected("", "must be an object")
    texts: list[str] = []
    for name, limit in _TEXTS:
        text: Any = found.get(name)
        if not (text.__class__ is str and 0 < len(text) <= limit and text.isprintable() and not text.isspace()):
            if isinstance(text, Number) and name != "event_type":
                text = str(text)  # an id that somebody did not quote is still that id
            if (wrong := _wrong_text(text, limit)) is not None:
                return Rejected(name, wrong)
        texts.append(text)
    at = _instant(found.get("timestamp"), now=now, oldest=oldest)
    if isinstance(at, str):
        return Rejected("timestamp", at)
    properties = found.get("properties")
    spelled = _of_plain(properties)
    if spelled is None:
        if (wrong_one := _wrong_properties(properties, "properties")) is not None:
            return wrong_one
        spelled = _spelled(properties or {})
    exact, loose = spelled
    if len(exact) > MAX_BYTES // 4 and len(exact.encode()) > MAX_BYTES:
        return Rejected("properties", f"are longer than {MAX_BYTES} bytes")
    transaction_id, subject, type_ = texts
    content = f"{subject}\0{at.isoformat()}\0{type_}\0{loose}"
    return Event(transaction_id, subject, at, type_, exact, fingerprint_of(content.encode()))


def fingerprint_of(content: bytes) -> bytes:
    """6 bytes. `content`: subject, time, type and properties without a difference between numbers and texts."""
    return hashlib.blake2b(content, digest_size=8).digest()[:6]


def fingerprints_of(heads: Iterable[str], properties: Iterable[str]) -> list[bytes]:
    """The same of each: to call for each takes a fifth longer. `heads`: all but the properties."""
    made = hashlib.blake2b
    return [
        made(f"{head}{loose}".encode(), digest_size=8).digest()[:6]
        for head, loose in zip(heads, properties, strict=True)
    ]


_TEXTS = (("transaction_id", MAX_ID), ("customer_id", MAX_SUBJECT), ("event_type", MAX_TYPE))


def _wrong_text(text: Any, limit: int) -> str | None:
    if text is None:
        return "is required"
    if not isinstance(text, str) or isinstance(text, Number):
        return "must be a string"
    if not text.strip():
        return "must not be empty"
    if len(text) > limit:
        return f"is longer than {limit} characters"
    return wrong_text(text)


def wrong_text(text: str) -> str | None:
    """Why a text can stand in no event; None: it can."""
    return None if _is_text(text) else "holds a character that is none (a control character or half a pair)"


def wrong_subject(text: str) -> str | None:
    """Why no event could name a customer so; None: one could."""
    return _wrong_text(text, MAX_SUBJECT)


def _is_text(text: str) -> bool:
    return text.isprintable() or not _NO_TEXT.search(text)  # what can be printed holds none of these


_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def _wrong_properties(properties: Any, name: str) -> Rejected | None:
    if properties is None:
        return None
    if not isinstance(properties, dict):
        return Rejected(name, "must be an object")
    if len(properties) > MAX_PROPERTIES:
        return Rejected(name, f"has more than {MAX_PROPERTIES} names")
    for key, value in properties.items():
        if not key or len(key) > MAX_NAME:
            return Rejected(name, f"has a name that is not of 1 to {MAX_NAME} characters")
        if not _is_text(key):
            return Rejected(name, "has a name with a character that is none")
        if value.__class__ is not Number and (wrong := _wrong_value(value, 1)) is not None:
            return Rejected(f"{name}.{key}", wrong)
    return None


def _wrong_value(value: Value, depth: int) -> str | None:
    if depth > MAX_DEPTH:
        return f"is nested more than {MAX_DEPTH} deep"
    if isinstance(value, str):
        return wrong_text(value)
    inner: Iterable[Value] = ()
    if isinstance(value, dict):
        if not all(map(_is_text, value)):
            return "has a name with a character that is none"
        inner = value.values()
    elif isinstance(value, list):
        inner = value
    return next((wrong for one in inner if (wrong := _wrong_value(one, depth + 1)) is not None), None)


# --- time


_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,18}))?(?:([Zz])|([+-])(\d\d):(\d\d))", re.ASCII
)


COMMON = r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
"""What Python's own parser reads as RFC 3339 means it, four times as fast."""
_COMMON = re.compile(COMMON, re.ASCII)


def instant_of(text: str) -> datetime | None:
    """RFC 3339 with any offset, to the microsecond (further digits are cut off); None if it is no such instant."""
    if _COMMON.fullmatch(text):
        try:
            at = datetime.fromisoformat(text)
            return at if at.tzinfo is UTC else at.astimezone(UTC)
        except (ValueError, OverflowError):
            return None
    found = _INSTANT.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(found[place]) for place in range(1, 7))
    micros = int((found[7] or "0")[:6].ljust(6, "0"))
    hours, minutes = (0, 0) if found[8] else (int(found[10]), int(found[11]))
    if hours > 23 or minutes > 59:
        return None
    ahead = timedelta(hours=hours, minutes=minutes)
    leap = second == 60  # RFC 3339 knows them; for us it is the second after
    try:
        local = datetime(year, month, day, hour, minute, 59 if leap else second, micros, tzinfo=UTC)
        return local + timedelta(seconds=leap) - (-ahead if found[9] == "-" else ahead)
    except (ValueError, OverflowError):
        return None


def _instant(text: Any, *, now: datetime, oldest: datetime) -> datetime | str:
    if text is None:
        return "is required"
    at = instant_of(text) if isinstance(text, str) else None
    if at is None:
        return "must be an instant of RFC 3339 with an offset, such as 2026-11-28T13:00:00Z"
    if at > now + FUTURE:
        return "is more than 24 hours ahead"
    if at < oldest:
        return f"is before {oldest.isoformat(timespec='seconds')}, from when on events are kept"
    return at


# --- JSON with numbers as they were written


def read(text: str | bytes) -> Any:
    """ValueError: it is no JSON, or holds NaN or Infinity. RecursionError: it is nested absurdly deep."""
    return json.loads(text, parse_float=Number, parse_int=Number, parse_constant=_no_number)


def read_yielding(text: str | bytes) -> Any:
    """The same, for a thread beside others: a number is made by Python's own code, which lets them run meanwhile."""
    return json.loads(text, parse_float=_number, parse_int=_number, parse_constant=_no_number)


def _number(text: str) -> Number:
    return Number(text)


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def written(value: Any) -> str:
    """As JSON, the same text for the same value: names in order, numbers as they were."""
    if isinstance(value, str):
        return str(value) if isinstance(value, Number) else _quoted(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_quoted(name)}:{written(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return "null" if value is None else "true" if value else "false"


def _of_plain(properties: Any) -> tuple[str, str] | None:
    """What `_spelled` spells, of the properties that nearly all events have: scalars that nothing is wrong with.

    None: they are to be looked at one by one. A third of what that takes.
    """
    if properties.__class__ is not dict or len(properties) > MAX_PROPERTIES:
        return None
    exact, loose = [], []
    for name in sorted(properties):
        if len(name) > MAX_NAME or not (before := _before_value(name)):  # what is longer is not to be remembered
            return None
        value = properties[name]
        if value.__class__ is Number:
            exact.append(before + value)
            loose.append(f'{before}"{value}"')
            continue
        if value.__class__ is str and value.isprintable():
            text = before + _quoted(value)
        elif value is True or value is False:
            text = before + ("true" if value else "false")
        else:
            return None
        exact.append(text)
        loose.append(text)
    return f"{{{','.join(exact)}}}", f"{{{','.join(loose)}}}"


@lru_cache(8_192)
def _before_value(name: str) -> str:
    """Empty: no property has such a name."""
    return f"{_quoted(name)}:" if name and _is_text(name) else ""


def _spelled(properties: dict[str, Any]) -> tuple[str, str]:
    """As `written`, and once more with numbers as texts. Of what is longer than MAX_BYTES the beginning."""
    exact, loose, size = [], [], 0
    for name in sorted(properties):
        value, quoted = properties[name], _quoted(name)
        if value.__class__ is Number:
            exact.append(f"{quoted}:{value}")
            loose.append(f'{quoted}:"{value}"')
        else:
            text = _quoted(value) if value.__class__ is str else written(value)
            exact.append(f"{quoted}:{text}")
            size += len(text)
            if size > MAX_BYTES:
                break
            loose.append(f"{quoted}:{text if value.__class__ is str else _loosely(value)}")
    return f"{{{','.join(exact)}}}", f"{{{','.join(loose)}}}"


_quoted: Callable[[str], str] = encode_basestring
_loosely = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
"""To it a number that was kept as text is a text."""
