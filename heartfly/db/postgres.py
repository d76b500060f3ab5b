"""PostgreSQL through psycopg 3: the same commands, with row locks and bounded waits.

Refuses a server that would lose acknowledged rows. A commit whose answer was lost is settled by the
batch number that each batch writes with its work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from heartfly.db.changes import Tx
from heartfly.db.models import node_batches
from heartfly.db.parts import MAIN, Part
from heartfly.db.prepared import Prepared
from heartfly.db.types import to_json
from heartfly.errors import OverloadedError, StoreError

Result = TypeVar("Result")

_OPTIONS = (
    "-c timezone=UTC -c lock_timeout=2000 -c statement_timeout=15000"
    " -c idle_in_transaction_session_timeout=30000 -c tcp_user_timeout=5000"
)
_TRY_AGAIN = {"40001", "40P01", "55P03"}  # serialization failure, deadlock, lock not available


def writing_engine(url: str, part: Part = MAIN) -> Engine:
    return create_engine(
        url,
        poolclass=NullPool,
        json_serializer=to_json,
        hide_parameters=True,  # a parameter may be a secret, and an error may be logged
        isolation_level="READ COMMITTED",
        connect_args={"options": _options(part), "connect_timeout": 3, "prepare_threshold": 2},
    )


def reading_engine(url: str, part: Part = MAIN) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=4,
        max_overflow=4,
        pool_timeout=5,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "options": _options(part) + " -c default_transaction_read_only=on -c statement_timeout=5000",
            "connect_timeout": 3,
        },
    )

    @event.listens_for(engine.sync_engine, "begin")
    def one_state(connection: Connection) -> None:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")

    return engine


def snapshot_engine(url: str, part: Part) -> Engine:
    """For long reads: a query may take minutes, and all that a connection reads is of one instant."""
    options = " -c default_transaction_read_only=on -c statement_timeout=600000"
    return create_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,
        isolation_level="REPEATABLE READ",
        connect_args={
            "options": _options(part) + options + " -c idle_in_transaction_session_timeout=600000",
            "connect_timeout": 3,
        },
    )


def _options(part: Part) -> str:
    """A part finds its own tables first, and after them those that serve both, such as the batch numbers."""
    return _OPTIONS if part is MAIN else f"{_OPTIONS} -c search_path={part.schema},{MAIN.schema}"


def refuse_forgetful(connection: Connection) -> None:
    """StoreError unless a commit on this server means "on the disk"."""
    for name in ("fsync", "synchronous_commit"):
        value = connection.exec_driver_sql(f"SHOW {name}").scalar()
        if value == "off":
            raise StoreError(f"PostgreSQL runs with {name}=off: it would lose acknowledged pings; set it to on")


_NUMBER = Prepared(
    lambda _: (
        sa.update(node_batches)
        .where(node_batches.c.node_id == sa.bindparam("b_node"), node_batches.c.lane == sa.bindparam("b_lane"))
        .values(last_batch=sa.bindparam("last_batch"))
    )
)


class PostgresSession:
    """`lane` numbers this process's writing connections; (node, lane) owns a row of batch numbers."""

    def __init__(self, engine: Engine, *, node_id: int, lane: int) -> None:
        self._engine = engine
        self._node_id = node_id
        self._lane = lane
        self._connection: Connection | None = None
        self._batch = 0

    def attempt(self, work: Callable[[Tx], Result]) -> Result:
        try:
            return self._once(work)
        except DBAPIError as error:
            if not (error.connection_invalidated or _sqlstate(error) in _TRY_AGAIN):
                raise
        # A lost connection or a lock conflict: nothing was stored, so the whole batch may run again, once.
        return self._once(work)

    def _once(self, work: Callable[[Tx], Result]) -> Result:
        connection = self._open()
        self._batch += 1
        committing = False
        try:
            transaction = connection.begin()
            try:
                tx = Tx(connection)
                result = work(tx)
                _NUMBER.run(tx, [{"b_node": self._node_id, "b_lane": self._lane, "last_batch": self._batch}])
                committing = True
                transaction.commit()
            except BaseException:
                if transaction.is_active:
                    transaction.rollback()
                raise
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            self.close()
            if committing and self._committed():
                return result
            raise
        return result

    def _committed(self) -> bool:
        """Whether the batch whose commit went unanswered is in the database."""
        connection = self._open(keep_number=True)
        last = self._last(connection)
        connection.rollback()
        return last == self._batch

    def _last(self, connection: Connection) -> int:
        query = sa.select(node_batches.c.last_batch).where(
            node_batches.c.node_id == self._node_id, node_batches.c.lane == self._lane
        )
        number: int = connection.execute(query).scalar_one()
        return number

    def _open(self, *, keep_number: bool = False) -> Connection:
        if self._connection is None:
            connection = self._engine.connect()
            try:
                with connection.begin():
                    refuse_forgetful(connection)
                    connection.execute(
                        insert(node_batches)
                        .values(node_id=self._node_id, lane=self._lane, last_batch=0)
                        .on_conflict_do_nothing()
                    )
                    last = self._last(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
            if not keep_number:
                self._batch = last
        return self._connection

    def tidy(self) -> None:
        """The server does it by itself."""

    def explain(self, error: Exception) -> StoreError | OverloadedError | None:
        if isinstance(error, DBAPIError):
            state = _sqlstate(error)
            if error.connection_invalidated or state is None or state[:2] in {"08", "57"} or state in _TRY_AGAIN:
                return OverloadedError("the database is away; nothing was stored")
            if state[:2] == "53":
                return OverloadedError("the database has no room; nothing was stored", retry_after=30)
        return None

    def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.invalidate()
            connection.close()


def _sqlstate(error: DBAPIError) -> str | None:
    state: str | None = getattr(error.orig, "sqlstate", None)
    return state
