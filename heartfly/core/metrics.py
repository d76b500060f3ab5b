"""Figures that a job reports with its ping: `rows=10`, `rows: 10`, numbers of a JSON object, `?metric=rows:10`.

Exact decimals of one grammar, checked as text before any arithmetic: `1e999999999` is no number here.
What does not match is left alone, for a body is free text; nothing in it can be an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from decimal import Decimal
from itertools import islice
from typing import Any

from heartfly.errors import InvalidValueError

MAX_METRICS = 50
SCANNED = 32 * 1024
"""Of a longer body only so many bytes are looked through, half at its beginning and half at its end."""
QUANTITY = re.compile(r"-?\d{1,20}(\.\d{1,18})?", re.ASCII)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", re.ASCII)

# One pass, no nested repetition: linear on any input. A value ends at white space, a semicolon, or a comma that no
# digit follows: `1,231` is a thousand to its writer, and no figure at all is better than a wrong one.
_PAIR = re.compile(
    rb"(?:^|(?<=[\s,;]))([A-Za-z_][A-Za-z0-9_.-]{0,63})(?:=|:[ \t]{0,4})(-?\d{1,20}(?:\.\d{1,18})?)(?=[\s;]|,(?!\d)|$)"
)


_SPACE = re.compile(rb"\s")


def quantity(text: str) -> Decimal | None:
    """The exact number; None if the text is not one of 1 to 20 digits with at most 18 places."""
    return Decimal(text) if QUANTITY.fullmatch(text) else None


def of_body(body: bytes, *, end: bytes = b"") -> dict[str, Decimal]:
    """Figures in a body, at most 50; the last value of a name counts.

    `end`: the last bytes of what was sent, if that went on after `body`.
    """
    if not end and body[:1] == b"{" and body.rstrip()[-1:] == b"}" and (found := _of_json(body)) is not None:
        return found
    if end or len(body) > SCANNED:
        # Figures stand at the beginning or at the end; looking through all of a long output would hold up other jobs.
        end = (end or body)[-SCANNED // 2 :]
        body = _whole_words(body[: SCANNED // 2]) + b"\n" + _after_first_space(end)
    pairs: dict[bytes, bytes] = {}
    for pair in _PAIR.finditer(body):
        if pair[1] in pairs or len(pairs) < MAX_METRICS:
            pairs[pair[1]] = pair[2]
    return {name.decode(): Decimal(value.decode()) for name, value in pairs.items()}


def _whole_words(head: bytes) -> bytes:
    """Without the last word, of which a part may be missing: half a number is another number."""
    return head[: max(head.rfind(space) for space in (b" ", b"\n", b"\t", b"\r")) + 1]


def _after_first_space(tail: bytes) -> bytes:
    """Without the first word: half a name is another name."""
    found = _SPACE.search(tail)
    return tail[found.end() :] if found else b""


def of_query(values: Iterable[str]) -> dict[str, Decimal]:
    """`?metric=rows:10` (or `rows=10`), repeated. InvalidValueError names the field."""
    pairs = []
    for value in values:
        name, separator, number = value.partition("=" if "=" in value else ":")
        parsed = quantity(number.strip())
        if not separator or not NAME.fullmatch(name) or parsed is None:
            raise InvalidValueError("metric", "must look like rows:10, a name and an exact decimal")
        pairs.append((name, parsed))
    return _bounded(pairs)


def _of_json(body: bytes) -> dict[str, Decimal] | None:
    """Numbers of the top level of a JSON document that begins with a brace, so is an object; None if it is not one."""
    try:
        document = json.loads(body, parse_float=_as_written, parse_int=_as_written, parse_constant=_as_written)
    except (ValueError, RecursionError):
        return None
    pairs = (
        (name, parsed)
        for name, value in document.items()
        if isinstance(value, _Number) and NAME.fullmatch(name) and (parsed := quantity(value)) is not None
    )
    return dict(islice(pairs, MAX_METRICS))


class _Number(str):
    """A JSON number as it was written, so that no digit is lost on the way."""

    __slots__ = ()


def _as_written(text: str) -> Any:
    return _Number(text)


def _bounded(pairs: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for name, value in pairs:
        if name in found or len(found) < MAX_METRICS:
            found[name] = value
    return found
