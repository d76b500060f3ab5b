"""Puts a backup back: looks at it, brings it to this version, marks it, and only then touches what is there.

Nothing is deleted: what was there is set aside, in a directory beside it. Whatever goes wrong before the last step
leaves all as it was; a crash within it leaves a mark by which a server refuses to start.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from heartfly.backup import archive
from heartfly.backup.archive import CLI_KEY, DATABASE, SECRET_KEY, USAGE, Manifest
from heartfly.backup.marks import mark
from heartfly.backup.take import try_key
from heartfly.clock import Clock
from heartfly.db import parts, sqlite
from heartfly.db.changes import Tx
from heartfly.db.copies import check, told_plainly
from heartfly.db.damage import MARK
from heartfly.db.instance import Identity
from heartfly.db.migrate import upgrade
from heartfly.db.pace import sync
from heartfly.errors import StoreError

Step = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    manifest: Manifest
    identity: Identity
    set_aside: Path | None
    """Where the files are now that were there before."""


@dataclass(frozen=True, slots=True)
class _Place:
    database: Path
    data_dir: Path


def put_back(
    path: Path, *, database: Path, data_dir: Path, clock: Clock, force: bool, step: Step = lambda _: None
) -> Restored:
    """`step` is told what is done next. StoreError: a server runs there, a database is there, or the backup is bad."""
    manifest = archive.read(path)
    _refuse_without_room(manifest, database.parent)
    with sqlite.lock(database.parent):
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        there = _there(database, data_dir)
        if there and not force:
            raise StoreError(f"{there[0]} is there already; with --force it is set aside, not deleted")
        folder = Path(tempfile.mkdtemp(prefix=".restoring-", dir=database.parent))
        try:
            step("unpack")
            archive.unpack(path, folder)
            step("check")
            identity = _made_ready(folder, manifest, clock)
            step("place")
            set_aside = _place(folder, _Place(database, data_dir), there, step=step, clock=clock)
        finally:
            shutil.rmtree(folder)
    return Restored(manifest=manifest, identity=identity, set_aside=set_aside)


def _refuse_without_room(manifest: Manifest, folder: Path) -> None:
    while not folder.exists():
        folder = folder.parent
    needed = sum(manifest.parts[name].size for name in (DATABASE, USAGE) if name in manifest.parts)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StoreError(f"{folder} has {free // 1_000_000} MB free, and the backup takes {needed // 1_000_000} MB")


def _there(database: Path, data_dir: Path) -> list[Path]:
    files = (database.name, database.with_name(USAGE).name)
    with_log = [database.with_name(name + end) for name in files for end in ("", "-wal", "-shm", "-journal")]
    return [path for path in (*with_log, data_dir / SECRET_KEY, data_dir / CLI_KEY) if path.exists()]


def _made_ready(folder: Path, manifest: Manifest, clock: Clock) -> Identity:
    """The unpacked database, whole, with its key, of this version's schema and marked. A file that needs no other."""
    copied = folder / DATABASE
    if dict(check(copied)) != manifest.rows:
        raise StoreError("the backup has not the rows that it should have")
    with told_plainly("the backup"), closing(sqlite3.connect(copied)) as connection:
        sealed = connection.execute("SELECT ping_key_enc FROM projects ORDER BY id LIMIT 1").fetchone()
    try_key(folder / SECRET_KEY, sealed[0] if sealed is not None else None)
    engine = sqlite.writing_engine(copied)
    try:
        upgrade(engine)  # refuses what is newer than this program
        with engine.connect() as connection_, connection_.begin():
            identity = mark(Tx(connection_), at=clock.now(), backup_at=manifest.taken_at)
    finally:
        engine.dispose()
    _alone(copied)
    if manifest.usage_rows is not None:
        _made_ready_usage(folder / USAGE, manifest.usage_rows)
    return identity


def _made_ready_usage(copied: Path, expected: Mapping[str, int]) -> None:
    if check(copied) != expected:
        raise StoreError("the backup has not the rows of usage that it should have")
    engine = sqlite.writing_engine(copied)
    try:
        upgrade(engine, parts.USAGE)
    finally:
        engine.dispose()
    _alone(copied)


def _alone(copied: Path) -> None:
    """A file that needs no other beside it, on the disk."""
    with told_plainly("the backup"), closing(sqlite3.connect(copied)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    sync(copied)


def _place(folder: Path, place: _Place, there: Iterable[Path], *, step: Step, clock: Clock) -> Path | None:
    """The keys first, the database last. The mark is there before the first name changes, until after the last."""
    database, data_dir = place.database, place.data_dir
    unfinished = database.parent / sqlite.UNFINISHED
    unfinished.touch(mode=0o600)
    sync(database.parent)
    set_aside = None
    for path in there:
        aside = path.parent / f"replaced-{clock.now():%Y%m%dT%H%M%SZ}"
        aside.mkdir(mode=0o700, exist_ok=True)
        set_aside = set_aside or aside
        path.replace(aside / path.name)
    step("half way")
    for name, target in (
        (SECRET_KEY, data_dir / SECRET_KEY),
        (CLI_KEY, data_dir / CLI_KEY),
        (USAGE, database.with_name(USAGE)),
        (DATABASE, database),
    ):
        if (folder / name).exists():
            # Not a rename: the keys may lie on another file system than the database.
            shutil.move(folder / name, target)
            sync(target)
    for changed in {data_dir, database.parent}:
        sync(changed)
    for said_of_the_old in (database.with_name(MARK), unfinished):
        said_of_the_old.unlink(missing_ok=True)
    sync(database.parent)
    return set_aside
