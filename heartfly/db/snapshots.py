"""Long reads of one state, in whatever process: for work that goes through much of the data, away from the server's.

The connection can neither write nor checkpoint. Whoever opens one in another process is told where (`Place`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import NullPool

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
    if place.path is None:
        engine = postgres.snapshot_engine(place.url, place.part)
    else:
        # The path is percent-encoded: a `?` in a directory's name would begin the parameters.
        address = f"{place.path.absolute().as_uri()}?mode=ro&uri=true"
        engine = create_engine(f"sqlite+pysqlite:///{address}", poolclass=NullPool, hide_parameters=True)
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


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
