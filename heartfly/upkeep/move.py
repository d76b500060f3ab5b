"""From SQLite to PostgreSQL, while nobody serves: one state is read, written in one transaction, looked at, committed.

Until the commit nobody sees anything of it in the target: a move that was killed, or that found a difference, leaves
empty tables, and can be begun again. The source is only read. What opens the secrets, secret.key, stays where it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from heartfly.db import postgres
from heartfly.db.database import Database
from heartfly.db.migrate import upgrade
from heartfly.db.models import metadata, usage_metadata
from heartfly.db.parts import MAIN, USAGE
from heartfly.db.tenant import keys_of
from heartfly.db.types import Json, canonical, one_spelling
from heartfly.errors import StoreError

Progress = Callable[[str, int, int], None]
"""Told the table that is being copied, how many rows are done in all, and of how many."""

_PIECE = 5000
_SAMPLES = 1000
"""Rows of each table whose contents are compared, spread evenly; of all the rest the number is."""
_CHUNK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    rows: dict[str, int]
    n_compared: int

    @property
    def n_rows(self) -> int:
        return sum(self.rows.values())


def move(source: Database, usage: Database, url: str, *, progress: Progress = lambda _table, _done, _of: None) -> Moved:
    """`source` and `usage` are SQLite's, of this version's schema, and held by us. StoreError: nothing was moved."""
    target, usage_target = postgres.writing_engine(url), postgres.writing_engine(url, USAGE)
    try:
        with _told_plainly():
            upgrade(target)
            upgrade(usage_target, USAGE)
            with source.engine.connect() as old, old.begin(), target.connect() as new, new.begin():
                moved = _Move(old, new, progress, metadata.sorted_tables).run()
                # The same transaction: both arrive, or neither.
                new.exec_driver_sql(f"SET LOCAL search_path TO {USAGE.schema}, {MAIN.schema}")
                with usage.engine.connect() as old_usage, old_usage.begin():
                    moved_usage = _Move(old_usage, new, progress, usage_metadata.sorted_tables).run()
            _analyze(target)
    finally:
        target.dispose()
        usage_target.dispose()
    return Moved(rows=moved.rows | moved_usage.rows, n_compared=moved.n_compared + moved_usage.n_compared)


@contextmanager
def _told_plainly() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise StoreError(f"the move failed: {str(error.orig).strip().splitlines()[0]}") from error


class _Move:
    def __init__(self, old: Connection, new: Connection, progress: Progress, tables: Sequence[sa.Table]) -> None:
        self._old = old
        self._new = new
        self._progress = progress
        self._tables = tables
        self._done = 0

    def run(self) -> Moved:
        tables = self._tables
        self._hold(tables)
        counts = {table.name: _count(self._old, table) for table in tables}
        n_rows, n_compared = sum(counts.values()), 0
        for table in tables:
            samples = self._copy(table, counts[table.name], n_rows)
            if (arrived := _count(self._new, table)) != counts[table.name]:
                raise StoreError(f"{table.name}: {arrived} of {counts[table.name]} rows arrived; nothing was moved")
            n_compared += self._compare(table, samples)
        set_sequences(self._new, tables)
        return Moved(rows=counts, n_compared=n_compared)

    def _hold(self, tables: Sequence[sa.Table]) -> None:
        """Nobody else may write there until we are done. StoreError: somebody has."""
        postgres.refuse_forgetful(self._new)
        for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
            self._new.exec_driver_sql(f"SET LOCAL {limit} = 0")
        names = ", ".join(_quoted(table.name) for table in tables)
        self._new.exec_driver_sql(f"LOCK TABLE {names} IN EXCLUSIVE MODE")
        for table in tables:
            if self._new.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
                raise StoreError(f"the target is in use: its table {table.name} has rows; move to an empty database")

    def _copy(self, table: sa.Table, n: int, of: int) -> dict[tuple[Any, ...], bytes]:
        """Return what to compare: digests of some rows by their primary keys."""
        keys = list(table.primary_key.columns)
        places = [list(table.columns).index(key) for key in keys]
        documents = [place for place, column in enumerate(table.columns) if isinstance(column.type, Json)]
        stride, samples = max(1, n // _SAMPLES), {}
        names = ", ".join(_quoted(column.name) for column in table.columns)
        driver: Any = self._new.connection.driver_connection
        # In an order that an index has: any other is sorted in memory, whole rows of it.
        inorder = keys_of(table)
        found = self._old.execute(sa.select(table).order_by(*inorder), execution_options={"yield_per": _PIECE})
        with (
            self._driver_errors(table),
            driver.cursor() as cursor,
            cursor.copy(f"COPY {_quoted(table.name)} ({names}) FROM STDIN") as copying,
        ):
            for index, row in enumerate(found):
                if index % stride == 0 or index == n - 1:
                    samples[tuple(row[place] for place in places)] = digest(row)
                copying.write_row(_as_sent(row, documents))
                self._done += 1
                if self._done % _PIECE == 0:
                    self._progress(table.name, self._done, of)
        self._progress(table.name, self._done, of)
        return samples

    @contextmanager
    def _driver_errors(self, table: sa.Table) -> Iterator[None]:
        """COPY is the driver's own, so are its errors."""
        import psycopg  # noqa: PLC0415 - an extra; whoever gets here has it

        try:
            yield
        except psycopg.Error as error:
            raise StoreError(f"{table.name}: {str(error).strip().splitlines()[0]}; nothing was moved") from error

    def _compare(self, table: sa.Table, samples: dict[tuple[Any, ...], bytes]) -> int:
        keys = list(table.primary_key.columns)
        places = [list(table.columns).index(key) for key in keys]
        wanted = list(samples)
        for first in range(0, len(wanted), _CHUNK):
            chunk = wanted[first : first + _CHUNK]
            query = sa.select(table).where(sa.tuple_(*keys).in_(chunk))
            found = {tuple(row[place] for place in places): digest(row) for row in self._new.execute(query)}
            for key in chunk:
                if found.get(key) != samples[key]:
                    raise StoreError(f"{table.name}: a row did not arrive as it was; nothing was moved")
        return len(wanted)


def _as_sent(row: Iterable[Any], documents: Sequence[int]) -> list[Any]:
    from psycopg.types.json import Jsonb  # noqa: PLC0415 - an extra; whoever gets here has it

    sent = list(row)
    for place in documents:
        if sent[place] is not None:
            sent[place] = Jsonb(sent[place])
    return sent


def digest(row: Iterable[Any]) -> bytes:
    """The same for rows that mean the same on both databases."""
    told = msgspec.json.encode([_plain(value) for value in row], order="sorted")
    return hashlib.sha256(told).digest()


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case Decimal():
            return canonical(value)
        case bytes():
            return value.hex()
        case _:
            return one_spelling(value)


def _count(connection: Connection, table: sa.Table) -> int:
    n: int = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    return n


def set_sequences(connection: Connection, tables: Iterable[sa.Table]) -> None:
    """Let every sequence go on behind what was copied. Ids of ours come from no sequence, but a table's might."""
    for table in tables:
        for column in table.columns:
            query = sa.select(sa.func.pg_get_serial_sequence(_quoted(table.name), column.name))
            sequence = connection.execute(query).scalar()
            if sequence is not None:
                newest = sa.select(sa.func.max(column)).scalar_subquery()
                behind = sa.func.setval(sequence, sa.func.coalesce(newest, 1), newest.is_not(None))
                connection.execute(sa.select(behind))


def _analyze(target: Engine) -> None:
    """So that the first questions are planned by what is there."""
    with target.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SET statement_timeout = 0")
        connection.exec_driver_sql("ANALYZE")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
