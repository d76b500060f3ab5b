"""From a file or a pipe into the queue, line by line, as it comes; what is no event is set aside, with its line."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from io import BufferedIOBase

from .errors import NotAnEventError, QueueFullError
from .queue import DiskQueue
from .records import text_of
from .times import RealTime, Time
from .wires import Result

_PIECE = 256 * 1024
MOST_OF_LINE = 4 * 1024 * 1024
_MOST_KEPT = 16 * 1024
_LOOK_EACH_S = 0.1

SetAside = Callable[[Sequence[tuple[bytes, Result]]], None]


class Intake:
    """`n_taken`: events in the queue. `changed`: set when all is read, and while there is no room."""

    def __init__(
        self, queue: DiskQueue, set_aside: SetAside, *, waits_for_room: bool = False, time: Time | None = None
    ) -> None:
        """`waits_for_room`: somebody sends from the queue; else a full one is QueueFullError."""
        self._queue = queue
        self._set_aside = set_aside
        self._waits = waits_for_room
        self._time = time or RealTime()
        self._never = threading.Event()
        self.changed = threading.Event()
        self.is_open = True
        self.has_no_room = False
        self.n_taken = 0
        self._n_lines = 0

    def give_up(self) -> None:
        """Wait no longer for room."""
        self._waits = False

    def read(self, stream: BufferedIOBase) -> None:
        """To its end. QueueFullError names the first line that was not taken; OSError."""
        try:
            rest, skipping = b"", False
            while piece := stream.read1(_PIECE):
                *lines, rest = (rest + piece).split(b"\n")
                if skipping and lines:
                    skipping, lines = False, lines[1:]
                self._take(lines)
                if skipping:
                    rest = b""
                elif len(rest) > MOST_OF_LINE:
                    self._too_long(rest)
                    rest, skipping = b"", True
            self._take([rest] if not skipping else [])
        finally:
            self.is_open = False
            self.changed.set()

    def _too_long(self, start: bytes) -> None:
        self._n_lines += 1
        why = f"line {self._n_lines} is longer than {MOST_OF_LINE // 1024 // 1024} MiB"
        self._set_aside([(start[:_MOST_KEPT], Result("rejected", "", why))])

    def _take(self, lines: Sequence[bytes]) -> None:
        events: list[bytes] = []
        bad: list[tuple[bytes, Result]] = []
        first = self._n_lines + 1
        for line in lines:
            self._n_lines += 1
            if not line.strip():
                continue
            try:
                events.append(text_of(line))
            except NotAnEventError as error:
                bad.append((line[:_MOST_KEPT], Result("rejected", "", f"line {self._n_lines} {error}")))
        if events:
            self._put(events, first)
        if bad:
            self._set_aside(bad)

    def _put(self, events: Sequence[bytes], first_line: int) -> None:
        while True:
            try:
                self.n_taken += self._queue.put(events)
            except QueueFullError as error:
                if not self._waits:
                    raise QueueFullError(f"{error}. Line {first_line} and those after it were not taken") from error
                self.has_no_room = True
                self.changed.set()
                self._time.wait(_LOOK_EACH_S, self._never)
            else:
                self.has_no_room = False
                return
