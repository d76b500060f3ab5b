"""Lines out of log files: plain, packed, from a pipe, or followed while they grow and are rotated.

A line counts once it has its end: what is half written today is another line tomorrow.
"""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from heartfly.core.access.formats import MAX_LINE

_PIECE = 256 * 1024
_MOST_BYTES = 4 * MAX_LINE + 1
"""What is longer is longer than MAX_LINE characters, too: a line is not cut that can be read."""
_HEAD = 512
_QUIET_LOOKS = 1_200
"""Ten minutes, at two looks a second: so long may old workers go on after a graceful restart."""
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
        if len(self._rest) > _MOST_BYTES:
            lines.append(self._rest[:_MOST_BYTES])
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
        return self._raw.tell() if not self._is_pipe and self._raw.seekable() else 0

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
    """A file by its name: as it grows, and whatever file comes to have its name. As `tail -F` does.

    A file that was rotated away is looked at some more times: servers write into it until they are told.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._newest: _Followed | None = None
        self._older: list[_Followed] = []
        self._n = 0

    def pieces(self) -> Iterator[tuple[int, list[bytes]]]:
        """All that is there by now, and the number of the file that it stands in: each has its own. OSError."""
        for one in [*self._older]:
            yield from one.pieces(self._next)
            if one.is_done:
                one.close()
                self._older.remove(one)
        if self._newest is not None:
            yield from self._newest.pieces(self._next)
            if not self._newest.has_moved(self._path):
                return
        if (fresh := self._opened()) is not None:
            if self._newest is not None:
                self._newest.has_been_moved()
                self._older.append(self._newest)
            self._newest = fresh
            yield from fresh.pieces(self._next)

    @property
    def numbers(self) -> set[int]:
        """Of the files that may still grow."""
        return {one.number for one in self._all()}

    def _all(self) -> list[_Followed]:
        return self._older + ([self._newest] if self._newest is not None else [])

    def close(self) -> None:
        for one in self._all():
            one.close()
        self._newest, self._older = None, []

    def _opened(self) -> _Followed | None:
        try:
            return _Followed(self._path.open("rb", buffering=0), self._next())
        except FileNotFoundError:
            return None  # it is not there yet

    def _next(self) -> int:
        self._n += 1
        return self._n


class _Followed:
    """`is_done`: it has been quiet for so long since it was moved that nobody writes into it any more."""

    def __init__(self, file: io.FileIO, number: int) -> None:
        self._file = file
        self.number = number
        self._lines = Lines()
        self._head = b""
        self._n_quiet = 0

    @property
    def is_done(self) -> bool:
        return self._n_quiet >= _QUIET_LOOKS

    def pieces(self, next_number: Callable[[], int]) -> Iterator[tuple[int, list[bytes]]]:
        if self._was_truncated():
            self._file.seek(0)
            self._lines, self._head, self.number = Lines(), b"", next_number()
        self._n_quiet += 1
        while piece := self._file.read(_PIECE):
            self._n_quiet = 0
            if len(self._head) < _HEAD:
                self._head = (self._head + piece)[:_HEAD]
            yield self.number, self._lines.of(piece)

    def has_been_moved(self) -> None:
        """It may have been quiet for hours before; who writes into it still is waited for from now on."""
        self._n_quiet = 0

    def has_moved(self, path: Path) -> bool:
        """Another file has its name."""
        try:
            there = path.stat()
        except FileNotFoundError:
            return False  # its successor is not there yet
        return not os.path.samestat(os.fstat(self._file.fileno()), there)

    def close(self) -> None:
        self._file.close()

    def _was_truncated(self) -> bool:
        """It is shorter than what was read; or as long again, and begins otherwise."""
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            return True
        return os.pread(self._file.fileno(), len(self._head), 0) != self._head
