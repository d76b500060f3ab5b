"""Long reads of one state, in whatever process: for work that goes through much of the data, away from the server's.

The connection can neither write nor checkpoint. Whoever opens one in another process is told where (`Place`).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Engine, Select, create_engine, event, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import NullPool
from sqlalchemy.types import NullType

from heartfly.db import postgres
from heartfly.db.parts import Part


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part of the data is. `path` None: it is PostgreSQL's, at `url`."""

    url: str
    path: Path | None
    part: Part


@contextmanager
def snapshot(place: Place) -> Iterator[Connection]:
    """Everything that is read through it is of one instant, that of its first query."""
    connection = _engine(place).connect()
    try:
        yield connection
    finally:
        _give_back(connection, place)


# A day is closed by some sixty short looks. To open a connection to PostgreSQL for each, where a process begins that
# has to learn of all tables, takes as long as to look; so one waits for the next, as long as somebody asks for that.
_LOCK = threading.Lock()
_kept: Counter[Place] = Counter()
_waiting: set[Place] = set()
_keeps_all = False


def _give_back(connection: Connection, place: Place) -> None:
    with _LOCK:  # whoever lets go of the place at this moment finds that the connection waits, or it waits for nobody
        if place.path is None and not connection.invalidated:
            if _keeps_all or _kept[place]:
                _waiting.add(place)
            else:
                connection.detach()
        connection.close()


def keep(place: Place) -> None:
    """Until `let_go` was called as often."""
    with _LOCK:
        _kept[place] += 1


def let_go(place: Place) -> None:
    with _LOCK:
        _kept[place] -= 1
        if not _kept[place]:
            del _kept[place]
            if place in _waiting:
                _waiting.discard(place)
                _engine(place).dispose()


def keep_all() -> None:
    """In a process that does nothing but look, and ends when there is nothing to look at."""
    global _keeps_all  # noqa: PLW0603 - what a process is for
    _keeps_all = True


@lru_cache(maxsize=32)
def _engine(place: Place) -> Engine:
    """Kept: a new one asks PostgreSQL five questions about itself first, and makes the SQL of each statement anew."""
    if place.path is None:
        return postgres.snapshot_engine(place.url, place.part)
    # The path is percent-encoded: a `?` in a directory's name would begin the parameters.
    address = f"{place.path.absolute().as_uri()}?mode=ro&uri=true"
    engine = create_engine(f"sqlite+pysqlite:///{address}", poolclass=NullPool, hide_parameters=True)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _configure(connection: Any, _: object) -> None:
    connection.isolation_level = None
    for pragma in (
        "query_only=1",
        "busy_timeout=5000",
        "temp_store=MEMORY",
        "cache_size=-8192",
        "wal_autocheckpoint=0",
    ):
        connection.execute(f"PRAGMA {pragma}")


PAGE = 5_000
"""Rows: some megabytes, and some 20 ms of computing."""


def pages(connection: Connection, query: Select[Any]) -> Iterator[Sequence[Any]]:
    """All rows, as the driver hands them out: plain tuples, whose values nobody has converted (`as_read`).

    SQLAlchemy's own rows cost as much as what is done with them, where there are millions.
    """
    bare = query.with_only_columns(
        *(type_coerce(column, NullType()) for column in query.selected_columns), maintain_column_froms=True
    )
    if connection.dialect.name == "postgresql":
        with connection.execute(bare, execution_options={"yield_per": PAGE}) as streamed:
            yield from streamed.partitions()
        return
    # SQLite finds each row as it is asked for it. Were SQLAlchemy to buffer, as options of a connection stay with it, a
    # first row would be taken from the driver.
    with connection.execute(bare, execution_options={"yield_per": None, "stream_results": False}) as found:
        while page := found.cursor.fetchmany(PAGE):
            yield page


def as_read(connection: Connection | AsyncConnection, column: Column[Any]) -> Callable[[Any], Any]:
    """What makes of the driver's value the column's."""
    convert = column.type.dialect_impl(connection.dialect).result_processor(connection.dialect, None)
    return convert or _as_it_is


def as_stored(connection: Connection | AsyncConnection, column: Column[Any]) -> Callable[[Any], Any]:
    """What makes of a value the driver's, so that many can be compared without being converted."""
    return column.type.dialect_impl(connection.dialect).bind_processor(connection.dialect) or _as_it_is


def _as_it_is(value: Any) -> Any:
    return value
