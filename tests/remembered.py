"""What many tests begin with is made once, by the real thing, and for each of the others put in as rows.

To close a day of usage takes seconds, to write the rows of a closed one some milliseconds. Kept by the process, for
each kind of database. Who begins from rows has what a server has that was started anew: nothing in memory, and ids
that follow those that are there.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from heartfly.db.database import Database
from heartfly.db.ids import IdSource

Made = TypeVar("Made")


@dataclass(frozen=True)
class _Kept:
    made: Any
    last_id: int
    rows: Mapping[str, Any]
    """By table: on SQLite the rows, on PostgreSQL what COPY makes of them."""


_kept: dict[tuple[Hashable, ...], _Kept] = {}


async def once(database: Database, ids: IdSource, key: Hashable, make: Callable[[], Awaitable[Made]]) -> Made:
    """What `make` returns, which nobody changes, with all that it writes into this part.

    Whatever the part holds by now, it must hold each time: those rows are replaced by the ones that were remembered.
    """
    of = (database.on_postgres, database.part.name, key)
    if (kept := _kept.get(of)) is None:
        made = await make()
        rows_of: Callable[[Database], Mapping[str, Any]] = _postgres_rows if database.on_postgres else _sqlite_rows
        _kept[of] = _Kept(made, ids._last, await asyncio.to_thread(rows_of, database))
        return made
    await asyncio.to_thread(_into_postgres if database.on_postgres else _into_sqlite, database, kept.rows)
    ids._last = max(ids._last, kept.last_id)
    found: Made = kept.made
    return found


def _file(database: Database) -> sqlite3.Connection:
    assert database.path is not None
    return sqlite3.connect(database.path, timeout=60)


def _sqlite_rows(database: Database) -> dict[str, list[Any]]:
    tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> ?"
    with closing(_file(database)) as file:
        names = [name for (name,) in file.execute(tables, [database.part.version_table])]
        found = {name: file.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}
    return {name: rows for name, rows in found.items() if rows}


def _into_sqlite(database: Database, tables: Mapping[str, list[Any]]) -> None:
    with closing(_file(database)) as file, file:
        for name, rows in tables.items():
            file.execute(f'DELETE FROM "{name}"')
            file.executemany(f'INSERT INTO "{name}" VALUES ({", ".join("?" * len(rows[0]))})', rows)


def _server(database: Database) -> psycopg.Connection:
    return psycopg.connect(database.place.url.replace("+psycopg", ""))


def _postgres_rows(database: Database) -> dict[str, bytes]:
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename <> %s"
    found = {}
    with _server(database) as server:
        for (name,) in server.execute(tables, [database.part.schema, database.part.version_table]).fetchall():
            table = sql.Identifier(database.part.schema, name)
            if server.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(table)).fetchone() is not None:
                with server.cursor().copy(sql.SQL("COPY {} TO STDOUT (FORMAT BINARY)").format(table)) as out:
                    found[name] = b"".join(out)
    return found


def _into_postgres(database: Database, tables: Mapping[str, bytes]) -> None:
    with _server(database) as server:
        server.execute("SET LOCAL session_replication_role = replica")  # in any order, whatever refers to what
        for name, rows in tables.items():
            table = sql.Identifier(database.part.schema, name)
            server.execute(sql.SQL("DELETE FROM {}").format(table))
            with server.cursor().copy(sql.SQL("COPY {} FROM STDIN (FORMAT BINARY)").format(table)) as into:
                into.write(rows)
