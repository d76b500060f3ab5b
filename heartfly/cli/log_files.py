"""Lines out of log files: plain, packed, from a pipe, or followed while they grow and are rotated.

A line counts once it has its end: what is half written today is another line tomorrow.
"""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from heartfly.core.access.formats import MAX_LINE

_PIECE = 256 * 1024
_HEAD = 512
_GZIP = b"\x1f\x8b"

UNREADABLE = (OSError, EOFError, zlib.error)
"""What a file raises that is away, not ours, cut off or damaged."""


class Lines:
    """Bytes in, whole lines out, without their ends. Of one that is too long only its beginning is held."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False

    @property
    def is_unfinished(self) -> bool:
        return bool(self._rest)

    def of(self, piece: bytes) -> list[bytes]:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if self._skipping:
            if not lines:
                self._rest = b""
                return []
            del lines[0]
            self._skipping = False
        if len(self._rest) > MAX_LINE:
            lines.append(self._rest[: MAX_LINE + 1])
            self._rest, self._skipping = b"", True
        return lines


class LogFile:
    """One file, to its end. `done`: how many of its `size` bytes were read, as they lie on the disk."""

    def __init__(self, path: Path | None, stdin: BinaryIO) -> None:
        """OSError. No `path`: `stdin`, of unknown size."""
        self._is_pipe = path is None
        self._raw = path.open("rb") if path is not None else _buffered(stdin)
        self.size = 0 if path is None else path.stat().st_size
        self._lines = Lines()

    @property
    def done(self) -> int:
        return 0 if self._is_pipe else self._raw.tell()

    @property
    def is_unfinished(self) -> bool:
        """Its last line has no end, and was not told."""
        return self._lines.is_unfinished

    def pieces(self) -> Iterator[list[bytes]]:
        """Lines, some at a time. One of UNREADABLE, after what could be read."""
        is_packed = self._raw.peek(len(_GZIP))[: len(_GZIP)] == _GZIP
        stream: io.BufferedIOBase = gzip.GzipFile(fileobj=self._raw) if is_packed else self._raw
        while piece := stream.read1(_PIECE):
            yield self._lines.of(piece)

    def close(self) -> None:
        if not self._is_pipe:
            self._raw.close()


def _buffered(stdin: BinaryIO) -> io.BufferedReader:
    return stdin if isinstance(stdin, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", stdin))


class Tail:
    """A file by its name: as it grows, and whatever file comes to have its name. As `tail -F` does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._lines = Lines()
        self._head = b""

    def pieces(self) -> Iterator[tuple[bool, list[bytes]]]:
        """All that is there by now; whether another file begins with it. OSError."""
        begins = self._opened()
        while self._file is not None:
            if self._was_truncated():
                self._file.seek(0)
                self._lines, self._head, begins = Lines(), b"", True
            while piece := self._file.read(_PIECE):
                if len(self._head) < _HEAD:
                    self._head = (self._head + piece)[:_HEAD]
                yield begins, self._lines.of(piece)
                begins = False
            if not self._has_moved():
                return
            self.close()
            begins = self._opened()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> bool:
        if self._file is not None:
            return False
        try:
            self._file = self._path.open("rb", buffering=0)
        except FileNotFoundError:
            return False
        self._lines, self._head = Lines(), b""
        return True

    def _has_moved(self) -> bool:
        """Another file has its name. What was written to the old one meanwhile is read by then."""
        assert self._file is not None
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False  # its successor is not there yet
        return not os.path.samestat(os.fstat(self._file.fileno()), there)

    def _was_truncated(self) -> bool:
        """It is shorter than what was read; or as long again, and begins otherwise."""
        assert self._file is not None
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            return True
        return os.pread(self._file.fileno(), len(self._head), 0) != self._head
