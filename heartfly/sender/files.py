"""Writing files so that they are whole after any crash, and locks between processes."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_OWN = os.O_CLOEXEC | os.O_NOFOLLOW
"""Never through a link: what somebody else has put into the directory is not to lead to another file."""


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold this file's lock; the kernel drops it with the process. BlockingIOError: another has it (`wait` not)."""
    held = os.open(path, _OWN | os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(held)


def append(path: Path, lines: Iterable[bytes]) -> None:
    """Add lines, each with its end, after whatever is whole there. They are on the disk when this returns, or none is.

    Several processes may, one after the other: the file is its own lock.
    A line that a crash has left without its end is cut off: nobody was told that it is there.
    """
    content = b"".join(line + b"\n" for line in lines)
    new = not path.exists()
    with held(path) as file:
        end = _end_of_lines(file)
        os.ftruncate(file, end)
        try:
            _write(file, content, end)
            os.fsync(file)
        except OSError:
            with suppress(OSError):  # the first error is the one to tell
                os.ftruncate(file, end)
            raise
    if new:
        sync_directory(path.parent)


@contextmanager
def held(path: Path) -> Iterator[int]:
    """The file, which is made if there is none, while no other process has it: it is its own lock."""
    while True:
        file = os.open(path, _OWN | os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_at(file, path):
                continue  # who had it has put another one in its place
            yield file
            return
        finally:
            os.close(file)


def _is_at(file: int, path: Path) -> bool:
    try:
        there = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(file), there)


def _write(file: int, content: bytes, at: int) -> None:
    view, done = memoryview(content), 0
    while done < len(view):
        done += os.pwrite(file, view[done:], at + done)


def _end_of_lines(file: int) -> int:
    """Where the last whole line ends."""
    end = os.fstat(file).st_size
    while end:
        start = max(0, end - _PIECE)
        piece = os.pread(file, end - start, start)
        found = piece.rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


_PIECE = 64 * 1024


def replace(path: Path, content: bytes) -> None:
    """The file holds this or what it held before, whatever happens."""
    beside = path.with_name(path.name + ".new")
    file = os.open(beside, _OWN | os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        _write(file, content, 0)
        os.fsync(file)
    finally:
        os.close(file)
    beside.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """So that the names in it last."""
    directory = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems have no such call, and need none
            raise
    finally:
        os.close(directory)
