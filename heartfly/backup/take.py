"""Takes a backup: the database as it is at one moment, usage a moment later, and the keys that open what is sealed.

Safe while a server writes. A backup that is there is whole: it is written beside its place, looked at, and only then
given its name, so that a failure leaves the one that was there before.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from heartfly import __version__
from heartfly.backup import archive
from heartfly.backup.archive import CLI_KEY, DATABASE, FORMAT, SECRET_KEY, USAGE, Manifest
from heartfly.backup.large_files import remove, replace
from heartfly.clock import Clock
from heartfly.db.copies import Progress, copy, told_plainly
from heartfly.db.pace import Pace, in_one_go, wal_of
from heartfly.errors import StoreError
from heartfly.sealing import Sealer

_LOCK = "heartfly-backup.lock"
_PARTIAL = ".partial"
_ROOM = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    path: Path
    size: int
    manifest: Manifest


def default_name(now: datetime) -> str:
    return f"heartfly-{now:%Y%m%dT%H%M%SZ}.tar"


def take(
    *,
    database: Path,
    data_dir: Path,
    target: Path,
    clock: Clock,
    progress: Progress,
    ask: Callable[[], None] = in_one_go,
) -> Taken:
    """`ask` is called again and again, and raises a HeartflyError where the backup shall be given up.

    StoreError: there is nothing to back up, no room for it, or it is damaged. `target` is as before then.
    """
    _refuse_other_files(target)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _refuse_without_room(database, target.parent)
    step = beside(database, clock, ask).step
    with _beside(target) as folder:
        copied = folder / DATABASE
        taken_at = clock.now()
        rows = copy(database, copied, progress=progress, step=step)
        parts, usage, usage_rows = {DATABASE: copied}, database.with_name(USAGE), None
        if usage.exists():
            parts[USAGE] = folder / USAGE
            usage_rows = dict(copy(usage, parts[USAGE], progress=progress, step=step))
        parts |= _keys(data_dir)
        schema, instance, epoch = _read_off(copied, parts[SECRET_KEY])
        manifest = Manifest(
            format=FORMAT,
            version=__version__,
            taken_at=taken_at,
            schema=schema,
            instance=instance,
            epoch=epoch,
            rows=dict(rows),
            parts={name: archive.part(path, step) for name, path in parts.items()},
            usage_rows=usage_rows,
        )
        packed = folder / "packed"
        archive.write(packed, manifest, parts, step)
        for name in {DATABASE, USAGE} & parts.keys():
            remove(parts[name], step)
        archive.verify(packed, step)
        size = packed.stat().st_size
        replace(target, packed, step)
    return Taken(path=target, size=size, manifest=manifest)


def beside(database: Path, clock: Clock, ask: Callable[[], None]) -> Pace:
    """That of work beside whoever writes these databases."""
    return Pace([wal_of(one) for one in (database, database.with_name(USAGE))], clock, ask=ask)


def _refuse_other_files(target: Path) -> None:
    """An older backup may be replaced, anything else was a slip of the hand."""
    if target.exists():
        try:
            archive.read(target)
        except StoreError:
            raise StoreError(f"{target} is there already, and it is no backup: choose another name") from None


def _refuse_without_room(database: Path, folder: Path) -> None:
    """The copy and the archive of it are there at one time."""
    usage = database.with_name(USAGE)
    files = (database, wal_of(database), usage, wal_of(usage))
    needed = sum(path.stat().st_size for path in files if path.exists()) * 2 + _ROOM
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StoreError(f"{folder} has {free // 1_000_000} MB free, and a backup takes up to {needed // 1_000_000} MB")


def _keys(data_dir: Path) -> dict[str, Path]:
    if not (data_dir / SECRET_KEY).exists():
        raise StoreError(f"there is no {SECRET_KEY} in {data_dir}, without which channels cannot be read: say --data")
    return {name: data_dir / name for name in (SECRET_KEY, CLI_KEY) if (data_dir / name).exists()}


def _read_off(copied: Path, key_file: Path) -> tuple[str, str, int]:
    """Schema, instance and epoch. StoreError: the key is not the one that the secrets were sealed with."""
    with told_plainly("the copy"), closing(sqlite3.connect(copied)) as connection:
        (schema,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
        instance, epoch = connection.execute("SELECT uuid, epoch FROM instance").fetchone() or ("", 0)
        sealed = connection.execute("SELECT ping_key_enc FROM projects ORDER BY id LIMIT 1").fetchone()
    try_key(key_file, sealed[0] if sealed is not None else None)
    return schema, instance, epoch


def try_key(key_file: Path, sealed: bytes | None) -> None:
    """StoreError: the keys of the file do not open this."""
    try:
        sealer = Sealer(key_file.read_bytes().split())
    except ValueError as error:
        raise StoreError(f"{key_file.name} holds no key: {error}") from error
    if sealed is not None:
        sealer.open(sealed)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A directory of our own where the backup will be. What killed runs have left beside it goes."""
    folder = target.with_name(f".{target.name}{_PARTIAL}")
    for other in (folder, *target.parent.glob(f".*{_PARTIAL}")):
        if _is_ours(other):
            _clear(other)
    folder.mkdir(mode=0o700, exist_ok=True)
    if not _is_ours(folder):
        # Where everybody may write, somebody could have laid it there to read along: the keys will be in it.
        raise StoreError(f"{folder} belongs to somebody else or is open to others: remove it, or choose another place")
    with (folder / _LOCK).open("w") as lock:
        if not _mine(lock.fileno()):
            raise StoreError(f"another backup to {target} is under way")
        for left in folder.iterdir():
            if left.name != _LOCK:  # of one who was killed as he cleared it, the lock first
                left.unlink()
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def _is_ours(folder: Path) -> bool:
    """A directory, no link to one, that nobody else may write to: what lies in it is ours, too."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _clear(folder: Path) -> None:
    lock = folder / _LOCK
    if lock.exists():
        with lock.open("a") as held:
            if _mine(held.fileno()):
                shutil.rmtree(folder)


def _mine(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
