"""Whether the files of SQLite are whole: a look of bounded time before a start, and one beside a server by tables.

What was found damaged is marked, so that no later start serves it until all of it was looked at again. When to look,
and how a server ends, is decided elsewhere (ground.py, vitals/damage.py). PostgreSQL keeps its own pages.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from heartfly.clock import Clock
from heartfly.db.copies import reading, told_plainly
from heartfly.db.pace import Step, in_one_go, sync
from heartfly.errors import StoreError
from heartfly.logs import logger

log = logger("heartfly.damage")

MARK = "found-damaged"
"""A file beside the database, with what was found: it is not served until it was looked at as a whole."""

START_LIMIT_S = 0.3
"""So long a start waits for this: some 150 MB that lie in memory. Both files are looked at side by side."""
_NAMING_LIMIT_S = 10.0
"""So long it takes, at most, to say which table a page belongs to: whoever waits for that is refused anyway."""
_ASK_EVERY_S = 0.02
_STEPS = 10_000
"""Of SQLite's machine between two steps."""
_MOST = 5
"""Findings of a table that are told."""
_INTERRUPT = 9
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"


class DamagedError(StoreError):
    """A file of the database is damaged, and must not be served. The message says what is, and what to do."""


def look_before_start(paths: Sequence[Path], clock: Clock, *, limit_s: float) -> list[Path]:
    """Return the files that there was no time to look at as a whole; `paths`: the main one first.

    DamagedError: one is damaged. Files that were marked are looked at as a whole, however long it takes, with indexes.
    """
    mark = paths[0].with_name(MARK)
    if mark.exists():
        log.warning("found_damaged_before", said=mark.read_text(errors="replace").strip(), looks="at all of it")
        _refuse(paths[0], [fault for path in paths for fault in damaged_tables(path, stop=lambda: False)[1]])
        mark.unlink()
        sync(mark.parent)
        log.warning("whole_again")
        return []
    ends = clock.monotonic() + limit_s
    with ThreadPoolExecutor(len(paths)) as pool:
        looked = list(pool.map(lambda path: _quick(path, lambda: clock.monotonic() >= ends), paths))
    for path, found in zip(paths, looked, strict=True):
        if found:
            _refuse(paths[0], _named(path, clock) or [f"{path.name}: {found}"])
    return [path for path, found in zip(paths, looked, strict=True) if found is None]


def mark_damaged(main: Path, found: Sequence[str]) -> DamagedError:
    """Leave the mark, as far as the disk takes it; return what is to be said."""
    words = "; ".join(found[:_MOST]) + (f"; and {len(found) - _MOST} more" if len(found) > _MOST else "")
    with suppress(OSError):  # the disk may be what is broken
        main.with_name(MARK).write_text(f"{words}\n")
        sync(main.parent)
    return DamagedError(f"the database is damaged ({words}): restore a backup with `heartfly restore FILE --force`")


def _refuse(main: Path, found: list[str]) -> None:
    if found:
        raise mark_damaged(main, found)


def _quick(path: Path, is_late: Callable[[], bool]) -> str | None:
    """What is wrong first; empty: nothing; None: it was too late before all was looked at."""
    if is_late():
        return None
    with told_plainly(f"the database {path.name}"), closing(reading(path)) as connection:
        try:
            with _interrupted(connection, is_late):
                (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            return _words(error)
    return "" if said == "ok" else " ".join(str(said).split())


def _words(error: sqlite3.DatabaseError) -> str | None:
    """What it says of a page; None: it was interrupted. Other errors are none of the file's."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == _INTERRUPT:
        return None
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return str(error)
    raise error


def _named(path: Path, clock: Clock) -> list[str]:
    """The tables that the damaged pages belong to, as far as that can be told in time."""
    ends = clock.monotonic() + _NAMING_LIMIT_S
    try:
        return damaged_tables(path, stop=lambda: clock.monotonic() >= ends, quick=True)[1]
    except StoreError:
        return []


def damaged_tables(
    path: Path, *, stop: Callable[[], bool], quick: bool = False, step: Step = in_one_go
) -> tuple[int, list[str]]:
    """Look at every table with its indexes, while a server writes: how many there are, and what is wrong with which.

    Each in a state of its own, so that no long one keeps the WAL from being checkpointed. `stop` is asked in between
    and within, from another thread; `step` is called within. `quick`: not whether each row is in each index.
    StoreError: `stop` said so, or the disk does not give the file.
    """
    check = "quick_check" if quick else "integrity_check"
    found: list[str] = []
    with told_plainly(f"the database {path.name}"), closing(reading(path)) as connection:
        connection.set_progress_handler(step, _STEPS)
        with _interrupted(connection, stop):
            try:
                names = connection.execute(_TABLES).fetchall()
            except sqlite3.DatabaseError as error:
                if (words := _words(error)) is None:
                    raise
                return 0, [f"{path.name}: {words}"]
            for (name,) in names:
                found += [f"{path.name}, table {name}: {fault}" for fault in _faults(connection, check, name)]
    return len(names), found


def _faults(connection: sqlite3.Connection, check: str, table: str) -> list[str]:
    quoted = table.replace('"', '""')
    try:
        answers = connection.execute(f'PRAGMA {check}("{quoted}")').fetchmany(_MOST)
    except sqlite3.DatabaseError as error:
        if (words := _words(error)) is None:
            raise
        return [words]
    return [" ".join(str(answer).split()) for (answer,) in answers if answer != "ok"]


@contextmanager
def _interrupted(connection: sqlite3.Connection, is_time: Callable[[], bool]) -> Iterator[None]:
    """End its statement when it is time. SQLite itself asks nobody while it walks a tree (3.40), however long."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_ASK_EVERY_S):
            if is_time():
                connection.interrupt()

    watching = threading.Thread(target=watch, name="heartfly-damage", daemon=True)
    watching.start()
    try:
        yield
    finally:
        done.set()
        watching.join()
