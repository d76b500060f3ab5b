"""A node's spool as a file: pings that were answered while PostgreSQL was away, each with its number.

What stands in it and how it is written and read back is decided here; when, and what becomes of it, is spool.py's. One
file for each life of a process, which holds its lock; the next life on the same directory takes over what it left.
Whoever reads it can ping: only its owner may.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from heartfly.core import frames
from heartfly.logs import logger
from heartfly.pings.request import PingRequest

log = logger("heartfly.spool")

FOLDER = "spool"
ENDING = ".spool"
REFUSED = ".refused"
"""Beside it: what the database itself did not take."""
_HEAD = 64 * 1024
_SLICE = 128 * 1024
_MOST = 500
"""So many are replayed in one transaction. With more it would take fewer round trips; but while it lasts, other nodes'
pings to the same checks wait for it, and where the machine is crowded, it must not stand still for as long as
PostgreSQL lets it (db/postgres.py). Of those without a body a slice holds more.
"""
_OWN = os.O_CLOEXEC | os.O_NOFOLLOW


class Spooled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`n` counts within the file, from 1. `maybe`: the lane and number of the batch by which it is stored already, if
    that was committed: nobody knew.
    """

    n: int
    request: PingRequest
    maybe: tuple[int, int] | None = None


class _Heading(msgspec.Struct, frozen=True):
    """Whose file it is: the life of a process, and the Heartfly to which its database belongs."""

    node_id: int
    instance: str


@dataclass(frozen=True, slots=True)
class Piece:
    """What was read in one go. `end`: where in the file the next one begins. `lost`: bytes that were damaged."""

    records: Sequence[Spooled]
    end: int
    lost: int = 0


class SpoolFile:
    """Open and locked. Not for two threads at one time, but that one may read what another has written."""

    def __init__(self, path: Path, file: int, *, key: bytes, heading: _Heading, begin: int, size: int) -> None:
        self.path = path
        self.node_id = heading.node_id
        self.instance = heading.instance
        self.begin = begin
        """Where the first record stands."""
        self.size = size
        self._file = file
        self._key = key

    @classmethod
    def create(cls, folder: Path, *, node_id: int, instance: str, ending: str = ENDING) -> Self:
        """It has its name when it is whole and locked: nobody takes it for one that was left."""
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{node_id:016x}{ending}"
        beside = path.with_name(path.name + ".new")
        file = os.open(beside, _OWN | os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            key, heading = secrets.token_bytes(frames.KEY_BYTES), _Heading(node_id, instance)
            head = frames.opening(key) + frames.framed(msgspec.msgpack.encode(heading), key)
            _write(file, head, 0)
            os.fsync(file)
            beside.rename(path)
            _sync_names(folder)
        except BaseException:
            os.close(file)
            raise
        return cls(path, file, key=key, heading=heading, begin=len(head), size=len(head))

    @classmethod
    def take(cls, path: Path) -> Self | None:
        """Open one that was left. None: its process lives. OSError, DecodeError: it cannot be read.

        A torn end is cut off: nobody was told that it is there.
        """
        file = os.open(path, _OWN | os.O_RDWR)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = cls._opened(path, file)
            whole = found.begin
            for piece in found.pieces():
                whole = piece.end
            if whole < found.size:
                log.warning("spool_torn", file=path.name, n_bytes=found.size - whole)
                os.ftruncate(file, whole)
                os.fsync(file)
                found.size = whole
        except BlockingIOError:
            os.close(file)
            return None
        except BaseException:
            os.close(file)
            raise
        return found

    @classmethod
    def look(cls, path: Path) -> Self:
        """Open it to read, whoever holds it. OSError, DecodeError: it cannot be read."""
        file = os.open(path, _OWN | os.O_RDONLY)
        try:
            return cls._opened(path, file)
        except BaseException:
            os.close(file)
            raise

    @classmethod
    def _opened(cls, path: Path, file: int) -> Self:
        head = os.pread(file, _HEAD, 0)
        key = frames.key_in(head)
        first = () if key is None else frames.frames_in(head[frames.OPENING_BYTES :], key, at=0, most=1)
        if key is None or not first:
            raise msgspec.DecodeError("it does not begin as a spool does")
        heading = msgspec.msgpack.decode(first[0].payload, type=_Heading)
        begin = frames.OPENING_BYTES + first[0].end
        return cls(path, file, key=key, heading=heading, begin=begin, size=os.fstat(file).st_size)

    def is_held(self) -> bool:
        """Of one that was opened to read: whether a process has it for its own."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._file, fcntl.LOCK_UN)
        return False

    def append(self, records: Sequence[bytes]) -> None:
        """They are on the disk when this returns. OSError: none of them is."""
        content = b"".join([frames.framed(record, self._key) for record in records])
        try:
            _write(self._file, content, self.size)
            os.fdatasync(self._file)
        except OSError:
            with suppress(OSError):  # the first error is the one to tell
                os.ftruncate(self._file, self.size)
            raise
        self.size += len(content)

    def read(self, at: int) -> Piece:
        """The records from there on, some hundreds of them; none: there is nothing more."""
        length = _SLICE
        while True:
            there = self.size - at
            data = os.pread(self._file, min(length, there), at)
            found = frames.frames_in(data, self._key, at=at, most=_MOST)
            if found or length >= there:
                break
            length *= 2  # one longer than that, or much that is damaged
        records = [msgspec.msgpack.decode(one.payload, type=Spooled) for one in found]
        return Piece(records, found[-1].end if found else at, sum(one.lost for one in found))

    def pieces(self) -> Iterator[Piece]:
        """All that stands in it."""
        at = self.begin
        while (piece := self.read(at)).records:
            yield piece
            at = piece.end

    def clear(self) -> None:
        """All records are in the database."""
        if self.size == self.begin:
            return
        os.ftruncate(self._file, self.begin)
        os.fsync(self._file)
        self.size = self.begin

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        _sync_names(self.path.parent)
        self.close()

    def close(self) -> None:
        os.close(self._file)


def record_bytes(record: bytes) -> int:
    """What it takes in the file."""
    return frames.frame_bytes(record)


def _write(file: int, content: bytes, at: int) -> None:
    view, done = memoryview(content), 0
    while done < len(view):
        done += os.pwrite(file, view[done:], at + done)


def _sync_names(folder: Path) -> None:
    """So that a new file is there after a crash, and a removed one is not."""
    directory = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
