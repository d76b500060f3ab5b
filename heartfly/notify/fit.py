"""Text cut to what a receiver takes, after its escaping: its beginning, or its end.

Which characters a receiver escapes, and how it counts, is said by its channel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from heartfly.notify.text import ELLIPSIS, FIRST_STRONG_ISOLATE, POP_ISOLATE


def utf16(text: str) -> int:
    """In UTF-16 units, the strictest way that a receiver of characters may count."""
    return len(text) + sum(char > "\uffff" for char in text)


def utf8(text: str) -> int:
    return len(text.encode())


def fitted(
    text: str,
    limit: int,
    *,
    escapes: Mapping[str, str],
    from_end: bool = False,
    size: Callable[[str], int] = utf16,
) -> str:
    """Escape as much of the text as fits, with an ellipsis where it is cut. `limit`: four at least."""
    room = limit - size(ELLIPSIS + POP_ISOLATE)
    kept: list[str] = []
    for char in reversed(text) if from_end else text:
        escaped = escapes.get(char, char)
        room -= len(escaped) if escaped.isascii() else size(escaped)
        if room < 0:
            # A name that is cut must not leave its isolation open, or it would turn around what follows.
            is_open = kept.count(FIRST_STRONG_ISOLATE) > kept.count(POP_ISOLATE)
            kept.append(ELLIPSIS + POP_ISOLATE if is_open else ELLIPSIS)
            break
        kept.append(escaped)
    return "".join(reversed(kept) if from_end else kept)
