"""Large files that go, piece by piece: who frees much at once holds up the journal of the disk, and all that commit.

(75 MB took 25 ms, in which nothing else was brought to the disk.) A file that somebody else has, under another name or
open, is left whole for him.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from heartfly.db.pace import Step, bring_to_disk, sync
from heartfly.errors import HeartflyError

_PIECE = 4 * 1024 * 1024


def remove(path: Path, step: Step) -> None:
    with _shrunk_when_gone(path, step):
        path.unlink()


def replace(path: Path, by: Path, step: Step) -> None:
    """As `rename` does, also where nothing was at `path`. The new name is on the disk when this returns."""
    with _shrunk_when_gone(path, step):
        by.replace(path)


@contextmanager
def _shrunk_when_gone(path: Path, step: Step) -> Iterator[None]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:  # nothing is there, or a link, or a file that we may not write: the name can go all the same
        descriptor = None
    try:
        yield
        # First: after a power cut the name may lead to the old file again, which must be whole then.
        sync(path.parent)
        if descriptor is not None and _nobody_else_has(descriptor):
            _shrink(descriptor, step)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _shrink(descriptor: int, step: Step) -> None:
    size = os.fstat(descriptor).st_size
    for shorter in range(size - _PIECE, 0, -_PIECE):
        os.ftruncate(descriptor, shorter)
        bring_to_disk(descriptor)
        try:
            step()
        except HeartflyError:  # somebody asks for the end: the name is gone, and what is left goes at once
            return


def _nobody_else_has(descriptor: int) -> bool:
    """No name leads to it, and nobody has it open: Linux grants the right to be asked first to nobody else's reader."""
    if os.fstat(descriptor).st_nlink or not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:  # somebody has it, or this file system grants none
        return False
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True
