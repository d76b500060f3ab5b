"""How deep JSON may nest and how much it may hold, looked at before anything is decoded: 40,000 brackets would end a
decoder with a recursion error, and some hundred of them whoever walks through what was decoded; a MiB of zeros is 60 of
Python's numbers.
"""

from __future__ import annotations

import re

MAX_DEPTH = 32

_PIECE = 64 * 1024
_LINES = re.compile(rb"[^\n]+")
_BRACKETS = bytes.maketrans(b"[]{}", b"()()")
_OTHERS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def too_deep(raw: bytes) -> bool:
    """Whether brackets nest deeper than MAX_DEPTH, or do not match. Linear, whatever stands in it: some 10 ms a MiB.

    `raw`: UTF-8, in which no part of another character looks like a quotation mark or a bracket. Without escaped
    characters every other part between quotes is a text. What is no JSON may be read differently after the first byte
    that is wrong, where the decoder stops.
    """
    brackets = _outside(raw).translate(_BRACKETS, _OTHERS)
    for _ in range(MAX_DEPTH):
        before, brackets = len(brackets), brackets.replace(b"()", b"")
        if len(brackets) == before:
            break
    return bool(brackets)


def too_many(raw: bytes, most: int) -> bool:
    """Whether it holds more than `most` values, lists and objects; counted by the commas and brackets outside of texts.

    Linear as well, and next to nothing where there are few commas in all.
    """
    return _n_marks(raw) > most and _n_marks(_outside(raw)) > most


def lines_too_many(raw: bytes, most: int) -> bool:
    """As `too_many`, of all lines together. A text ends with its line: one left open hides nothing of the next."""
    return _n_marks(raw) > most and sum(_n_marks(_outside(line[0])) for line in _LINES.finditer(raw)) > most


def _n_marks(raw: bytes) -> int:
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def _outside(raw: bytes) -> bytes:
    """What stands in no text. Piece by piece: a MiB of short texts, taken apart at once, becomes 20."""
    plain, found, begins_inside = raw.replace(b"\\\\", b"").replace(b'\\"', b""), [], 0
    for start in range(0, len(plain), _PIECE):
        parts = plain[start : start + _PIECE].split(b'"')
        found.append(b"".join(parts[begins_inside::2]))
        begins_inside ^= len(parts) - 1 & 1
    return b"".join(found)
