"""How deep JSON may nest, looked at before anything is decoded: 40,000 brackets would end a decoder with a recursion
error, and some hundred of them whoever walks through what was decoded.
"""

from __future__ import annotations

MAX_DEPTH = 32

_BRACKETS = bytes.maketrans(b"[]{}", b"()()")
_OTHERS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def too_deep(raw: bytes) -> bool:
    """Whether brackets nest deeper than MAX_DEPTH, or do not match. Linear, whatever stands in it: some 10 ms a MiB.

    `raw`: UTF-8, in which no part of another character looks like a quotation mark or a bracket. Without escaped
    characters every other part between quotes is a text. What is no JSON may be read differently after the first byte
    that is wrong, where the decoder stops.
    """
    outside = b"".join(raw.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    brackets = outside.translate(_BRACKETS, _OTHERS)
    for _ in range(MAX_DEPTH):
        before, brackets = len(brackets), brackets.replace(b"()", b"")
        if len(brackets) == before:
            break
    return bool(brackets)
