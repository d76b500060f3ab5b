"""Of an answer's bytes, as they pass by, what may say which units it used. Nothing is read that nobody else reads.

Of JSON all is kept, up to a bound; of a stream of events the lines that speak of usage or of an error.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from heartfly_client.calls.readers import parsed

MOST = 1024 * 1024
"""Bytes of one answer, as they came; what is longer is not read."""
_MOST_DECODED = 16 * MOST
_WORDS = (b'"usage', b'"error"', b'"model')

Decode = Callable[[bytes], bytes]


def _speaks(line: bytes) -> bool:
    return line.startswith(b"data:") and any(word in line for word in _WORDS)


class Body:
    """`whole`: no part was left out. `decode`: for what is packed in a way that only the client knows."""

    __slots__ = ("_decode", "_is_stream", "_packed", "_pieces", "_rest", "n", "size", "whole")

    def __init__(self, content_type: str, encoding: str, decode: Decode | None = None) -> None:
        self._is_stream = content_type.startswith("text/event-stream")
        self._packed = encoding.strip().lower()
        self._decode = decode
        self._pieces: list[bytes] = []
        self._rest = b""
        self.n = 0
        self.size = 0
        self.whole = True

    @staticmethod
    def may_say(content_type: str) -> bool:
        return "json" in content_type or content_type.startswith("text/event-stream")

    def add(self, piece: bytes) -> None:
        self.n += len(piece)
        if not self.whole:
            return
        if self._is_stream and self._packed in {"", "identity"}:
            *lines, self._rest = (self._rest + piece).split(b"\n")
            for line in lines:
                if _speaks(line):
                    self._keep(line + b"\n")
            if len(self._rest) > MOST:
                self._cut()
        else:
            self._keep(piece)

    def _keep(self, piece: bytes) -> None:
        self.size += len(piece)
        self._pieces.append(piece)
        if self.size > MOST:
            self._cut()

    def _cut(self) -> None:
        self.whole = False
        self._pieces, self._rest, self.size = [], b"", 0

    def documents(self) -> list[Any]:
        """What JSON is in it. ValueError, RecursionError: none that can be read."""
        content = self._unpacked(b"".join(self._pieces) + self._rest)
        if not self._is_stream:
            return [parsed(content)] if content.strip() else []
        return [parsed(line[5:]) for line in content.splitlines() if _speaks(line)]

    def _unpacked(self, content: bytes) -> bytes:
        if not content or self._packed in {"", "identity"}:
            return content
        if self._packed in {"gzip", "deflate"}:
            raw = self._packed == "deflate" and content[0] & 0x0F != 8  # some send it without zlib's header
            way = 47 if self._packed == "gzip" else -15 if raw else 15
            found = zlib.decompressobj(way)
            try:
                unpacked = found.decompress(content, _MOST_DECODED)
            except zlib.error as error:
                raise ValueError(str(error)) from error
            if found.unconsumed_tail:
                raise ValueError("is too long once it is unpacked")
            return unpacked
        if self._decode is None:
            raise ValueError(f"is packed by {self._packed}")
        try:
            return self._decode(content)
        except Exception as error:  # whatever the client's decoder raises, the answer cannot be read
            raise ValueError(str(error)) from error
