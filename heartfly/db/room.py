"""How much room the disk has that the data lies on. What follows from too little is decided where it is asked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Room:
    """In bytes; `free` for a program that is not root's."""

    free: int
    total: int

    @property
    def share(self) -> float:
        """From 0 to 1. A disk that tells no size is taken for an empty one."""
        return self.free / self.total if self.total else 1.0


def room(folder: Path) -> Room:
    """Of the disk of this directory, or of the one that it will be made in."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    found = os.statvfs(folder)
    return Room(free=found.f_bavail * found.f_frsize, total=found.f_blocks * found.f_frsize)
