"""Rows by columns into SQLite, hundreds a statement, where whatever fails fails the whole transaction.

Of each page that a statement of several rows changes SQLite first keeps a copy, by which it would undo that statement
alone: a quarter of what its writer did for an event. Whoever writes here lets no failure pass, so that the transaction
is undone instead, and no copy is needed. All else goes by prepared.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.sqlite import driver_of

_MOST = 512
_STEP = 32
"""Blocks are multiples of it, and the rest is one of its own: few texts, which the driver keeps prepared, and few
statements, after each of which the writer waits for the interpreter."""


class Block:
    """Into one table. `passing`: a row whose key is there already is passed over."""

    def __init__(self, table: sa.Table, *, passing: bool = False) -> None:
        self._table = table
        self._passing = passing
        self._texts: dict[int, str] = {}
        self._one = ""

    def insert(self, tx: Tx, columns: Sequence[Sequence[Any]]) -> int:
        """How many rows were written. `columns`: all of the table's, in its order, with values as the driver has them.

        After an error some of the rows may be written: nobody may catch it before the transaction is undone.
        """
        n, width = len(columns[0]), len(columns)
        values: list[Any] = [None] * (n * width)
        for place, column in enumerate(columns):
            values[place::width] = column  # ValueError: it is longer or shorter than the others
        driver, written, start = driver_of(tx.conn), 0, 0
        while start < n:
            end = start + _at_once(n - start)
            written += driver.execute(self._text(tx, end - start), values[start * width : end * width]).rowcount
            start = end
        return written

    def _text(self, tx: Tx, n: int) -> str:
        text = self._texts.get(n)
        if text is None:
            self._one = self._one or self._of_one(tx)
            marks = self._one[self._one.index("(?") : self._one.index("?)") + 2]
            text = self._texts[n] = self._one.replace(marks, ", ".join([marks] * n))
        return text

    def _of_one(self, tx: Tx) -> str:
        statement: Any = tx.insert(self._table).prefix_with("OR FAIL")
        if self._passing:
            statement = statement.on_conflict_do_nothing()
        return str(statement.compile(dialect=tx.dialect, column_keys=[column.key for column in self._table.columns]))


def _at_once(left: int) -> int:
    """How many of the rows that are left go by the next statement."""
    return min(_MOST, left // _STEP * _STEP or left)
