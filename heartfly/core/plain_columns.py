"""Plain events told by column, all at once: the same events as the rules make of each, to the last byte.

Whether they are plain is asked of columns: ids and names that can be printed, instants that are neither too old nor too
far ahead, properties that are texts, numbers and truth values. None: one of them is not, and all are read by the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from json.encoder import encode_basestring
from typing import Any

import msgspec

from heartfly.core.by_column import Coded, Column, EventColumns, Given
from heartfly.core.events import FUTURE, MAX_BYTES, MAX_ID, MAX_PROPERTIES, MAX_SUBJECT, MAX_TYPE, fingerprints_of
from heartfly.core.plain_events import WHOLE, are_plain, has_minus_zero, instant, is_known_plain, is_name, iso

_READ = msgspec.json.Decoder(float_hook=lambda text: msgspec.Raw(text.encode()))
_SOURCE = "source"
_quoted: Callable[[str], str] = encode_basestring


def columns_read(content: bytes) -> Any:
    """What JSON holds, for `given_in` and `plain_columns`; None: by its rules it has to be read otherwise."""
    try:
        return _READ.decode(content)
    except (msgspec.DecodeError, ValueError, RecursionError):  # told by who reads it by the rules
        return None


def plain_columns(given: Given, content: bytes, *, now: datetime, oldest: datetime) -> EventColumns | None:
    """`content`: the body that `columns_read` read. `oldest`: as in core/events.py."""
    ids = given.ids
    if set(map(type, ids)) != {str} or not are_plain(ids, MAX_ID):
        return None
    subjects, types = _names(given.subjects, MAX_SUBJECT), _names(given.types, MAX_TYPE)
    ats = _instants(given.times)
    if subjects is None or types is None or ats is None or max(ats) > now + FUTURE or min(ats) < oldest:
        return None
    if b"-0" in content and has_minus_zero(content):
        return None
    # JSON has no control character but as an escape, nor has what is left then any that cannot be printed.
    told = _properties(given, printable=content.isascii() and b"\\" not in content and b"\x7f" not in content)
    if told is None or 4 * max(map(len, told.exact)) > MAX_BYTES:
        return None
    prints = fingerprints_of(_heads(given, subjects, ats, types), told.loose)
    return EventColumns(ids, subjects, ats, types, told.exact, prints, _sources(given))


def _names(column: Column, most: int) -> list[str] | None:
    values = column.values if isinstance(column, Coded) else column
    if not set(map(type, values)) <= {str} or not all(is_known_plain(value, most) for value in set(values)):
        return None
    return column.each() if isinstance(column, Coded) else column


def _instants(column: Column) -> list[datetime] | None:
    values = column.values if isinstance(column, Coded) else column
    if not set(map(type, values)) <= {str}:
        return None
    ats = _by_value(column, instant)
    return None if None in ats else ats


def _by_value(column: Column, made: Callable[[Any], Any]) -> list[Any]:
    """What is made of each; of equal ones once."""
    if isinstance(column, Coded):
        return Coded([*map(made, column.values)], column.places).each()
    known = {value: made(value) for value in set(column)}
    return [known[value] for value in column]


def _heads(given: Given, subjects: Sequence[str], ats: Sequence[datetime], types: Sequence[str]) -> Sequence[str]:
    """Of what a fingerprint is of, all but the properties."""
    others = [column for column in (given.subjects, given.types) if not _is_one(column)]
    if not others:
        return _by_value(given.times, lambda text: _head(subjects[0], instant(text), types[0]))
    keys = [*zip(subjects, ats, types, strict=True)]
    known = {key: _head(*key) for key in set(keys)}
    return [known[key] for key in keys]


def _is_one(column: Column) -> bool:
    return isinstance(column, Coded) and len(column.values) == 1


def _head(subject: str, at: datetime | None, type_: str) -> str:
    assert at is not None
    return f"{subject}\0{iso(at)}\0{type_}\0"


def _sources(given: Given) -> Sequence[str] | None:
    """As `usage.sources` finds them in properties: texts, and numbers as they were written."""
    column = given.named.get(_SOURCE)
    if isinstance(column, list):
        return [*map(_source, column)]
    if column is not None:
        return _by_value(column, _source)
    for one in given.alike:
        if any(_SOURCE in value for value in one.values):
            return _by_value(Coded([value.get(_SOURCE) for value in one.values], one.places), _source)
    return None


def _source(value: Any) -> str:
    if value.__class__ is str:
        return str(value)
    return _number(value) if value.__class__ in _NUMBERS else ""


# --- properties


@dataclass(frozen=True, slots=True)
class _Told:
    """As JSON, of each event; `loose`: with numbers as texts."""

    exact: Sequence[str]
    loose: Sequence[str]

    def placed(self, places: Sequence[int]) -> _Told:
        exact = Coded(self.exact, places).each()
        return _Told(exact, exact if self.exact is self.loose else Coded(self.loose, places).each())


class _NotPlainError(Exception):
    """Never leaves this file."""


def _properties(given: Given, *, printable: bool) -> _Told | None:
    owners: dict[str, Column] = dict(given.named)
    for one in given.alike:
        owners |= dict.fromkeys(set().union(*one.values), one)
    if len(owners) > MAX_PROPERTIES or not all(map(is_name, owners)):
        return None
    if not owners:
        return _Told(["{}"] * len(given), ["{}"] * len(given))
    parts: list[_Told] = []
    order = sorted(owners)
    try:
        # What is told together and stands together is one piece.
        for _, some in groupby(order, key=lambda name: id(owners[name])):
            names = list(some)
            column = owners[names[0]]
            opening, closing = "," if parts else "{", "}" if names[-1] == order[-1] else ""
            values = column.values if isinstance(column, Coded) else column
            if column is given.named.get(names[0]):
                told = _of_one(values, names[0], opening, closing, printable=printable)
            else:
                told = _of_several(values, names, opening, closing)
            parts.append(told.placed(column.places) if isinstance(column, Coded) else told)
    except _NotPlainError:
        return None
    # Of what an event has not, as of what it closes with, stands nothing else.
    is_open = ("}" if len(parts) == 1 else "") not in parts[0].exact
    exact = _joined([part.exact for part in parts], is_open=is_open)
    if all(part.exact is part.loose for part in parts):
        return _Told(exact, exact)
    return _Told(exact, _joined([part.loose for part in parts], is_open=is_open))


def _joined(parts: Sequence[Sequence[str]], *, is_open: bool) -> list[str]:
    """`is_open`: the first of each is there, and so is the brace before it; else it may be a comma."""
    rows = map("".join, zip(*parts, strict=True))
    return list(rows) if is_open else [f"{{{row[1:] if row[0] in ',{' else row}" for row in rows]


def _of_one(column: Sequence[Any], name: str, opening: str, closing: str, *, printable: bool) -> _Told:
    kinds, before = set(map(type, column)), f"{opening}{_quoted(name)}:"
    if kinds == {str}:
        if printable:
            texts = [f'{before}"{value}"{closing}' for value in column]
        elif "".join(column).isprintable():
            texts = [f"{before}{_quoted(value)}{closing}" for value in column]
        else:
            raise _NotPlainError
        return _Told(texts, texts)
    if kinds == {int}:
        numbers, are_plain_ones = column, min(column) > -WHOLE and max(column) < WHOLE
    elif kinds <= _NUMBERS:
        numbers = [*map(_number, column)]
        are_plain_ones = max(map(len, numbers)) < _MANY
    else:
        numbers, are_plain_ones = (), False
    if are_plain_ones:
        exact = [f"{before}{number}{closing}" for number in numbers]
        return _Told(exact, [f'{before}"{number}"{closing}' for number in numbers])
    return _two(_piece(before, value, closing) for value in column)


def _of_several(values: Sequence[Mapping[str, Any]], names: Sequence[str], opening: str, closing: str) -> _Told:
    befores = [(name, f",{_quoted(name)}:") for name in names]
    return _two(_pieces(value, befores, opening, closing) for value in values)


def _two(pieces: Iterable[tuple[str, str]]) -> _Told:
    exact, loose = zip(*pieces, strict=True)
    return _Told(exact, exact if exact == loose else loose)


def _pieces(
    value: Mapping[str, Any], befores: Iterable[tuple[str, str]], opening: str, closing: str
) -> tuple[str, str]:
    exact, loose = map("".join, zip(*(_piece(before, value.get(name)) for name, before in befores), strict=True))
    return (f"{opening}{exact[1:]}{closing}", f"{opening}{loose[1:]}{closing}") if exact else (closing, closing)


def _piece(before: str, value: Any, closing: str = "") -> tuple[str, str]:
    """`_NotPlainError`: it is neither a text that can be printed, nor a number, nor a truth value, nor nothing."""
    kind = value.__class__
    if value is None:
        return closing, closing
    if kind is str and value.isprintable():
        told = f"{before}{_quoted(value)}{closing}"
        return told, told
    if kind is bool:
        told = f"{before}{'true' if value else 'false'}{closing}"
        return told, told
    if kind in _NUMBERS:
        number = _number(value)
        if number.removeprefix("-").isdigit() and not -WHOLE < int(number) < WHOLE:
            raise _NotPlainError
        return f"{before}{number}{closing}", f'{before}"{number}"{closing}'
    raise _NotPlainError


_NUMBERS = frozenset((int, msgspec.Raw))
_MANY = len(str(WHOLE))
"""Characters: a number of fewer is below."""


def _number(value: Any) -> str:
    return str(value) if value.__class__ is int else bytes(value).decode()
