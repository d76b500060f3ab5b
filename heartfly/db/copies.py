"""A copy of a SQLite database while a server writes it: one state, whole, and looked at before anybody relies on it.

Reads through a connection that can neither write nor checkpoint. What a copy is kept in is backup/archive.py's.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from heartfly.db.pace import Step, bring_to_disk, in_one_go
from heartfly.errors import StoreError

Progress = Callable[[int, int], None]
"""Told after each piece: how much is done, of how much."""

_PIECE = 256
"""Pages that are copied in one go."""
_STEPS = 10_000
"""Of SQLite's machine, between two looks at the time: some 0.3 ms."""
_INTERRUPT = 9
"""What SQLite says of a statement that its progress handler ended."""


def copy(source: Path, target: Path, *, progress: Progress, step: Step) -> Mapping[str, int]:
    """Copy to `target`, a new file; return how many rows each table has.

    The rows are counted in the very transaction that is copied, and again in the copy. StoreError: there is nothing to
    copy, or it is damaged, and then there is no copy that could be relied on.
    """
    if not source.exists():
        raise StoreError(f"there is no database at {source}")
    with told_plainly(f"the database {source}"):
        with closing(reading(source)) as old, _flushed(target) as flush, closing(_unjournaled(target)) as new:

            def copied(_: int, left: int, all_: int) -> None:
                progress(all_ - left, all_)
                flush()
                step()

            old.execute(
                "BEGIN"
            )  # held to the end: pieces of a copy without it begin anew with each write of the server
            with _in_steps(old, step):
                counted = rows(old)
            old.backup(new, pages=_PIECE, progress=copied)
            old.execute("ROLLBACK")
            new.execute("PRAGMA journal_mode=DELETE")  # a file that needs no others beside it
        found = check(target, step)
    if found != counted:
        wrong = ", ".join(name for name in counted if found.get(name) != counted[name])
        raise StoreError(f"the copy has not the rows that the database has ({wrong}): do not rely on this disk")
    return counted


def check(path: Path, step: Step = in_one_go) -> Mapping[str, int]:
    """Read a whole copy and return the rows of each table. StoreError: it is damaged, or does more than hold rows."""
    with (
        told_plainly(f"the copy {path.name}"),
        closing(reading(path)) as connection,
        _in_steps(connection, step),
    ):
        connection.execute("PRAGMA trusted_schema=OFF")
        query = "SELECT type, name FROM sqlite_master WHERE type NOT IN ('table', 'index') ORDER BY name"
        if (strange := connection.execute(query).fetchone()) is not None:
            raise StoreError(f"there is a {strange[0]} in it, {strange[1]}: no Heartfly has made this")
        (answer,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if answer != "ok":
            raise StoreError(f"a page of the database is damaged ({answer})")
        return rows(connection)


def rows(connection: sqlite3.Connection) -> dict[str, int]:
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    quoted = ((name, name.replace('"', '""')) for (name,) in tables)
    return {name: connection.execute(f'SELECT count(*) FROM "{safe}"').fetchone()[0] for name, safe in quoted}  # noqa: S608 - a name from the schema, quoted


def reading(path: Path) -> sqlite3.Connection:
    """A connection that can neither write nor checkpoint."""
    # The path is percent-encoded: a `?` in a directory's name would begin the parameters.
    uri = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    for pragma in ("query_only=1", "busy_timeout=5000", "wal_autocheckpoint=0"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _unjournaled(path: Path) -> sqlite3.Connection:
    """To a new file. One that is cut off is thrown away, so SQLite writes no journal of it and waits for no disk."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=OFF", "synchronous=OFF"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


@contextmanager
def _flushed(path: Path) -> Iterator[Callable[[], None]]:
    """What brings to the disk what was written so far, before it is so much that others wait for it.

    It is opened before SQLite opens the file, and closed after: closing one lets go of all locks that the process has.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        yield lambda: bring_to_disk(descriptor)
        bring_to_disk(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _in_steps(connection: sqlite3.Connection, step: Step) -> Iterator[None]:
    """A statement may take long, but not in one go, unless it is one step to SQLite, as to count a table is."""
    ended: list[BaseException] = []

    def look() -> bool:
        try:
            step()
        except BaseException as error:  # noqa: BLE001 - raised below; SQLite would tell of an interruption only
            ended.append(error)
        return bool(ended)

    connection.set_progress_handler(look, _STEPS)
    try:
        yield
    except sqlite3.OperationalError as error:
        if ended:
            raise ended[0] from None
        if getattr(error, "sqlite_errorcode", 0) == _INTERRUPT:
            raise KeyboardInterrupt from None  # it came while SQLite computed, and was raised before `look` began
        raise
    finally:
        connection.set_progress_handler(None, _STEPS)


@contextmanager
def told_plainly(what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{what} cannot be read: {error}") from error
