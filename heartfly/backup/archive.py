"""The file of a backup: a tar of what it is, the database, usage and the keys, in this order.

Uncompressed, so that anybody can look into it and no server waits for a busy processor. What comes out of it was
whole: each part has the length and the hash that were written down. What the parts mean is not decided here.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec
from typing_extensions import Buffer, override

from heartfly.db.pace import PIECE, Step, bring_to_disk, in_one_go
from heartfly.errors import StoreError

FORMAT = 1
MANIFEST = "heartfly-backup.json"
DATABASE, USAGE, SECRET_KEY, CLI_KEY = "heartfly.db", "usage.db", "secret.key", "cli-key"
PARTS = (DATABASE, USAGE, SECRET_KEY, CLI_KEY)

_DATABASES = (DATABASE, USAGE)
_LONGEST_MANIFEST = 1_000_000
_LONGEST_KEYS = 1_000_000


class Part(msgspec.Struct, frozen=True):
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup is. `rows`: of each table of the database. `usage_rows`: None, from before there was usage."""

    format: int
    version: str
    """Of the Heartfly that made it."""
    taken_at: datetime
    schema: str
    instance: str
    epoch: int
    rows: dict[str, int]
    parts: dict[str, Part]
    usage_rows: dict[str, int] | None = None


def part(path: Path, step: Step = in_one_go) -> Part:
    digest = hashlib.sha256()
    with path.open("rb") as source:
        for piece in iter(lambda: source.read(PIECE), b""):
            digest.update(piece)
            step()
    return Part(path.stat().st_size, digest.hexdigest())


def write(path: Path, manifest: Manifest, parts: Mapping[str, Path], step: Step) -> None:
    """Readable by its owner only, and on the disk when this returns."""
    with _new_file(path, step) as target, tarfile.open(fileobj=target, mode="w") as tar:
        told = msgspec.json.encode(manifest)
        _add(tar, MANIFEST, io.BytesIO(told), size=len(told), at=manifest.taken_at)
        for name, path_of_part in parts.items():
            with path_of_part.open("rb") as source:
                _add(tar, name, source, size=manifest.parts[name].size, at=manifest.taken_at)


def _add(tar: tarfile.TarFile, name: str, source: IO[bytes], *, size: int, at: datetime) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o600, int(at.timestamp())
    tar.addfile(member, source)


def read(path: Path) -> Manifest:
    """What the file says that it is. StoreError: it is no backup, or of a newer Heartfly."""
    with _opened(path) as tar:
        return _manifest(path, tar)


def verify(path: Path, step: Step) -> None:
    """Read all of it once more. StoreError: something is not as it was written."""
    _unpack(path, None, step)


def unpack(path: Path, into: Path) -> None:
    """Put its parts into a directory, readable by their owner only. StoreError: one is missing, or not as it was."""
    _unpack(path, into)


def _unpack(path: Path, into: Path | None, step: Step = in_one_go) -> None:
    with _opened(path) as tar:
        manifest = _manifest(path, tar)
        missing = dict(manifest.parts)
        while (member := tar.next()) is not None:
            expected = missing.pop(member.name, None)
            if expected is None or not member.isreg():
                raise StoreError(f"{path} holds {member.name[:40]!r}, which no backup of Heartfly does")
            if member.size != expected.size or _taken(tar, member, into, step) != expected.sha256:
                raise StoreError(f"{path} is damaged: {member.name} is not as it was written")
    if missing:
        raise StoreError(f"{path} is cut off: {', '.join(missing)} is missing")


def _manifest(path: Path, tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    source = tar.extractfile(first) if first is not None and first.name == MANIFEST and first.isreg() else None
    if first is None or source is None or first.size > _LONGEST_MANIFEST:
        raise StoreError(f"{path} is not a backup of Heartfly")
    content = source.read()
    try:
        if (found := msgspec.json.decode(content, type=_Format).format) != FORMAT:
            raise StoreError(f"{path} has format {found}, which this Heartfly does not know; upgrade Heartfly")
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} is damaged: what it says of itself cannot be read") from error
    strange = [name for name in manifest.parts if name not in PARTS]
    absent = [name for name in (DATABASE, SECRET_KEY) if name not in manifest.parts]
    too_long = [name for name, one in manifest.parts.items() if name not in _DATABASES and one.size > _LONGEST_KEYS]
    if strange or absent or too_long or (manifest.usage_rows is None) is (USAGE in manifest.parts):
        raise StoreError(f"{path} is not a backup of Heartfly: its parts are not those of one")
    return manifest


class _Format(msgspec.Struct, frozen=True):
    format: int


def _taken(tar: tarfile.TarFile, member: tarfile.TarInfo, into: Path | None, step: Step) -> str:
    """Copy one part out, or only read it, and return the hash of what came."""
    source = tar.extractfile(member)
    assert source is not None
    digest = hashlib.sha256()
    with _new_file(into / member.name) if into is not None else nullcontext() as opened:
        for piece in iter(lambda: source.read(PIECE), b""):
            digest.update(piece)
            if opened is not None:
                opened.write(piece)
            step()
    return digest.hexdigest()


@contextmanager
def _new_file(path: Path, step: Step | None = None) -> Iterator[IO[bytes]]:
    """Readable by its owner only, and on the disk at the end; with `step` piece by piece."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") if step is None else _InPieces(descriptor, step) as opened:
        yield opened
        opened.flush()
        os.fsync(opened.fileno())


class _InPieces(io.BufferedWriter):
    def __init__(self, descriptor: int, step: Step) -> None:
        super().__init__(io.FileIO(descriptor, "wb"))
        self._step = step
        self._behind = 0
        """Bytes that may not be on the disk."""

    @override
    def write(self, buffer: Buffer, /) -> int:
        written = super().write(buffer)
        self._behind += written
        if self._behind >= PIECE:
            self.flush()
            bring_to_disk(self.fileno())
            self._behind = 0
            self._step()
        return written


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, mode="r:") as tar:
            yield tar
    except (tarfile.TarError, EOFError) as error:
        raise StoreError(f"{path} is not a backup of Heartfly, or it is cut off ({error})") from error
    except OSError as error:
        raise StoreError(f"{error.filename or path}: {error.strerror or error}") from error
