"""JSON laid out for reading, every name and number as it was sent: a parser would change digits and drop names."""

from __future__ import annotations

import json
import re

_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_INDENT = "  "
_DEEPEST = 100


def is_json(text: str) -> bool:
    """An object or a list; a bare number or word is what any program says."""
    if text.lstrip()[:1] not in {"{", "["}:
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def laid_out(text: str) -> str:
    """`text`: of which `is_json`."""
    made: list[str] = []
    depth, before = 0, ""
    for piece in _PIECE.findall(text):
        if piece in {"}", "]"}:
            depth -= 1
            # Nothing between them: `{}` stays on its line.
            made.append(piece if before in {"{", "["} else _line(depth) + piece)
        elif before in {"{", "[", ","}:
            made.append(_line(depth) + piece)
        else:
            made.append(piece)
        if piece in {"{", "["}:
            depth += 1
        elif piece == ":":
            made.append(" ")
        before = piece
    return "".join(made)


def _line(depth: int) -> str:
    return "\n" + _INDENT * min(depth, _DEEPEST)
