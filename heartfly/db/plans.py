"""What is known of a statement once it is compiled: its text, the order of its values, and how each value is converted.

Which statements those are, and how they are run, is decided in prepared.py.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ARRAY, Dialect
from sqlalchemy.types import TypeEngine

from heartfly.db.lists import by_lists, list_text, listed

Convert = Callable[[Any], Any]
Statement = sa.Select[Any] | sa.Insert | sa.Update | sa.Delete
_MOSTLY = 4
_MOST_AT_ONCE = 128
_MOST_VALUES = 16_000
"""Half of what SQLite allows in a statement, since 3.32."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`positional`: the driver wants tuples, else dictionaries. `own`: values that the statement itself holds.

    Conversions stand with their places; most have none. `many`: the text for so many rows at once, at most `most`.
    `listed`: the text for any number of rows, given as a list of values a name; empty: there is none.
    """

    statement: Any
    sql: str
    names: tuple[str, ...]
    pick: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    positional: bool
    own: Mapping[str, Any]
    binds: tuple[tuple[int, Convert], ...]
    columns: tuple[str, ...]
    row: Callable[[Sequence[Any]], Any]
    results: tuple[tuple[int, Convert], ...]
    many: Callable[[int], str] | None
    most: int
    listed: str

    def parameters(self, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        names, pick, binds = self.names, self.pick, self.binds
        if self.positional and not binds and not self.own:
            return list(map(pick, rows))
        found: list[Any] = []
        for row in [{**self.own, **row} for row in rows] if self.own else rows:
            values = list(pick(row))
            for place, convert in binds:
                # Most instants of most rows are unknown: asking here costs a tenth of calling.
                if (value := values[place]) is not None:
                    values[place] = convert(value)
            found.append(values if self.positional else dict(zip(names, values, strict=True)))
        return found

    def given(self, values: list[Any]) -> tuple[str, Any]:
        """To PostgreSQL: the text for these rows, and what goes with it."""
        if self.listed and len(values) > 1:
            return self.listed, listed(values, self.names)
        # One row alone needs no pipeline, which takes another round to the server.
        return self.sql, values if len(values) > 1 else values[0]

    def filled(
        self, n: int, each: Mapping[str, Sequence[Any]], same: Mapping[str, Any], convert: frozenset[str]
    ) -> list[Any]:
        names, binds, own = self.names, dict(self.binds), self.own
        columns: list[Iterable[Any]] = []
        for place, name in enumerate(names):
            how, column = binds.get(place), each.get(name)
            if column is None:
                value = same[name] if name in same else own[name]
                columns.append(repeat(how(value) if how is not None and value is not None else value, n))
            else:
                columns.append(map(how, column) if how is not None and name in convert else column)
        rows = list(zip(*columns, strict=True))
        return rows if self.positional else [dict(zip(names, row, strict=True)) for row in rows]

    def in_order(self, columns: Mapping[str, Sequence[Any]]) -> list[Sequence[Any]]:
        """In the order of the statement."""
        found = [columns[name] for name in self.names]
        for place, convert in self.binds:
            found[place] = _all_by(convert, found[place])
        return found

    def converted(self, rows: Sequence[Sequence[Any]]) -> list[Any]:
        return converted(rows, self.row, self.results)


def converted(
    rows: Iterable[Sequence[Any]], make: Callable[[Sequence[Any]], Any], converts: Sequence[tuple[int, Convert]]
) -> list[Any]:
    found = []
    for row in rows:
        values = list(row)
        for place, convert in converts:
            if (value := values[place]) is not None:
                values[place] = convert(value)
        found.append(make(values))
    return found


@lru_cache
def named(name: str, columns: tuple[str, ...]) -> Callable[[Sequence[Any]], Any]:
    """Makes named tuples of a query's columns."""
    made: Any = namedtuple(name, columns)  # type: ignore[misc]  # noqa: PYI024
    make: Callable[[Sequence[Any]], Any] = made._make
    return make


def _all_by(convert: Convert, column: Sequence[Any]) -> Sequence[Any]:
    """Equal values mostly come again: an instant of a second's events, and that of their receipt."""
    distinct = set(column)
    if len(distinct) * _MOSTLY > len(column):
        return [None if value is None else convert(value) for value in column]
    known = {value: None if value is None else convert(value) for value in distinct}
    return [known[value] for value in column]


def plan_of(statement: Statement, dialect: Dialect, *, apart: bool, locked: bool) -> Plan:
    columns = [column.key for column in statement.table.columns] if isinstance(statement, sa.Insert) else None
    compiled = statement.compile(dialect=dialect, column_keys=columns)
    order = getattr(compiled, "positiontup", None)
    names = tuple(compiled.params if order is None else order)
    selected = list(statement.selected_columns) if isinstance(statement, sa.Select) else []
    found = tuple(str(column.key) for column in selected)
    types = {name: _own(compiled.binds[name].type, dialect) for name in names}
    return Plan(
        statement=statement,
        sql=str(compiled),
        names=names,
        pick=itemgetter(*names) if len(names) > 1 else lambda row: tuple(row[name] for name in names),
        positional=order is not None,
        own={name: compiled.params[name] for name in names if not compiled.binds[name].required},
        binds=_places(_bind(types[name], dialect) for name in names),
        columns=found,
        row=named("Row", found),
        results=_places(_own(column.type, dialect).result_processor(dialect, None) for column in selected),
        many=None if order is None else _for_many(statement, str(compiled), len(names), apart=apart),
        most=min(_MOST_AT_ONCE, 1 << (_MOST_VALUES // max(1, len(names))).bit_length() - 1),
        listed=by_lists(statement, compiled, types, dialect, apart=apart, locked=locked)
        if order is None and isinstance(statement, sa.Insert | sa.Update)
        else "",
    )


def _for_many(statement: Statement, sql: str, n_values: int, *, apart: bool) -> Callable[[int], str] | None:
    """The text that does at once, with the rows' values one after another, what `sql` does for each row."""
    marks = f"({', '.join('?' * n_values)})"
    if isinstance(statement, sa.Insert) and f" VALUES {marks}" in sql:
        return lru_cache(lambda n: sql.replace(f" VALUES {marks}", " VALUES " + ", ".join([marks] * n)))
    if isinstance(statement, sa.Update) and apart:
        changes, _, where = sql.partition(" WHERE ")
        n_changed = changes.count("?")
        for place in range(n_values):
            at_place = f"given.column{place + 1}"
            if place < n_changed:
                changes = changes.replace("?", at_place, 1)
            else:
                where = where.replace("?", at_place, 1)
        return lru_cache(lambda n: f"{changes} FROM (VALUES {', '.join([marks] * n)}) AS given WHERE {where}")
    return None


def _bind(type_: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    """A list is one text."""
    if not isinstance(type_, ARRAY):
        return type_.bind_processor(dialect)
    convert = _own(type_.item_type, dialect).bind_processor(dialect)
    return list_text if convert is None else lambda values: list_text(map(convert, values))


def _own(type_: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    """The type as this database has it."""
    return type_.dialect_impl(dialect)


def _places(converts: Iterable[Convert | None]) -> tuple[tuple[int, Convert], ...]:
    return tuple((place, convert) for place, convert in enumerate(converts) if convert is not None)
