"""SQLite: one file, one writing connection, and settings under which a commit is on the disk.

WAL with synchronous=FULL: NORMAL lost acknowledged rows in 393 of 400 simulated power cuts. The
writer alone checkpoints, because older SQLite versions can damage a file when two connections do
(fixed in 3.51.3). A lock file keeps a second server away.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

from sqlalchemy import Connection, Engine, FromClause, create_engine, event
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool
from typing_extensions import override

from heartfly.clock import Clock
from heartfly.db.changes import Tx
from heartfly.db.group_commit import FatalStoreError
from heartfly.db.parts import MAIN, Part
from heartfly.errors import OverloadedError, StoreError
from heartfly.logs import logger

log = logger("heartfly.writer")

Result = TypeVar("Result")

UNFINISHED = "restore-unfinished"
"""A file beside the database while a restore changes files there: what lies there may not belong together."""

_MOST_COMMITS = 1_000
"""After so many the log is carried over, however few rows they wrote: each is some pages of the log."""

_PAGE = 4_096

_BUSY, _LOCKED, _IOERR, _CORRUPT, _FULL, _NOTADB = 5, 6, 10, 11, 13, 26


def lock(data_dir: Path) -> IO[str]:
    """Hold the directory for this process until the returned file is closed.

    StoreError: another Heartfly holds it.
    """
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.fdopen(_private(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_APPEND), "a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise StoreError(f"another Heartfly is using {data_dir}; stop it first") from error
    handle.truncate(0)
    handle.write(f"{os.getpid()}\n")
    handle.flush()
    return handle


def _private(path: Path, flags: int) -> int:
    """A new file only its owner may read, whatever the umask; one that is there stays as it is."""
    return os.open(path, flags, 0o600)


def writing_engine(path: Path | None, part: Part = MAIN) -> Engine:
    """An engine with one connection. None: in memory, for simulations. A new file is its owner's alone."""
    if path is not None:
        # SQLite gives the files beside it (-wal, -shm) the mode of the database itself.
        os.close(_private(path, os.O_RDWR | os.O_CREAT))
    engine = create_engine(
        f"sqlite+pysqlite:///{path}" if path else "sqlite+pysqlite://",
        poolclass=StaticPool,
        hide_parameters=True,  # a parameter may be a secret, and an error may be logged
        connect_args={"check_same_thread": False, "cached_statements": 256},
    )
    engine.dialect.statement_compiler = _Compiler

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        # Transactions are ours to begin: the driver's own habit would commit before DDL.
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "busy_timeout=5000",
            "temp_store=MEMORY",
            f"cache_size=-{part.cache_kib}",
            f"wal_autocheckpoint={part.most_log}",
            f"journal_size_limit={part.most_log * _PAGE}",  # what a reader made of it is given back
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if _BEGUN in connection.get_execution_options():
            return
        # Straight to the driver: what SQLAlchemy does for a statement costs more than a small batch's inserts.
        connection.connection.driver_connection.execute("BEGIN IMMEDIATE")  # type: ignore[union-attr]

    return engine


class _Compiler(SQLiteCompiler):
    """Knows `INDEXED BY`, which SQLAlchemy leaves out: without statistics SQLite takes an index that is none."""

    @override
    def get_from_hint_text(self, table: FromClause, text: str | None) -> str | None:
        return text


