"""A new key for all secrets at rest, batch by batch; at no moment is there a secret that the key file does not open.

    1. a new key is put before the old one in the key file
    2. each sealed value is opened and sealed with the new one, a transaction for each batch
    3. all are read once more: only when the new key alone opens each of them the old one goes

Killed anywhere, the file holds both, so a server can start; run again, it goes on with the key that was made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.models import metadata
from heartfly.db.models.base import APART
from heartfly.errors import StoreError
from heartfly.sealing import Sealer, new_key, read_keys, write_keys

Step = Callable[[str], None]

_BATCH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """`resumed`: an earlier run had not ended."""

    n_secrets: int
    n_resealed: int
    resumed: bool


def sealed_columns() -> Iterator[tuple[sa.Table, sa.Column[Any]]]:
    """Every column of sealed values: by the house's rule their names end in `_enc`."""
    for table in metadata.sorted_tables:
        for column in table.columns:
            if column.name.endswith("_enc"):
                yield table, column


def rotate(database: Database, key_file: Path, *, step: Step = lambda _: None) -> Rotated:
    """`step` is told what is done next. Nobody may serve the database. StoreError: a secret that no key opens."""
    keys = read_keys(key_file)
    resumed = len(keys) > 1
    if not resumed:
        keys = [new_key(), *keys]
        step("put the new key before the old one")
        write_keys(key_file, keys)
    work = _Work(database, both=Sealer(keys), new=Sealer(keys[:1]), step=step)
    n_resealed = sum(work.reseal(table, column) for table, column in sealed_columns())
    n_secrets = sum(work.verify(table, column) for table, column in sealed_columns())
    step("let the old key go")
    write_keys(key_file, keys[:1])
    step("done")
    return Rotated(n_secrets=n_secrets, n_resealed=n_resealed, resumed=resumed)


def _for(sealer: Sealer, column: sa.Column[Any]) -> Sealer:
    purpose: str | None = column.info.get(APART)
    return sealer if purpose is None else sealer.apart(purpose)


class _Work:
    def __init__(self, database: Database, *, both: Sealer, new: Sealer, step: Step) -> None:
        self._database = database
        self._both = both
        self._new = new
        self._step = step

    def reseal(self, table: sa.Table, column: sa.Column[Any]) -> int:
        """How many had to be sealed anew."""
        n, after = 0, None
        while True:
            self._step(f"reseal {table.name}.{column.name}")
            rows, changed = self._database.transaction(lambda tx, after=after: self._batch(tx, column, after))  # type: ignore[misc]
            n += changed
            if not rows:
                return n
            after = rows[-1]

    def _batch(self, tx: Tx, column: sa.Column[Any], after: Sequence[Any] | None) -> tuple[list[Sequence[Any]], int]:
        table = column.table
        assert isinstance(table, sa.Table)
        keys = list(table.primary_key.columns)
        both, new = (_for(sealer, column) for sealer in (self._both, self._new))
        n, rows = 0, self._rows(tx, column, after)
        for *key, sealed in rows:
            if self._opens(new, sealed):
                continue
            where = [part == value for part, value in zip(keys, key, strict=True)]
            try:
                anew = new.seal(both.open(sealed))
            except StoreError as error:
                raise StoreError(f"{table.name} {'/'.join(map(str, key))}: {error}") from error
            # The old value once more: on PostgreSQL somebody might have changed it in between, though nobody should.
            tx.conn.execute(sa.update(table).where(*where, column == sealed).values({column.name: anew}))
            n += 1
        return [row[:-1] for row in rows], n

    def verify(self, table: sa.Table, column: sa.Column[Any]) -> int:
        """How many secrets there are. StoreError: one that the new key alone does not open."""
        n, after, new = 0, None, _for(self._new, column)
        self._step(f"verify {table.name}.{column.name}")
        while True:
            rows = self._database.transaction(lambda tx, after=after: self._rows(tx, column, after))  # type: ignore[misc]
            if not rows:
                return n
            if not all(self._opens(new, row[-1]) for row in rows):
                raise StoreError(f"{table.name}: a secret was written with the old key meanwhile; stop who serves")
            n, after = n + len(rows), rows[-1][:-1]

    @staticmethod
    def _rows(tx: Tx, column: sa.Column[Any], after: Sequence[Any] | None) -> list[Any]:
        """The next ones in the order of their primary key, which comes first, then the value."""
        table = column.table
        assert isinstance(table, sa.Table)
        keys = list(table.primary_key.columns)
        query = sa.select(*keys, column).where(column.is_not(None)).order_by(*keys).limit(_BATCH)
        if after is not None:
            query = query.where(sa.tuple_(*keys) > sa.tuple_(*map(sa.literal, after)))
        return [tuple(row) for row in tx.conn.execute(query)]

    @staticmethod
    def _opens(sealer: Sealer, sealed: bytes) -> bool:
        try:
            sealer.open(sealed)
        except StoreError:
            return False
        return True
