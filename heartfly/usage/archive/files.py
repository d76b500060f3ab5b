"""Files of an archive: packed NDJSON, or Parquet. Whole or not there, and read once more before anybody relies on one.

A file has another name until it is on the disk. What a row is, row.py says.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

from heartfly.errors import NotFoundError, StoreError
from heartfly.usage.archive.row import Figures, Row, line_of, row_of

Format = Literal["ndjson", "parquet"]
_ENDINGS: dict[str, str] = {"ndjson": "ndjson.gz", "parquet": "parquet"}
_NAME = re.compile(r"\d{4}-\d\d-\d\d\.\d{1,6}(?:\.\d{1,6})?\.(?:ndjson\.gz|parquet)(?:\.new)?", re.ASCII)
_PIECE = 1024 * 1024
_GROUP = 20_000
"""Rows of a group in Parquet."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a file holds, as it was read back from the disk."""

    name: str
    n_bytes: int
    checksum: bytes
    figures: Figures


def name_of(day: date, part: int, format_: Format, revision: int = 0) -> str:
    """`revision`: how often it was written anew, without somebody who was erased."""
    return f"{day.isoformat()}.{part}{f'.{revision}' if revision else ''}.{_ENDINGS[format_]}"


def is_ours(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def shown(path: Path) -> str:
    """As it is told: below the archive's directory, which is nobody's business but the operator's."""
    return f"{path.parent.name}/{path.name}"


class Writing:
    """A file that is being written: `add` rows, then `finish`, or `give_up`."""

    def __init__(self, folder: Path, name: str, format_: Format) -> None:
        """OSError; StoreError: there is nothing to write Parquet with."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = folder / name
        self._new = folder / f"{name}.new"
        opened = os.open(self._new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(opened, "wb")
        self._figures = Figures()
        try:
            self._into: _Into = _Lines(self._file) if format_ == "ndjson" else _Columns(self._file)
        except StoreError:
            self.give_up()
            raise
        self._format: Format = format_

    def add(self, rows: Sequence[Row]) -> None:
        lines = [line_of(row) for row in rows]
        for row, line in zip(rows, lines, strict=True):
            self._figures.add(row, line)
        self._into.add(rows, lines)

    def finish(self) -> Written:
        """It is on the disk under its name, and was read back from there. StoreError: it is not what was written."""
        self._into.finish()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        found = look_at(self._new, self._format)
        if found.figures.fingerprint != self._figures.fingerprint:
            raise StoreError(f"{self._new} does not hold what was written into it")
        self._new.replace(self._path)
        sync_folder(self._path.parent)
        return Written(self._path.name, found.n_bytes, found.checksum, found.figures)

    def give_up(self) -> None:
        with suppress(OSError):
            self._file.close()
        self._new.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """So that the names in it last."""
    opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def look_at(path: Path, format_: Format) -> Written:
    """What is in it. NotFoundError: it is not there. StoreError: it cannot be read to its end."""
    figures = Figures()
    for row in rows_in(path, format_):
        figures.add(row, line_of(row))
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return Written(path.name, size, digest.digest(), figures)


def rows_in(path: Path, format_: Format) -> Iterator[Row]:
    """In their order. NotFoundError; StoreError."""
    try:
        yield from _lines_in(path) if format_ == "ndjson" else _columns_in(path)
    except FileNotFoundError:
        raise NotFoundError(f"the file {shown(path)} is not there") from None
    except (OSError, EOFError, zlib.error) as error:
        raise StoreError(f"{shown(path)} cannot be read: {error}") from error


class _Into(Protocol):
    def add(self, rows: Sequence[Row], lines: Sequence[bytes]) -> None: ...

    def finish(self) -> None: ...


class _Lines:
    def __init__(self, file: BinaryIO) -> None:
        self._packed = gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0)

    def add(self, rows: Sequence[Row], lines: Sequence[bytes]) -> None:  # noqa: ARG002 - the twin needs them
        self._packed.write(b"".join(line + b"\n" for line in lines))

    def finish(self) -> None:
        self._packed.close()


def _lines_in(path: Path) -> Iterator[Row]:
    with gzip.open(path, "rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                raise StoreError(f"{shown(path)} is cut off")
            try:
                row = row_of(line[:-1])
            except StoreError as error:
                raise StoreError(f"{shown(path)}: {error}") from error
            yield row


_COLUMNS = (
    ("id", "int64"), ("against", "int64"), ("received_at", "time"), ("timestamp", "time"), ("event_type", "string"),
    ("customer_id", "string"), ("transaction_id", "string"), ("properties", "string"), ("known_by", "string"),
)  # fmt: skip


class _Columns:
    """Times are to the microsecond, properties as JSON: amounts in them are as they were written."""

    def __init__(self, file: BinaryIO) -> None:
        self._arrow = _arrow("pyarrow")
        kinds = {
            "int64": self._arrow.int64(),
            "string": self._arrow.string(),
            "time": self._arrow.timestamp("us", tz="UTC"),
        }
        self._schema = self._arrow.schema([(name, kinds[kind]) for name, kind in _COLUMNS])
        self._writer = _arrow("pyarrow.parquet").ParquetWriter(file, self._schema, compression="zstd")
        self._rows: list[Row] = []

    def add(self, rows: Sequence[Row], lines: Sequence[bytes]) -> None:  # noqa: ARG002 - as its twin is asked
        self._rows += rows
        while len(self._rows) >= _GROUP:
            self._write(self._rows[:_GROUP])
            del self._rows[:_GROUP]

    def finish(self) -> None:
        self._write(self._rows)
        self._writer.close()

    def _write(self, rows: Sequence[Row]) -> None:
        columns: Iterable[Any] = zip(*rows, strict=True) if rows else [[] for _ in _COLUMNS]
        arrays = [self._arrow.array(column, kind.type) for column, kind in zip(columns, self._schema, strict=True)]
        self._writer.write_table(self._arrow.table(arrays, schema=self._schema))


def _columns_in(path: Path) -> Iterator[Row]:
    parquet, arrow = _arrow("pyarrow.parquet"), _arrow("pyarrow")
    with path.open("rb") as opened:
        try:
            file = parquet.ParquetFile(opened)
            for batch in file.iter_batches(batch_size=_GROUP):
                columns = [batch.column(name).to_pylist() for name, _ in _COLUMNS]
                yield from (Row(*values) for values in zip(*columns, strict=True))
        except (arrow.ArrowException, KeyError) as error:
            raise StoreError(f"{shown(path)} cannot be read: {error}") from error


def _arrow(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise StoreError("a Parquet file needs pyarrow: pip install 'heartfly[parquet]'") from None
