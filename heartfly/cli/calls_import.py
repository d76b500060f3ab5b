"""From rows of CSV files to batches of events: which are passed over, and what is told of them at the end."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast
from zoneinfo import ZoneInfo

from heartfly.cli.event_import import Batches, Seen
from heartfly.cli.log_sending import Ready
from heartfly.core.call_csv import Columns, Unread

_MOST_OF_CELL = 256 * 1024
_REMEMBERED = 500_000
"""Rows, twice: equal ones that are further apart count once."""
_LOOKED_AT = 64 * 1024
_DELIMITERS = ",;\t|"
_GZIP = b"\x1f\x8b"

UNREADABLE = (OSError, EOFError, zlib.error)
"""What a file raises that is away, not ours, cut off or damaged."""


class Import:
    """`fixed`: the same in each row. `put` takes a batch."""

    def __init__(
        self,
        put: Callable[[Sequence[Ready]], None],
        *,
        mapped: Mapping[str, str],
        fixed: Mapping[str, str],
        zone: ZoneInfo | None,
        delimiter: str,
        source: str,
        now: datetime,
        since: datetime | None,
    ) -> None:
        self._batches = Batches(put, now=now, since=since, names=("providers", "customers"))
        self._mapped = mapped
        self._fixed = fixed
        self._zone = zone
        self._delimiter = delimiter
        self._source = source

    @property
    def seen(self) -> Seen:
        return self._batches.seen

    def file(self, name: str, text: Text) -> Iterator[None]:
        """Row by row. InvalidValueError: its columns are not what was said. One of UNREADABLE."""
        before = csv.field_size_limit(_MOST_OF_CELL)  # of the whole process
        try:
            yield from self._rows(name, csv.reader(text, delimiter=self._delimiter or text.delimiter()))
        finally:
            csv.field_size_limit(before)

    def _rows(self, name: str, rows: Any) -> Iterator[None]:
        header = next(rows, None)
        if header is None:
            return
        columns, names = Columns(header, self._mapped, self._fixed, self._zone), _Names(self._source)
        while True:
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                self._batches.unread(f"{name}:{rows.line_num}", f"is no CSV: {error}", "")
            else:
                if cells and any(cells):
                    self._take(lambda: f"{name}:{rows.line_num}", cells, columns, names)
            yield

    def _take(self, place: Callable[[], str], cells: Sequence[str], columns: Columns, names: _Names) -> None:
        found, batches = columns.row(cells, lambda: names.of(cells)), self._batches
        if isinstance(found, Unread):
            batches.unread(place(), str(found), ",".join(cells))
        elif batches.is_wanted(found.at):
            batches.count("providers", found.provider)
            batches.count("customers", found.customer)
            batches.add(found.at, found.text)

    def flush(self) -> None:
        self._batches.flush()


class _Names:
    """Of one file's rows that have no id: what is in them, and how many such were before. They may be in any order."""

    def __init__(self, source: str) -> None:
        self._source = source.encode() + b"\0"
        self._new: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}

    def of(self, cells: Sequence[str]) -> str:
        line = "\x1f".join(cells).encode("utf-8", "replace")
        digest = hashlib.blake2b(self._source + line, digest_size=12).digest()
        n = self._new.get(digest)
        if n is None:
            n = self._old.get(digest, 0)
        if len(self._new) >= _REMEMBERED:
            self._old, self._new = self._new, {}
        self._new[digest] = n + 1
        return f"{digest.hex()}-{n}" if n else digest.hex()


class Text:
    """Lines, of which the first can be looked at before: a pipe cannot be gone back in."""

    def __init__(self, stream: BinaryIO) -> None:
        self._lines = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
        self._first: str | None = None

    def delimiter(self) -> str:
        """The one that stands most often in the first line."""
        self._first = self._lines.readline(_LOOKED_AT)
        return max(_DELIMITERS, key=self._first.count)

    def __iter__(self) -> Iterator[str]:
        if self._first is not None:
            first, self._first = self._first, None
            if not first:
                return
            yield first if first.endswith("\n") else first + self._lines.readline()
        while line := self._lines.readline(_MOST_OF_CELL):
            yield line

    def leave(self) -> None:
        """What is under it is closed by who opened it."""
        self._lines.detach()


class CsvFile:
    """`done`: how many of its `size` bytes were read, as they lie on the disk; a pipe has none."""

    def __init__(self, path: Path | None, stdin: BinaryIO) -> None:
        """OSError."""
        self._path = path
        raw = path.open("rb") if path is not None else stdin
        self._raw = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", raw))
        self.size = 0 if path is None else path.stat().st_size

    @property
    def done(self) -> int:
        return self._raw.tell() if self._path is not None and self._raw.seekable() else 0

    @contextmanager
    def text(self) -> Iterator[Text]:
        is_packed = self._raw.peek(len(_GZIP))[: len(_GZIP)] == _GZIP
        stream = cast("BinaryIO", gzip.GzipFile(fileobj=self._raw) if is_packed else self._raw)
        wrapped = Text(stream)
        try:
            yield wrapped
        finally:
            wrapped.leave()
            if self._path is not None:
                self._raw.close()
