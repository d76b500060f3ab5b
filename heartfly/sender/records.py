"""One event as one line: the checksum of its text, a space, the text. As it was given: no number is read or rounded."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .errors import NotAnEventError


@dataclass(frozen=True, slots=True)
class Record:
    """`text`: an event's JSON on one line; of a damaged record whatever is there."""

    text: bytes
    damaged: bool = False


def text_of(event: Mapping[str, Any] | str | bytes) -> bytes:
    """Raise NotAnEventError. A mapping's Decimals become strings, which keeps each digit."""
    if isinstance(event, Mapping):
        try:
            return json.dumps(dict(event), ensure_ascii=False, allow_nan=False, default=_exact).encode()
        except (TypeError, ValueError) as error:
            raise NotAnEventError(f"is nothing that JSON can hold: {error}") from error
    try:
        # As UTF-8 only: the parser would take UTF-16 as well, and beside other events in one body that is no JSON.
        words = event if isinstance(event, str) else event.decode("utf-8-sig")
        text, found = words.encode(), json.loads(words, parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise NotAnEventError(f"is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise NotAnEventError("is no JSON object")
    # Within JSON's strings there is no bare line end: these are between its parts.
    return text.strip().replace(b"\r", b" ").replace(b"\n", b" ")


def _exact(value: object) -> str:
    if isinstance(value, Decimal) and value.is_finite():
        return f"{value:f}"
    raise TypeError(f"{value!r} of type {type(value).__name__}")


def line_of(text: bytes) -> bytes:
    """Without its end."""
    return b"%08x %s" % (zlib.crc32(text), text)


def record_in(line: bytes) -> Record:
    """Tell from its checksum whether it is as it was written."""
    checksum, _, text = line.partition(b" ")
    whole = checksum == b"%08x" % zlib.crc32(text)
    return Record(text) if whole else Record(line, damaged=True)
