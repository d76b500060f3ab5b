"""Several statements in one round to PostgreSQL, and writes that go with what is sent next, at the latest the commit.

A round waits for the server, for the wire, and then for the interpreter, which the event loop has meanwhile: most of a
millisecond, of which the server works for a tenth. So what needs no answer waits here until somebody does, in order:
whoever asks through the same connection finds it written. What is asked and written is not decided here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError

Values = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""One row of parameters, or several: then it is run once for each."""


class Behind:
    """What one connection has yet to write. Any other statement of it comes after."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: list[tuple[str, Values]] = []
        event.listen(connection, "before_cursor_execute", self._first)

    def put(self, text: str, values: Values) -> None:
        self._waiting.append((text, values))

    @property
    def waits(self) -> bool:
        return bool(self._waiting)

    def taken(self) -> list[tuple[str, Values]]:
        """What waits; whoever takes it sends it."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def forget(self) -> None:
        """Its transaction is undone, or has ended."""
        self._waiting.clear()

    def run(self, text: str, values: Values) -> int:
        """Send what waits, and this behind it; how many rows this wrote."""
        waiting = self.taken()
        written: int = _sent(self._connection, [*waiting, (text, values)], commits=False)[-1].rowcount
        return written

    def commit(self, text: str, values: Values) -> None:
        """Send what waits, this, and the end of the transaction."""
        send(self._connection, [*self.taken(), (text, values)], commits=True)

    def _first(self, *_: object) -> None:
        if self._waiting:
            send(self._connection, self.taken())


def send(
    connection: Connection,
    writes: Sequence[tuple[str, Values]],
    questions: Sequence[tuple[str, Values]] = (),
    *,
    commits: bool = False,
    anew: Collection[str] = (),
) -> list[list[tuple[Any, ...]]]:
    """The rows that each question found, as the driver hands them out. Each statement sees what those before it wrote,
    and what others had committed when its own turn came. DBAPIError as SQLAlchemy raises it: of the first that failed;
    none behind it was run. `anew`: texts that are not kept prepared.
    """
    cursors = _sent(connection, [*writes, *questions], commits=commits, anew=anew)
    return [cursor.fetchall() for cursor in cursors[len(writes) :]]


def _sent(
    connection: Connection, statements: Sequence[tuple[str, Values]], *, commits: bool, anew: Collection[str] = ()
) -> list[Any]:
    driver: Any = connection.connection.driver_connection
    dbapi: Any = connection.dialect.dbapi
    cursors: list[Any] = []
    try:
        with driver.pipeline() if dbapi.Pipeline.is_supported() else nullcontext():
            for text, values in statements:
                cursors.append(_run(connection, driver.cursor(), text, values, prepare=False if text in anew else None))
            if commits:
                driver.commit()
    except dbapi.Error as error:
        gone = bool(connection.dialect.is_disconnect(error, driver, None))
        if gone:
            connection.invalidate(error)
        raise DBAPIError.instance(
            "; ".join(text for text, _ in statements),
            None,
            error,
            dbapi.Error,
            hide_parameters=True,
            connection_invalidated=gone,
            dialect=connection.dialect,
        ) from error
    return cursors


def _run(connection: Connection, cursor: Any, text: str, values: Values, *, prepare: bool | None) -> Any:
    """`prepare`: as the driver's; None: once it comes again."""
    is_one = isinstance(values, Mapping)
    for tell in connection.dispatch.before_cursor_execute:  # whoever listens hears of these as of all others
        tell(connection, cursor, text, values, None, not is_one)
    if is_one:
        cursor.execute(text, values, prepare=prepare)
    else:
        cursor.executemany(text, values)
    return cursor
