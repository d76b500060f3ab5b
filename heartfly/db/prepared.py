"""Statements that run thousands of times a second: compiled once, their values converted here.

SQLAlchemy looks at a statement anew each time, and at each row for each column: for a ping that is five
times what the database does. Here it writes the SQL, names the types and the errors; what runs each time is
the conversion of those values whose types need one, and on SQLite the driver itself.

SQLite's driver lets go of the interpreter for each row that it writes, and gets it back only when the other threads
make room: half a millisecond each time, while they compute. So many rows go in as one. (To read many as one, as
JSON, costs as much as it saves.) PostgreSQL parses, plans and answers each statement, and so it gets many rows as one
list a column.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ARRAY, Dialect
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.changes import Tx
from heartfly.db.lists import as_one, list_text, listed
from heartfly.db.plans import Plan, Statement, converted, named, plan_of
from heartfly.db.rounds import send
from heartfly.db.types import Json


class Prepared:
    """`make` is asked once for each kind of database. An insert takes a value for each column of its table.

    `apart`: no two rows of one run touch the same row of the table, so that an update may change them all at once, and
    on PostgreSQL an insert that changes what is there. `locked`: nobody else can touch them meanwhile, so that
    PostgreSQL may update them in any order; else two that update the same rows could wait for each other.
    `anew`: where it is asked together with others, PostgreSQL plans it each time, for the sizes that tables have then.
    """

    def __init__(
        self, make: Callable[[Tx], Statement], *, apart: bool = False, locked: bool = False, anew: bool = False
    ) -> None:
        self._make = make
        self._apart = apart
        self._locked = locked
        self._anew = anew
        self._plans: dict[str, Plan] = {}

    def run(self, tx: Tx, rows: Sequence[Mapping[str, Any]]) -> int:
        """Run it as if once for each row of parameters, in order. Returns how many rows it wrote."""
        if not rows:
            return 0
        plan = self._plan(tx)
        return self._run(tx, plan, plan.parameters(rows))

    def follow(self, tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
        """As `run`, where nobody asks how many: PostgreSQL gets it with what comes next. If it fails, that fails."""
        if tx.behind is None or not rows:
            self.run(tx, rows)
            return
        plan = self._plan(tx)
        tx.behind.put(*plan.given(plan.parameters(rows)))

    def fill(
        self,
        tx: Tx,
        n: int,
        *,
        each: Mapping[str, Sequence[Any]],
        same: Mapping[str, Any],
        convert: Collection[str] = (),
    ) -> int:
        """As `run` for `n` rows that are given by columns, of which many are the same in all.

        `each` has a value for each row, as the driver takes it (and as `Found` holds it), but for the columns that are
        to be converted, which know no None; `same` has one for all of them, as Python has it.
        """
        if not n:
            return 0
        plan = self._plan(tx)
        return self._run(tx, plan, plan.filled(n, each, same, frozenset(convert)))

    def _run(self, tx: Tx, plan: Plan, values: list[Any]) -> int:
        if not plan.positional:
            return self._sent(tx, *plan.given(values))
        driver = _sqlite(tx)
        with _told_as_ever(tx, plan):
            if plan.many is None or len(values) == 1:
                return driver.executemany(plan.sql, values).rowcount
            written = start = 0
            while start < len(values):
                # By powers of two: a few texts serve for any number of rows, and the driver keeps them prepared.
                n = min(1 << (len(values) - start).bit_length() - 1, plan.most)
                some = list(chain.from_iterable(values[start : start + n]))
                written += driver.execute(plan.many(n), some).rowcount
                start += n
            return written

    def add(self, tx: Tx, columns: Mapping[str, Sequence[Any]]) -> int:
        """As `run`, of an insert whose rows are told column by column, all of one length: in a third of the time."""
        plan = self._plan(tx)
        at_once, values = _by_columns(plan, columns)
        if at_once:
            return self._sent(tx, *at_once)
        return self._run(tx, plan, values) if values else 0

    def follow_by_columns(self, tx: Tx, columns: Mapping[str, Sequence[Any]]) -> None:
        """As `follow`, told as to `add`."""
        if tx.behind is None:
            self.add(tx, columns)
            return
        plan = self._plan(tx)
        at_once, values = _by_columns(plan, columns)
        if at_once or values:
            tx.behind.put(*(at_once or plan.given(values)))

    @staticmethod
    def _sent(tx: Tx, text: str, values: Any) -> int:
        """To PostgreSQL, in one round with what waits."""
        if tx.behind is not None and tx.behind.waits:
            return tx.behind.run(text, values)
        return tx.conn.exec_driver_sql(text, values).rowcount

    def one(self, tx: Tx, **values: Any) -> tuple[str, Any]:
        """To PostgreSQL: the text, and one row of parameters, for who sends them himself."""
        plan = self._plan(tx)
        return plan.given(plan.parameters([values]))

    def rows(self, tx: Tx, **values: Any) -> list[Any]:
        """What a select finds, as named tuples."""
        found = self.found(tx, **values)
        return found.told(found.rows)

    def found(self, tx: Tx, **values: Any) -> Found:
        """What a select finds, as the driver hands it out: for who needs few values of many rows."""
        return self._found(tx, self._plan(tx), values)

    def _found(self, tx: Tx, plan: Plan, values: Mapping[str, Any]) -> Found:
        if plan.positional:
            with _told_as_ever(tx, plan):
                return Found(plan, _sqlite(tx).execute(plan.sql, plan.parameters([values])[0]).fetchall())
        with tx.conn.exec_driver_sql(plan.sql, plan.parameters([values])[0]) as result:
            return Found(plan, list(result.cursor.fetchall()))  # SQLAlchemy's own rows would be made for nothing

    def _plan(self, tx: Tx) -> Plan:
        return self._plans.get(tx.dialect.name) or self.plan(tx.dialect, tx)

    def plan(self, dialect: Dialect, tx: Any = None) -> Plan:
        """For who runs it himself; `make` is asked with `tx`."""
        plan = self._plans.get(dialect.name)
        if plan is None:
            plan = self._plans[dialect.name] = plan_of(self._make(tx), dialect, apart=self._apart, locked=self._locked)
        return plan


def _by_columns(plan: Plan, columns: Mapping[str, Sequence[Any]]) -> tuple[tuple[str, Any] | None, list[Any]]:
    """The text for all of them with what goes with it, or their rows."""
    ordered = plan.in_order(columns)
    lengths = {len(column) for column in ordered}
    if plan.listed and not plan.positional and len(lengths) == 1 and lengths.pop() > 1:
        return (plan.listed, {name: list_text(one) for name, one in zip(plan.names, ordered, strict=True)}), []
    rows: list[Any] = list(zip(*ordered, strict=True))
    return None, rows if plan.positional else [dict(zip(plan.names, row, strict=True)) for row in rows]


def asked(tx: Tx, *questions: tuple[Prepared, Mapping[str, Any]]) -> list[Found]:
    """What each of several selects finds, one after the other; PostgreSQL is asked in one round.

    Each sees what was committed when its own turn came: behind one that waits for a lock, what the lock stood for.
    """
    plans = [prepared._plan(tx) for prepared, _ in questions]  # noqa: SLF001 - of this module
    if not tx.on_postgres:
        return [one._found(tx, plan, values) for plan, (one, values) in zip(plans, questions, strict=True)]  # noqa: SLF001
    first = tx.behind.taken() if tx.behind is not None else []
    texts = [(plan.sql, plan.parameters([values])[0]) for plan, (_, values) in zip(plans, questions, strict=True)]
    anew = {plan.sql for plan, (one, _) in zip(plans, questions, strict=True) if one._anew}  # noqa: SLF001
    found = send(tx.conn, first, texts, anew=anew)
    return [Found(plan, rows) for plan, rows in zip(plans, found, strict=True)]


class Together:
    """Several that write into different tables, one after the other; to PostgreSQL they are one statement."""

    def __init__(self, *parts: Prepared) -> None:
        self._parts = parts
        self._texts: dict[tuple[int, ...], str] = {}

    def follow(self, tx: Tx, *rows: Sequence[Mapping[str, Any]]) -> None:
        """Those of each part, in the order of the parts; to PostgreSQL with what comes next, as of Prepared."""
        told = [place for place, some in enumerate(rows) if some]
        if not tx.on_postgres or len(told) < 2:
            for part, some in zip(self._parts, rows, strict=True):
                part.follow(tx, some)
            return
        plans = {place: self._parts[place]._plan(tx) for place in told}  # noqa: SLF001 - of this module
        text = self._texts.get(tuple(told))
        if text is None:
            text = self._texts[tuple(told)] = as_one({place: plan.listed for place, plan in plans.items()})
        given: dict[str, str] = {}
        for place, plan in plans.items():
            given |= listed(plan.parameters(rows[place]), plan.names, of=place)
        if tx.behind is None:
            tx.conn.exec_driver_sql(text, given)
        else:
            tx.behind.put(text, given)


@dataclass(frozen=True, slots=True)
class Found:
    """Rows as the driver has them: on SQLite an instant is a number. They compare as what they mean does."""

    plan: Plan
    rows: list[tuple[Any, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        return self.plan.columns

    def pick(self, *names: str) -> Callable[[Sequence[Any]], Any]:
        """Takes the values of these columns, two or more, out of a row."""
        return itemgetter(*map(self.names.index, names))

    def told(self, rows: Sequence[Sequence[Any]]) -> list[Any]:
        """Some of the rows as named tuples, each value as Python has it."""
        return self.plan.converted(rows)

    def parts(self, rows: Iterable[Sequence[Any]], *names: str) -> list[Any]:
        """As `told`, of these columns only, two or more: nothing else is converted."""
        make = named("Part", names)
        converts = dict(self.plan.results)
        places = [(place, converts.get(self.names.index(name))) for place, name in enumerate(names)]
        return converted(map(self.pick(*names), rows), make, [(at, how) for at, how in places if how is not None])

    def value(self, name: str, stored: Any) -> Any:
        """One value of this column as Python has it."""
        convert = dict(self.plan.results).get(self.names.index(name))
        return stored if stored is None or convert is None else convert(stored)


def _sqlite(tx: Tx) -> sqlite3.Connection:
    """The driver's connection. PostgreSQL's statements go through SQLAlchemy, which notices a connection that broke."""
    connection: sqlite3.Connection = tx.conn.connection.driver_connection  # type: ignore[assignment]
    return connection


class _told_as_ever:  # noqa: N801 - reads as a verb
    """What the driver raises, raised as SQLAlchemy raises it. A class: a generator would cost more than a statement."""

    __slots__ = ("_plan", "_tx")

    def __init__(self, tx: Tx, plan: Plan) -> None:
        self._tx = tx
        self._plan = plan

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise sa.exc.DBAPIError.instance(
                self._plan.sql, None, error, sqlite3.Error, hide_parameters=True, dialect=self._tx.conn.dialect
            ) from error


def among(
    where: Tx | sa.Connection | AsyncConnection, column: sa.ColumnElement[Any], name: str
) -> sa.ColumnElement[bool]:
    """`column IN (…)` for a list of any length as one parameter, so that it is one and the same statement."""
    if where.dialect.name == "postgresql":
        return column == sa.any_(sa.bindparam(name, type_=ARRAY(column.type)))
    listed = sa.func.json_each(sa.bindparam(name, type_=Json())).table_valued("value")
    return column.in_(sa.select(listed.c.value))
