"""Bodies of plain events, read in a third of the time that core/events.py takes: what nearly all senders send.

An array of events that have all their fields, whose properties are texts that can be printed, numbers and truth values.
What is otherwise in any way is not judged here: None, and it is read by the rules (core/events.py). What is read
here is the same to the last byte of its fingerprint; a property test compares both.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain, starmap
from typing import Any

import msgspec

from heartfly.core.events import (
    COMMON,
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


def plain_events(content: bytes, *, now: datetime, oldest: datetime, most: int) -> list[Event] | None:
    """All of them; None: there is one, or the whole, that is not plain. `oldest`: as in core/events.py.

    Column by column: what is asked of each event costs more than what is asked once of all that they hold.
    """
    try:
        found = _READ.decode(content)
    except (msgspec.DecodeError, ValueError, RecursionError):  # told by who reads it by the rules
        return None
    if len(found) > most:
        return None
    if not found:
        return []
    ids, subjects = [one.transaction_id for one in found], [one.customer_id for one in found]
    types, properties = [one.event_type for one in found], [one.properties for one in found]
    instants = _instants([one.timestamp for one in found])
    if instants is None:
        return None
    ats, isos = instants
    if max(ats) > now + FUTURE or min(ats) < oldest:
        return None
    named = [(one, MAX_SUBJECT) for one in set(subjects)] + [(one, MAX_TYPE) for one in set(types)]
    if not (are_plain(ids, MAX_ID) and all(starmap(is_known_plain, named))):
        return None
    if not all(map(is_name, set().union(*properties))) or max(map(len, properties)) > MAX_PROPERTIES:
        return None
    # JSON has no control character but as an escape, nor has what is left then any that cannot be printed.
    printable = content.isascii() and b"\\" not in content and b"\x7f" not in content
    if not (printable or all(map(_are_printable, properties))):
        return None
    exact = [*map(_WRITE.encode, properties)]
    if max(map(len, exact)) > MAX_BYTES:
        return None
    kinds = set(map(type, chain.from_iterable(map(dict.values, properties))))
    loose = _loose(properties, exact, kinds)
    has_zero = int in kinds and any(b'":0' in one for one in exact)
    if loose is None or (has_zero and has_minus_zero(content)):
        return None
    prints = [
        fingerprint_of(f"{subject}\0{at}\0{type_}\0".encode() + told)
        for subject, at, type_, told in zip(subjects, isos, types, loose, strict=True)
    ]
    return [*map(Event._make, zip(ids, subjects, ats, types, map(bytes.decode, exact), prints, strict=True))]


def _instants(texts: Sequence[str]) -> tuple[Sequence[datetime], Iterable[str]] | None:
    """And as Python spells them. None: one of them is none."""
    joined = "\n".join(texts)
    # A text may have lines of its own.
    if joined.count("\n") != len(texts) - 1 or not _COMMON_LINES.fullmatch(joined):
        ats = [at for at in map(instant, texts) if at is not None]
        return (ats, map(iso, ats)) if len(ats) == len(texts) else None
    try:
        ats = [at if at.tzinfo is UTC else at.astimezone(UTC) for at in map(datetime.fromisoformat, texts)]
    except (ValueError, OverflowError):
        return None
    # Many spell them so, or nearly, and to do it again takes a microsecond each.
    if joined.count("Z") == len(texts):
        joined = joined.replace("Z", "+00:00")
    spelled = joined.split("\n")
    as_ours = joined.count("+00:00") == len(texts) and {*map(len, spelled)} <= _LENGTHS and ".000000" not in joined
    return ats, spelled if as_ours else map(iso, ats)


_LENGTHS = {len("2026-11-28T10:15:00+00:00"), len("2026-11-28T10:15:00.123456+00:00")}


def has_minus_zero(content: bytes) -> bool:
    """As a whole number it would have lost its sign. Times have such pairs, too."""
    place = content.find(b"-0")
    while place >= 0:
        if content[place - 1] in b":,[ \t\n\r":
            return True
        place = content.find(b"-0", place + 2)
    return False


def are_plain(texts: Collection[str], most: int) -> bool:
    """All of them, as `_is_plain`."""
    lengths = [*map(len, texts)]
    if min(lengths) == 0 or max(lengths) > most or not (joined := "".join(texts)).isprintable():
        return False
    return " " not in joined or not any(map(str.isspace, texts))  # no other space can be printed


def _is_plain(text: str, most: int) -> bool:
    return 0 < len(text) <= most and text.isprintable() and not text.isspace()


is_known_plain = lru_cache(4_096)(_is_plain)
"""Of what comes again and again."""


@lru_cache(8_192)
def is_name(name: str) -> bool:
    return 0 < len(name) <= MAX_NAME and name.isprintable()


def _are_printable(properties: Mapping[str, Any]) -> bool:
    return all(value.isprintable() for value in properties.values() if value.__class__ is str)


def _loose(properties: Sequence[Mapping[str, Any]], exact: Sequence[bytes], kinds: set[type]) -> Sequence[bytes] | None:
    """With numbers as texts. `exact`: the properties as JSON; `kinds`: of their values. None: one is not plain."""
    if not kinds <= _KINDS:
        return None
    if not kinds & _NUMBERS:
        return exact
    lines = b"\n".join(exact)
    if b'":-0' in lines:
        return None
    if any(sign in lines for sign in _UNLIKE):
        return _one_by_one(properties)
    parts = _NUMBER.split(lines)
    numbers = parts[1::2]
    if max(map(len, numbers)) >= _LONG and any(map(_is_beyond, numbers)):
        return None
    parts[1::2] = [b'":"%b"' % number for number in numbers]
    return b"".join(parts).split(b"\n")


def _one_by_one(properties: Sequence[Mapping[str, Any]]) -> Sequence[bytes] | None:
    """The same, where texts could be taken for what stands around a number."""
    found = []
    for one in properties:
        told = {name: _text_of(value) for name, value in one.items()}
        if any(value.__class__ is int and _is_beyond(b"%d" % value) for value in one.values()):
            return None
        found.append(_WRITE.encode(told))
    return found


def _is_beyond(number: bytes) -> bool:
    return number.removeprefix(b"-").isdigit() and (len(number) > _LONG + 1 or abs(int(number)) >= WHOLE)


def _text_of(value: Any) -> Any:
    if value.__class__ is int:
        return str(value)
    return bytes(value).decode() if value.__class__ is msgspec.Raw else value


_NUMBERS = frozenset((int, msgspec.Raw))
_KINDS = _NUMBERS | {str, bool}
_NUMBER = re.compile(rb'":(-?[0-9][^,}]*)')
"""Behind the name of a property, in JSON without white space."""
_UNLIKE = (b"\\", b'{":', b',":', b':":')
"""Without these no text holds a quotation mark, and none begins with a colon: `":` is the end of a name."""
WHOLE = 1 << 63
"""Whole numbers below are read as such, whatever reads them."""
_LONG = len(str(WHOLE))
instant = lru_cache(4_096)(instant_of)
iso = lru_cache(4_096)(datetime.isoformat)
_COMMON_LINES = re.compile(rf"(?:{COMMON}\n)*{COMMON}", re.ASCII)
