"""All that belongs to one project, whatever room it is of: walked table by table along their keys.

A table belongs here by its column `pid`, so none can be forgotten. What the rows mean is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Select, Table

from heartfly.db.changes import Tx
from heartfly.db.models import metadata, projects, usage_metadata
from heartfly.db.models.base import WALK
from heartfly.db.parts import MAIN, Part
from heartfly.errors import NotFoundError

PIECE = 1000
ERASED = "~"
"""A slug that begins with it is of a project that is being erased: no slug that people choose can."""


def demand_living(tx: Tx, pid: int) -> None:
    """For who adds to a project what would live on its own in it. NotFoundError: it is being erased, or is gone.

    Until this transaction ends nobody begins to erase it: a request that was under way leaves nothing behind.
    """
    query = sa.select(projects.c.slug).where(projects.c.id == pid)
    slug = tx.conn.execute(query.with_for_update(read=True, key_share=True) if tx.on_postgres else query).scalar()
    if slug is None or slug.startswith(ERASED):
        raise NotFoundError("there is no such project any more")


def tables(part: Part = MAIN) -> list[Table]:
    of_part = metadata if part is MAIN else usage_metadata
    return [table for table in of_part.sorted_tables if "pid" in table.c]


def is_secret(column: sa.Column[Any]) -> bool:
    """Sealed, or a secret's hash: by the house's rule the name tells. What nobody can read tells nobody anything.

    Ping addresses stand as they are, as each ping is looked up by its own; who knows one can ping.
    """
    by_name = column.name.endswith(("_enc", "_hash")) or column.name in {"hash", "ping_uuid"}
    return by_name or (column.table.name, column.name) == ("addresses", "key")


def keys_of(table: Table) -> list[sa.Column[Any]]:
    """The columns that tell the rows of a project apart, in an order that an index has."""
    return [table.c[name] for name in table.info.get(WALK, ())] or list(table.primary_key.columns)


def piece(table: Table, pid: int, *, columns: Sequence[Any], after: Sequence[Any] | None, limit: int) -> Select[Any]:
    """The next rows in the order of their keys (`keys_of`), which come first."""
    keys = keys_of(table)
    query = sa.select(*keys, *columns).where(table.c.pid == pid).order_by(*keys).limit(limit)
    if after is not None:
        query = query.where(_beyond(keys, after))
    return query


def remove_piece(tx: Tx, table: Table, pid: int, *, after: Sequence[Any] | None) -> Sequence[Any] | None:
    """Remove up to PIECE rows; the key of the last of them, from which to go on. None: that was all."""
    keys = keys_of(table)
    found = [tuple(row) for row in tx.conn.execute(piece(table, pid, columns=(), after=after, limit=PIECE))]
    if not found:
        return None
    through = [sa.not_(_beyond(keys, found[-1]))]
    if after is not None:
        through.append(_beyond(keys, after))
    tx.conn.execute(sa.delete(table).where(table.c.pid == pid, *through))
    return found[-1]


def _beyond(keys: Sequence[sa.Column[Any]], values: Sequence[Any]) -> sa.ColumnElement[bool]:
    """The project's rows behind that key.

    `pid` is bound already: with it in the comparison SQLite begins at the project's first row each time. Values as the
    columns store them: by its own type an instant would be text on SQLite, where the columns have numbers.
    """
    told = [(key, sa.literal(value, key.type)) for key, value in zip(keys, values, strict=True) if key.name != "pid"]
    if not told:
        return sa.false()  # a row a project, which it is
    return sa.tuple_(*(key for key, _ in told)) > sa.tuple_(*(value for _, value in told))
