"""Room on the disk that is kept for who judges and tells, where other programs fill it: a file that is let go.

From then on pings and events are refused, for they are most of what is written: what room there is belongs to status,
alerts and what people change. When to look is vitals/surroundings.py's to decide. SQLite only: PostgreSQL's disk is not
ours.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from heartfly.errors import OverloadedError
from heartfly.logs import logger

FILE = "disk-reserve"

_FULL = 1_000_000
"""Bytes. With less the disk is full: a commit takes some pages of the log, a large one half of this."""
_RETRY_AFTER_S = 30
_PIECE = 1 << 18

log = logger("heartfly.disk")


class Reserve:
    """`size`: in bytes; 0: nothing is kept, and nothing refused but by SQLite itself."""

    def __init__(self, folder: Path, size: int) -> None:
        self._path = folder / FILE
        self._size = size
        self._is_let_go = False

    @property
    def is_let_go(self) -> bool:
        """For any thread."""
        return self._is_let_go

    def demand(self) -> None:
        """OverloadedError: it was let go, and there is no room for this."""
        if self._is_let_go:
            raise OverloadedError("the disk is full; nothing was stored", retry_after=_RETRY_AFTER_S)

    def relieve(self, free: int) -> None:
        """Let it go if no more than `free` bytes are left. OSError: the disk does not even take that."""
        if not self._size or self._is_let_go or free >= _FULL or self._takes(_FULL):
            return
        self._is_let_go = True
        had = self._path.exists()
        self._path.unlink(missing_ok=True)
        log.error("disk_is_full", kept_mb=self._size // 1_000_000 if had else 0, refused="pings and events")

    def renew(self, free: int) -> None:
        """Make it, where it is not there and as much room again is left beside it."""
        if not self._size or free < 2 * self._size or (self._path.exists() and not self._is_let_go):
            return
        is_kept = self._takes(self._size, self._path)
        if self._is_let_go and is_kept:
            self._is_let_go = False
            log.warning("disk_is_not_full", kept_mb=self._size // 1_000_000, taken="pings and events")

    def _takes(self, size: int, keep_as: Path | None = None) -> bool:
        """Whether so many bytes can be written. What is free for others says little: some of it may be root's alone."""
        trial = self._path.with_name(f"{FILE}.new")
        try:
            with trial.open("wb", buffering=0) as file:
                for start in range(0, size, _PIECE):
                    file.write(bytes(min(_PIECE, size - start)))
                os.fsync(file.fileno())
            if keep_as is not None:
                trial.replace(keep_as)
        except OSError:
            return False
        else:
            return True
        finally:
            with suppress(OSError):
                trial.unlink(missing_ok=True)
