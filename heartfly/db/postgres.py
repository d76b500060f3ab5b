"""PostgreSQL through psycopg 3: the same commands, with row locks and bounded waits.

Refuses a server that would lose acknowledged rows. A commit whose answer was lost is settled by the
batch number that each batch writes with its work; where it cannot be, as the server is away, whoever keeps the work
for later settles it by the same number (`was_committed`).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from heartfly.db.changes import Tx
from heartfly.db.lookup import Lookup
from heartfly.db.models import node_batches
from heartfly.db.parts import MAIN, Part
from heartfly.db.prepared import Prepared
from heartfly.db.rounds import Behind
from heartfly.db.types import to_json
from heartfly.errors import AwayError, OverloadedError, StoreError

Result = TypeVar("Result")

# Who waits for a lock waits twice, and longer in all than a transaction may stand still: a node that is paused or cut
# off in the middle of one holds no other up for longer, and what waits for it is stored and not refused.
_OPTIONS = "-c timezone=UTC -c lock_timeout=2500 -c statement_timeout=15000 -c tcp_user_timeout=5000"
_IDLE = " -c idle_in_transaction_session_timeout="
_WRITER_IDLE = f"{_IDLE}4000"
"""Between two statements of a writer there is nothing but computing."""
_TRY_AGAIN = {"40001", "40P01", "55P03"}  # serialization failure, deadlock, lock not available
_CANCELED = "57014"  # a statement that took too long: somebody is there
_LIFELINES: dict[str, Any] = {
    "connect_timeout": 3,
    # Of our end of the line; _OPTIONS are the server's. A machine that is gone sends no farewell.
    "tcp_user_timeout": 5000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
_LANES_APART = 100
"""A lane whose last commit is unknown is left as it is, and the next one is so far from it."""


def writing_engine(url: str, part: Part = MAIN) -> Engine:
    """StoreError where the driver is missing, as nobody has asked for the extra."""
    if importlib.util.find_spec("psycopg") is None:
        needed = "the extra `postgres` of Heartfly (pip install 'heartfly[postgres]')"
        raise StoreError(f"database.url: PostgreSQL needs {needed}")
    return create_engine(
        url,
        poolclass=NullPool,
        json_serializer=to_json,
        hide_parameters=True,  # a parameter may be a secret, and an error may be logged
        isolation_level="READ COMMITTED",
        connect_args={"options": _options(part) + _WRITER_IDLE, "prepare_threshold": 2, **_LIFELINES},
    )


def reading_engine(url: str, part: Part = MAIN) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_size=4,
        max_overflow=4,
        pool_timeout=5,
        pool_pre_ping=True,
        hide_parameters=True,
        isolation_level="REPEATABLE READ",  # said with BEGIN: a question of its own would be one more of four
        connect_args={
            "options": f"{_options(part)} -c default_transaction_read_only=on -c statement_timeout=5000{_IDLE}30000",
            "connect_timeout": 3,
        },
    )


def lookup(url: str, part: Part = MAIN) -> Lookup:
    options = f"{_options(part)} -c default_transaction_read_only=on -c statement_timeout=5000"
    return Lookup(url, options=options, **_LIFELINES)


def snapshot_engine(url: str, part: Part) -> Engine:
    """For long reads: a query may take minutes, and all that a connection reads is of one instant. One waits for the
    next; of those that look at one time, each gets one.
    """
    options = " -c default_transaction_read_only=on -c statement_timeout=600000"
    return create_engine(
        url,
        pool_size=1,
        max_overflow=-1,
        pool_pre_ping=True,
        hide_parameters=True,
        isolation_level="REPEATABLE READ",
        connect_args={
            "options": f"{_options(part)}{options}{_IDLE}600000",
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


class UnsettledError(Exception):
    """A commit was sent, no answer came, and nobody can be asked now: it may be in the database or not."""

    def __init__(self, lane: int, batch: int) -> None:
        super().__init__(f"lane {lane}, batch {batch}")
        self.lane = lane
        self.batch = batch


def last_batch(tx: Tx, node_id: int, lane: int) -> int:
    """The number of the last batch that came through; waits for one that is being committed. 0: none ever."""
    query = sa.select(node_batches.c.last_batch).where(node_batches.c.node_id == node_id, node_batches.c.lane == lane)
    number: int | None = tx.conn.execute(query.with_for_update()).scalar_one_or_none()
    return number or 0


class PostgresSession:
    """`lane` numbers this process's writing connections; (node, lane) owns a row of batch numbers."""

    def __init__(self, engine: Engine, *, node_id: int, lane: int) -> None:
        self._engine = engine
        self._node_id = node_id
        self._lane = lane
        self._connection: Connection | None = None
        self._behind: Behind | None = None
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
        connection, behind = self._open()
        self._batch += 1
        committing = False
        try:
            transaction = connection.begin()
            try:
                tx = Tx(connection, behind=behind)
                result = work(tx)
                committing = True
                behind.commit(*_NUMBER.one(tx, b_node=self._node_id, b_lane=self._lane, last_batch=self._batch))
                transaction.commit()  # the driver has done so; SQLAlchemy has yet to hear of it
            except BaseException:
                behind.forget()
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
        try:
            connection, _ = self._open(keep_number=True)
            last = last_batch(Tx(connection), self._node_id, self._lane)
            connection.rollback()
        except (DBAPIError, StoreError) as error:
            unsettled = UnsettledError(self._lane, self._batch)
            self.close()
            self._lane += _LANES_APART
            raise unsettled from error
        return last == self._batch

    def _open(self, *, keep_number: bool = False) -> tuple[Connection, Behind]:
        if self._connection is None or self._behind is None:
            connection = self._engine.connect()
            try:
                with connection.begin():
                    refuse_forgetful(connection)
                    connection.execute(
                        insert(node_batches)
                        .values(node_id=self._node_id, lane=self._lane, last_batch=0)
                        .on_conflict_do_nothing()
                    )
                    last = last_batch(Tx(connection), self._node_id, self._lane)
            except BaseException:
                connection.close()
                raise
            self._connection, self._behind = connection, Behind(connection)
            if not keep_number:
                self._batch = last
        return self._connection, self._behind

    def tidy(self) -> None:
        """The server does it by itself."""

    def explain(self, error: Exception) -> StoreError | OverloadedError | None:
        if isinstance(error, UnsettledError):
            return AwayError("the database is away", maybe=(error.lane, error.batch))
        if isinstance(error, DBAPIError):
            state = _sqlstate(error)
            if state in _TRY_AGAIN or state == _CANCELED:
                return OverloadedError("the database is busy; nothing was stored")
            if error.connection_invalidated or _is_away(error, state):
                return AwayError("the database is away; nothing was stored")
            if state is not None and state[:2] == "53":
                return OverloadedError("the database has no room; nothing was stored", retry_after=30)
        return None

    def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.invalidate()
            connection.close()


def _is_away(error: DBAPIError, state: str | None) -> bool:
    """Without a state it is the driver's own: a server that it cannot reach, or a value that it cannot send."""
    if state is None:
        return isinstance(error, OperationalError | InterfaceError)
    return state[:2] in {"08", "57"}


def _sqlstate(error: DBAPIError) -> str | None:
    state: str | None = getattr(error.orig, "sqlstate", None)
    return state
