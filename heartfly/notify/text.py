"""Text from outside, made fit to be sent: names, output of jobs, addresses in it.

People type, and jobs print, anything: control characters, half surrogates, text that reverses what
stands after it. Every channel sends what comes out of here. Escaping (HTML, Slack, JSON) is not done
here: each channel has its own.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

ELLIPSIS = "…"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
FIRST_STRONG_ISOLATE = "\u2068"
POP_ISOLATE = "\u2069"

_SURROGATES = re.compile("[\ud800-\udfff]")
# Everything that ends a line for one reader or another (VT, FF, NEL and the Unicode separators too), and
# every other control character.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_CONTROL_BUT_TAB_AND_NEWLINE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_BIDI_CONTROL = re.compile("[\u202a-\u202e\u2066-\u2069]")
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
_TERMINAL_COLOURS = re.compile("\x1b\\[[0-?]*[ -/]*[@-~]")
# `/ping/` with a UUID or a ping key behind it, on whatever host. Whoever knows it can fake a signal, and
# mail scanners open every link that they see: it must not travel in a message.
_PING_PATH = re.compile(r"(/ping/)[0-9A-Za-z_-]{20,36}[^\s\"'<>]*")


def whole(text: str) -> str:
    """Replace lone surrogates, which no encoding can carry."""
    if text.isascii():  # nearly all that is sent, here and below; an expression costs ten times as much
        return text
    return _SURROGATES.sub(REPLACEMENT, text)


def cut(text: str, limit: int) -> str:
    """Keep the beginning, at most `limit` characters with the ellipsis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + ELLIPSIS


def one_line(text: str, *, limit: int = 200) -> str:
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text.strip()
    # Cut before the costly steps: a name may be a megabyte.
    text = _CONTROL.sub(" ", whole(text[: 4 * limit]))
    return cut(_BIDI_CONTROL.sub("", text).strip(), limit)


def isolated(text: str) -> str:
    """Keep right-to-left text from rearranging the words around it. Other text is left as it is."""
    if not text.isascii() and any(unicodedata.bidirectional(char) in _RIGHT_TO_LEFT for char in text):
        return f"{FIRST_STRONG_ISOLATE}{text}{POP_ISOLATE}"
    return text


def many_lines(text: str) -> str:
    """Return what a job printed, as a page can show it: no colours, no control characters."""
    text = _TERMINAL_COLOURS.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROL_BUT_TAB_AND_NEWLINE.sub(REPLACEMENT, whole(text))
    return _BIDI_CONTROL.sub("", text).strip("\n")


def tail(text: str, *, limit: int) -> str:
    """Keep the end, at most `limit` characters, and begin with a whole line where one begins near."""
    return text if len(text) <= limit else from_whole_line(text[-limit:])


def from_whole_line(text: str) -> str:
    """Drop what stands before the first newline, unless that would be half of the text."""
    newline = text.find("\n")
    return text[newline + 1 :] if 0 <= newline < len(text) // 2 else text


def without_ping_addresses(text: str, *, host: str) -> str:
    """Hide the secret in each ping address, with or without `/ping/` in its path."""
    if "/" not in text:
        return text
    text = _PING_PATH.sub(rf"\g<1>{ELLIPSIS}", text)
    return _at_root(host).sub(rf"\g<1>{ELLIPSIS}", text)


@lru_cache(maxsize=8)
def _at_root(host: str) -> re.Pattern[str]:
    return re.compile(rf"({re.escape(host)}/)(?:[0-9A-Fa-f-]{{32,36}}|[0-9A-Za-z_-]{{22}})(?![\w-])[^\s\"'<>]*")
