"""Many rows as one statement on PostgreSQL: a list for each column, which the server takes apart (`unnest`).

Lists go out as texts that are made here: what the driver does for each value in Python costs more than the server's
part. Which statements may be run so is decided in prepared.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ARRAY, Dialect
from sqlalchemy.dialects.postgresql.dml import OnConflictDoNothing
from sqlalchemy.types import NullType, TypeEngine

from heartfly.db.types import to_json


def by_lists(
    statement: sa.Insert | sa.Update,
    compiled: sa.Compiled,
    types: Mapping[str, TypeEngine[Any]],
    dialect: Dialect,
    *,
    apart: bool,
    locked: bool,
) -> str:
    """The text that does at once what `compiled` does for each row; empty: there is none. `types`: of its parameters.

    `apart`, `locked`: as of Prepared.
    """
    if any(isinstance(type_, ARRAY | NullType) for type_ in types.values()):
        return ""  # lists of lists would be taken apart to their last values
    sql = str(compiled)
    casts = {name: type_.compile(dialect=dialect) for name, type_ in types.items()}
    marks = {
        name: f"%({name})s::{cast}" if f"%({name})s::{cast}" in sql else f"%({name})s" for name, cast in casts.items()
    }
    lists = ", ".join(f"%({name})s::{cast}[]" for name, cast in casts.items())
    names = ", ".join(f'"{name}"' for name in casts)
    given = f"unnest({lists}) AS given ({names})"
    if isinstance(statement, sa.Insert):
        clause = statement._post_values_clause  # noqa: SLF001 - what follows the values has no public name
        before, values, after = sql.partition(f" VALUES ({', '.join(marks.values())})")
        # A row that this statement has written it cannot change as well.
        if not values or not (apart or clause is None or isinstance(clause, OnConflictDoNothing)):
            return ""
        return f"{before} SELECT * FROM {given}{after}"  # noqa: S608 - its parts are SQLAlchemy's
    if not (apart and locked):
        return ""
    for name, mark in marks.items():
        sql = sql.replace(mark, f'given."{name}"')
    changes, _, where = sql.partition(" WHERE ")
    return f"{changes} FROM {given} WHERE {where}"


def as_one(texts: Mapping[int, str]) -> str:
    """Several such texts that write into different tables; their parameters have the number of theirs before them."""
    if not all(texts.values()):
        raise ValueError("only what is run by lists can be run as one")
    *before, last = [_NAMED.sub(rf"%({place}_\1)s", text) for place, text in texts.items()]
    return "WITH " + ", ".join(f"part{n} AS ({text})" for n, text in enumerate(before)) + f" {last}"


_NAMED = re.compile(r"%\((\w+)\)s")


def listed(rows: Sequence[Mapping[str, Any]], names: Iterable[str], *, of: int | None = None) -> dict[str, str]:
    """The parameters of such a text; `of`: its number among several. `rows`: with values as the driver takes them."""
    prefix = "" if of is None else f"{of}_"
    return {prefix + name: list_text([row[name] for row in rows]) for name in names}


def list_text(values: Iterable[Any]) -> str:
    """As PostgreSQL reads an array of whatever type they are."""
    some = values if isinstance(values, Sequence) else list(values)
    kinds = set(map(type, some))
    alike = _ALIKE.get(kinds.pop()) if len(kinds) == 1 else None
    if alike is not None and (told := alike(some)) is not None:
        return told
    texts = _texts()
    return "{" + ",".join([texts.get(value.__class__, _other)(value) for value in some]) + "}"


# --- of values that are all of one kind, as whole columns mostly are: in a third of the time

_BETWEEN = "\x1f"
"""Stands in hardly any text."""
_FEW = 4


def _of_texts(values: Sequence[str]) -> str | None:
    joined = _BETWEEN.join(values)
    if joined.count(_BETWEEN) != len(values) - 1:
        return None
    escaped = joined.replace("\\", "\\\\").replace('"', '\\"').replace(_BETWEEN, '","')
    return f'{{"{escaped}"}}'


def _of_bytes(values: Sequence[bytes]) -> str:
    between = '","\\\\x'.join(map(bytes.hex, values))
    return f'{{"\\\\x{between}"}}'


def _of_instants(values: Sequence[datetime]) -> str:
    distinct = set(values)
    if len(distinct) * _FEW > len(values):
        told = map(datetime.isoformat, values)
    else:  # when they came: one instant for each request
        known = {at: at.isoformat() for at in distinct}
        told = map(known.__getitem__, values)
    return '{"' + '","'.join(told) + '"}'


_ALIKE: Mapping[type, Callable[[Sequence[Any]], str | None]] = {
    int: lambda values: "{" + ",".join(map(str, values)) + "}",
    str: _of_texts,
    bytes: _of_bytes,
    datetime: _of_instants,
}


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _other(value: Any) -> str:
    """Of what is one of them by descent, such as a word of an enumeration."""
    for kind in (int, str):
        if isinstance(value, kind):
            return _texts()[kind](kind(value))
    raise TypeError(f"a {type(value).__name__} has no place in a list of PostgreSQL's")


@cache
def _texts() -> Mapping[type, Callable[[Any], str]]:
    from psycopg.types.json import Jsonb  # noqa: PLC0415 - an extra; whoever gets here has it

    return {
        type(None): lambda _: "NULL",
        str: _quoted,
        int: str,
        bool: lambda value: "t" if value else "f",
        float: repr,
        Decimal: str,
        datetime: lambda value: f'"{value.isoformat()}"',
        date: date.isoformat,
        bytes: lambda value: f'"\\\\x{value.hex()}"',
        Jsonb: lambda value: _quoted(to_json(value.obj)),
    }
