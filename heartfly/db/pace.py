"""Long work beside a server that writes: small pieces, and after each a rest as long as it took, while somebody writes.

A disk and its journal are shared: whoever commits waits behind what others have written and not brought to the disk,
and where two processors are there, one that computes without a pause is half of them. Where nobody writes there is
nobody to rest for. What is worked at is not decided here.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from heartfly.clock import Clock

PIECE = 1024 * 1024
"""Bytes that are written before they are brought to the disk: p99 of commits beside it was 0.8 ms, 6 to 7 with 4 MB."""

_PIECE_S = 0.004
_LONGEST_REST_S = 1.0
_QUIET_S = 1.0
"""Nobody writes, if nobody has for so long."""

Result = TypeVar("Result")

Step = Callable[[], None]
"""Is called often, by whoever does the work."""

bring_to_disk: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
"""What was written to this descriptor. macOS has the latter only."""


def sync(path: Path) -> None:
    """Bring a file to the disk, or a directory: a new name is there only when its directory is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def in_one_go() -> None:
    """The step of who has nobody to give way to."""


async def behind_others(work: Callable[[], Result]) -> Result:
    """In a thread of its own that gets the processor when nobody else wants it: SQLite 3.40 walks a tree in one go, and
    rests for nobody. Who is cancelled does not wait for it.
    """
    threads = ThreadPoolExecutor(1, thread_name_prefix="heartfly-behind", initializer=_give_way)
    try:
        return await asyncio.get_running_loop().run_in_executor(threads, work)
    finally:
        threads.shutdown(wait=False)


def _give_way() -> None:
    """Of this thread alone, for good: only root could take that back. Other systems know no priority of a thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


def wal_of(database: Path) -> Path:
    return database.with_name(database.name + "-wal")


class Pace:
    """`logs`: those of the databases, which grow or are written anew with each commit."""

    def __init__(self, logs: Sequence[Path], clock: Clock, *, ask: Callable[[], None] = lambda: None) -> None:
        """`ask` is called at each step, and raises a HeartflyError where the work shall end."""
        self._logs = logs
        self._clock = clock
        self._ask = ask
        self._seen = self._look()
        self._began = clock.monotonic()
        self._written_at: float | None = None

    def step(self) -> None:
        """Call it often: it tells by itself when a piece is done."""
        self._ask()
        now = self._clock.monotonic()
        if (took := now - self._began) < _PIECE_S:
            return
        if self._is_written(now):
            self._clock.rest(min(took, _LONGEST_REST_S))
        self._began = self._clock.monotonic()

    def _is_written(self, now: float) -> bool:
        seen = self._look()
        if seen != self._seen:
            self._seen, self._written_at = seen, now
        return self._written_at is not None and now - self._written_at < _QUIET_S

    def _look(self) -> list[tuple[int, int] | None]:
        return [_state(path) for path in self._logs]


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size