def reading_engine(path: Path, clock: Clock, part: Part = MAIN, *, limit_s: float = 5.0) -> AsyncEngine:
    """Read-only connections, a few at a time; each query sees one consistent state, and of a part that says so all
    queries the same.

    A connection that was handed out longer than `limit_s` ago has its query interrupted: no reader may keep the WAL
    from being checkpointed, or a page from the next one.
    """
    engine = create_async_engine(
        f"sqlite+aiosqlite:///file:{path}?mode=ro&uri=true",
        pool_size=4,
        max_overflow=4,
        pool_timeout=5,
        hide_parameters=True,
    )
    engine.dialect.statement_compiler = _Compiler

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        started = [clock.monotonic()]
        connection.run_async(
            lambda real: real.set_progress_handler(lambda: clock.monotonic() - started[0] > limit_s, 10_000)
        )
        if part.reads_one_state:
            connection.isolation_level = None  # else Python's driver begins a transaction before writes only
        record.info["started"] = started
        for pragma in (
            "query_only=1",
            "busy_timeout=5000",
            "temp_store=MEMORY",
            "cache_size=-4096",
            "wal_autocheckpoint=0",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "checkout")
    def handed_out(_connection: Any, record: Any, _proxy: Any) -> None:
        record.info["started"][0] = clock.monotonic()

    if part.reads_one_state:

        @event.listens_for(engine.sync_engine, "begin")
        def one_state(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN")

    return engine


_BEGUN = "heartfly_begun"
"""Of a connection whose transactions begin and end at the driver's, not at SQLAlchemy's."""


_WRAPS = 1 << 32
"""SQLite counts rows in 32 bits."""


class SqliteSession:
    """To SQLAlchemy all of it is one transaction, without an end: to open and close one costs it as much as a ping's
    three statements. It is dropped after a failure, with whatever state that left.
    """

    def __init__(self, engine: Engine, part: Part = MAIN) -> None:
        self._engine = engine
        self._carried_after, self._most_log = part.carried_after, part.most_log
        # Until somebody has looked: of one who is killed each few seconds nobody would ever carry it over, and each of
        # his starts would have more of it to read.
        self._is_long = True
        self._connection: Connection | None = None
        self._carried = self._commits = 0
        """The rows that its connection had written when the log was last carried over, and the commits since."""

    def attempt(self, work: Callable[[Tx], Result]) -> Result:
        if self._connection is None:
            self._connection = self._engine.connect().execution_options(**{_BEGUN: True})
            self._connection.begin()
        driver = driver_of(self._connection)
        driver.execute("BEGIN IMMEDIATE")
        try:
            result = work(Tx(self._connection))
            driver.execute("COMMIT")
        except BaseException:
            if driver.in_transaction:  # SQLite ends it by itself when the disk is full
                driver.execute("ROLLBACK")
            self.close()
            raise
        return result

    def tidy(self) -> None:
        """Carry the log over into the file, if it has grown: each page once, however often it was written meanwhile.

        What cannot be carried over now stays in the log, where it is safe. It begins anew only where all of it was
        carried over and nobody reads it just then: where readers have made it long, each commit looks for that moment.
        """
        if self._connection is None:
            return
        driver = driver_of(self._connection)
        self._commits += 1
        few = (driver.total_changes - self._carried) % _WRAPS < self._carried_after
        if few and self._commits < _MOST_COMMITS and not self._is_long:
            return
        self._carried, self._commits = driver.total_changes, 0
        try:
            _, pages, _ = driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self._is_long = pages > self._most_log
        except sqlite3.Error as error:
            log.warning("checkpoint", error=repr(error))

    def explain(self, error: Exception) -> StoreError | OverloadedError | None:
        cause: BaseException | None = error
        while cause is not None:
            original = cause.orig if isinstance(cause, DBAPIError) else cause
            code = getattr(original, "sqlite_errorcode", 0) & 0xFF
            if code in {_BUSY, _LOCKED}:
                return OverloadedError("another program holds the database; nothing was stored")
            if code == _FULL:
                return OverloadedError("the disk is full; nothing was stored", retry_after=30)
            if code in {_IOERR, _CORRUPT, _NOTADB}:
                # After a failed flush the kernel may have dropped the pages: what is on the disk is unknown.
                return FatalStoreError(f"the database cannot be trusted any more: {original}")
            # SQLite rolls the whole transaction back when the disk is full; undoing the savepoint then fails in turn.
            cause = cause.__context__
        return None

    def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()


def driver_of(connection: Connection) -> sqlite3.Connection:
    driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    return driver
