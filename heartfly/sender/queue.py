"""Events on disk until they are accepted: appended, fsynced, read in order, forgotten when the sender says so.

A queue is a directory of segments and a cursor. Any number of processes may put, one at a time sends. What was put is
there after a crash; what was sent may be sent again after one, which is harmless: an event counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import QueueBusyError, QueueFullError
from .files import append, locked, replace
from .records import Record, line_of, record_in, text_of

MAX_BYTES = 256 * 1024 * 1024
_SEGMENT_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Behind a record: `segment` by number, `offset` in bytes."""

    segment: int
    offset: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """The oldest records that wait, and the place behind them."""

    records: list[Record]
    end: Place


class DiskQueue:
    """On a local disk: locks of network file systems are not to be trusted."""

    def __init__(self, folder: str | Path, *, max_bytes: int = MAX_BYTES, segment_bytes: int = _SEGMENT_BYTES) -> None:
        """`max_bytes`: the bound for what waits; what would go past it is not taken."""
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._lock = self.folder / "append.lock"

    def put(self, events: Iterable[Mapping[str, Any] | str | bytes]) -> int:
        """Take all of them, or none. They are on the disk when this returns; their number.

        An event is a mapping, or the text of a JSON object, which is kept to the letter. NotAnEventError,
        QueueFullError, OSError.
        """
        lines = [line_of(text_of(event)) for event in events]
        if not lines:
            return 0
        size = sum(map(len, lines)) + len(lines)
        with locked(self._lock):
            waiting = self._bytes_waiting()
            if waiting + size > self.max_bytes:
                raise QueueFullError(
                    f"the queue in {self.folder} holds {waiting} bytes that are not accepted yet; "
                    f"{size} more would be over its bound of {self.max_bytes}"
                )
            append(self._segment_to_write(), lines)
        return len(lines)

    def is_empty(self) -> bool:
        with locked(self._lock):
            return self._bytes_waiting() == 0

    def bytes_waiting(self) -> int:
        with locked(self._lock):
            return self._bytes_waiting()

    # --- the sender's half

    @contextmanager
    def sending(self, *, wait: bool = True) -> Iterator[None]:
        """Be the one that sends. QueueBusyError: another is (`wait` not)."""
        try:
            with locked(self.folder / "send.lock", wait=wait):
                yield
        except BlockingIOError as error:
            raise QueueBusyError(f"another process sends from the queue in {self.folder}") from error

    def oldest(self, *, most: int, most_bytes: int) -> Waiting | None:
        """None: nothing waits. At least one record otherwise, however large."""
        # Under the lock: what an append could not bring to the disk, and took back, is never seen.
        with locked(self._lock):
            cursor = self._cursor()
            for number in self._segments():
                if number < cursor.segment:
                    continue
                start = cursor.offset if number == cursor.segment else 0
                found = _read(self._path(number), start, most=most, most_bytes=most_bytes)
                if found is not None:
                    return Waiting(found[0], Place(number, found[1]))
        return None

    def forget(self, end: Place) -> None:
        """All before this place is accepted, or set aside."""
        replace(self.folder / _CURSOR, f"{end.segment} {end.offset}\n".encode())
        with locked(self._lock):
            for number in self._segments():
                path = self._path(number)
                if number < end.segment or (number == end.segment and path.stat().st_size <= end.offset):
                    path.unlink()

    # --- files; under the lock

    def _cursor(self) -> Place:
        """The start, if it is lost: what was sent is sent again."""
        try:
            segment, offset = (self.folder / _CURSOR).read_text(encoding="ascii").split()
            return Place(int(segment), int(offset))
        except (FileNotFoundError, ValueError):
            return Place(0, 0)

    def _segments(self) -> list[int]:
        return sorted(int(path.stem) for path in self.folder.glob("*.events") if path.stem.isdecimal())

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:010d}.events"

    def _segment_to_write(self) -> Path:
        newest = max(self._segments(), default=0)
        if newest and self._path(newest).stat().st_size < self._segment_bytes:
            return self._path(newest)
        # Never a number again whose records the cursor has left behind.
        return self._path(max(newest, self._cursor().segment) + 1)

    def _bytes_waiting(self) -> int:
        cursor, size = self._cursor(), 0
        for number in self._segments():
            if number >= cursor.segment:
                size += self._path(number).stat().st_size
            if number == cursor.segment:
                size -= cursor.offset
        return size


_CURSOR = "cursor"


def _read(path: Path, start: int, *, most: int, most_bytes: int) -> tuple[list[Record], int] | None:
    """Whole lines from there on, and where the last one ends. A line without its end is not there yet."""
    records: list[Record] = []
    end = start
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n") or len(records) == most:
                break
            if records and end + len(line) - start > most_bytes:
                break
            records.append(record_in(line[:-1]))
            end += len(line)
    return (records, end) if records else None
