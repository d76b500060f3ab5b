"""What was set aside goes back into the queue once somebody has seen to it; what is no event still stays aside.

First it is in the queue, then it leaves the dead letter: a crash between leaves it in both, and an event counts once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO

from .errors import NotAnEventError, QueueFullError
from .files import held, sync_directory
from .queue import DiskQueue
from .records import text_of

_AT_ONCE = 1_000
_BEFORE_EVENT = b', "event": '


@dataclass(frozen=True, slots=True)
class Requeued:
    """By number: `moved` are in the queue, `kept` are no events, `no_room` would have made the queue too full."""

    moved: int = 0
    kept: int = 0
    no_room: int = 0


def requeue(queue: DiskQueue, dead_letter: Path | None = None) -> Requeued:
    """Who sets something aside meanwhile waits. OSError: nothing has left the dead letter."""
    path = dead_letter or queue.folder / "dead-letter.ndjson"
    if not path.exists():
        return Requeued()
    beside = path.with_name(path.name + ".kept")
    with held(path) as file, os.fdopen(os.dup(file), "rb") as lines, _fresh(beside) as rest:
        found = _Moving(queue, rest).all_of(lines)
        rest.flush()
        os.fsync(rest.fileno())
        beside.replace(path)
        sync_directory(path.parent)
    return found


class _Moving:
    def __init__(self, queue: DiskQueue, rest: BinaryIO) -> None:
        self._queue = queue
        self._rest = rest
        self._waiting: list[tuple[bytes, bytes]] = []
        self._is_full = False
        self._moved = self._kept = self._no_room = 0

    def all_of(self, lines: BinaryIO) -> Requeued:
        lines.seek(0)
        for line in lines:
            if not line.endswith(b"\n"):
                break  # what a crash has left half written: nobody was told that it is there
            event = event_in(line)
            if event is None:
                self._rest.write(line)
                self._kept += bool(line.strip())
                continue
            self._waiting.append((event, line))
            if len(self._waiting) == _AT_ONCE:
                self._put()
        self._put()
        return Requeued(self._moved, self._kept, self._no_room)

    def _put(self) -> None:
        some, self._waiting = self._waiting, []
        try:
            if not self._is_full:
                self._moved += self._queue.put([event for event, _ in some])
                return
        except QueueFullError:
            self._is_full = True
        self._no_room += len(some)
        self._rest.writelines(line for _, line in some)


def event_in(line: bytes) -> bytes | None:
    """The event that a line of the dead letter holds: to the letter as we wrote it, or as somebody has corrected it.

    None: it holds none.
    """
    head, found, rest = line.strip().partition(_BEFORE_EVENT)
    if found and rest.endswith(b"}"):
        try:
            json.loads(head + b"}")
            return text_of(rest[:-1])
        except (NotAnEventError, ValueError, RecursionError):
            pass  # not as we write it; perhaps as somebody else does
    try:
        whole = json.loads(line, parse_float=Decimal)
        event = whole.get("event") if isinstance(whole, Mapping) else None
        return text_of(event) if isinstance(event, Mapping) else None
    except (NotAnEventError, ValueError, RecursionError):
        return None


def _fresh(path: Path) -> BinaryIO:
    flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    return os.fdopen(os.open(path, flags, 0o600), "wb")
