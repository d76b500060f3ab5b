"""Syslog as web servers and their helpers send it: the header taken off (RFC 3164, RFC 5424), and messages told apart
in a stream (RFC 6587). What a message says is not looked at. Nothing here raises, whatever comes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_MESSAGE = 65_536
"""Bytes; what is longer is no line that a server writes."""
_OLD = re.compile(rb"<\d{1,3}>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?:(\S+) )?[^\s:\[\]]{1,64}(?:\[[^\]]{0,32}\])?: ?")
_NEW = re.compile(
    rb'<\d{1,3}>1 \S+ (\S+) \S+ \S+ \S+ (?:-|(?:\[(?:[^"\]]|"(?:[^"\\]|\\.)*+")*+\])+)(?: |\Z)', re.DOTALL
)
_BARE = re.compile(rb"<\d{1,3}>")
_BOM = b"\xef\xbb\xbf"
_DIGITS = 8
_LENGTH = re.compile(rb"([1-9]\d{0,%d}) " % (_DIGITS - 1))


class Message(NamedTuple):
    """`host`: who says that he wrote it; empty: nobody does."""

    host: str
    text: bytes


def message_of(raw: bytes) -> Message:
    """Of what has no header, all of it."""
    raw = raw.rstrip(b"\r\n\0")
    host = b""
    if (found := _OLD.match(raw)) is not None:
        host, raw = found[1] or b"", raw[found.end() :]
    elif (found := _NEW.match(raw)) is not None:
        host, raw = found[1] if found[1] != b"-" else b"", raw[found.end() :].removeprefix(_BOM)
    elif (found := _BARE.match(raw)) is not None:
        raw = raw[found.end() :]
    return Message(host.decode("utf-8", "replace")[:255], raw)


class Frames:
    """Bytes of one connection in, messages out: each with its length before it, or its end behind it.

    `lost`: how many were too long, or broken off, and left out.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._skip = 0
        self._skipping_line = False
        self.lost = 0

    def of(self, piece: bytes) -> list[bytes]:
        rest = self._rest + piece
        found: list[bytes] = []
        at, whole = 0, len(rest)
        while at < whole:
            if self._skip:
                skipped = min(self._skip, whole - at)
                self._skip -= skipped
                at += skipped
            elif not self._skipping_line and (counted := _LENGTH.match(rest, at)) is not None:
                size, begin = int(counted[1]), counted.end()
                if size > MAX_MESSAGE:
                    self.lost += 1
                    self._skip, at = size, begin
                elif whole < begin + size:
                    break
                else:
                    at = begin + size
                    found.append(rest[begin:at])
            elif not self._skipping_line and whole - at <= _DIGITS and rest[at:].isdigit():
                break  # it may be a length, of which there is more to come
            else:
                end = rest.find(b"\n", at)
                too_long = (end if end >= 0 else whole) - at > MAX_MESSAGE
                self.lost += too_long and not self._skipping_line
                if end < 0:
                    self._skipping_line |= too_long
                    at = whole if self._skipping_line else at
                    break
                if not (self._skipping_line or too_long) and (line := rest[at:end]).strip():
                    found.append(line)
                self._skipping_line, at = False, end + 1
        self._rest = rest[at:]
        return found

    def end(self) -> list[bytes]:
        """Nothing more comes: that ends a line, and a message that is shorter than its length is lost."""
        rest, self._rest = self._rest, b""
        if _LENGTH.match(rest) is not None:
            self.lost += 1
            return []
        return [rest] if rest.strip() else []
