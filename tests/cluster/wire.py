"""Between a node and the one real PostgreSQL: what is lost on the way, and which clock the database shows.

The session is the production one, with its batch numbers and its second try; its errors are the driver's own, of
connections that the server really ended. A fault may be laid at one statement of a transaction, before the commit,
or behind it, so that its answer is lost. Who stands in the middle of a transaction keeps its locks, until the
server gives up on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError
from typing_extensions import override

from heartfly.db.changes import Tx
from heartfly.db.postgres import PostgresSession, writing_engine
from heartfly.db.rounds import Behind, Values
from heartfly.db.types import instant
from tests.cluster.hub import SECOND, Process

Result = TypeVar("Result")

IDLE = 4 * SECOND
"""So long the server lets a transaction stand; the production session asks for it."""
UNANSWERED = 5 * SECOND
"""After that the operating system gives up on a connection."""
CONNECTING = 3 * SECOND
LOCKED = 2_500_000
"""So long somebody waits for a lock."""
LAST, AFTER = -2, -1
"""At the statement that goes with the commit; behind the commit, before its answer."""

# Unqualified functions are looked for here first, so that production code asks this clock without knowing it.
SCHEMA = """
CREATE SCHEMA sim;
CREATE FUNCTION sim.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS $$ SELECT current_setting('sim.now')::timestamptz $$;
CREATE TABLE sim.seen (check_id bigint, flip_no bigint);
CREATE FUNCTION sim.see() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO sim.seen VALUES (NEW.check_id, NEW.flip_no); RETURN NULL; END $$;
CREATE TRIGGER see AFTER INSERT ON public.flips FOR EACH ROW EXECUTE FUNCTION sim.see();
CREATE TABLE sim.deaf (from_at timestamptz, to_at timestamptz);
CREATE FUNCTION sim.hear() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO sim.deaf VALUES (NEW.from_at, NEW.to_at); RETURN NULL; END $$;
CREATE TRIGGER hear AFTER INSERT OR UPDATE ON public.blind_intervals FOR EACH ROW EXECUTE FUNCTION sim.hear();
"""
# Real time says nothing here: who waits for a lock waits in vain, for nobody else runs meanwhile.
_SETTINGS = "SET lock_timeout = '20ms'; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0"


def furnish_clock(admin: psycopg.Connection) -> None:
    admin.execute(SCHEMA.encode())
    name = admin.execute("SELECT quote_ident(current_database())").fetchone()
    assert name is not None
    admin.execute(f"ALTER DATABASE {name[0]} SET search_path = sim, pg_catalog, public".encode())
    admin.execute("SET synchronous_commit = off; SET timezone = 'UTC'")


@dataclass(frozen=True, slots=True)
class Trap:
    """Where a fault waits for its node: at which statement of which kind of transaction."""

    label: str
    """beat, judge or ping."""
    statement: int
    spring: Callable[[], None]


@dataclass(slots=True)
class Notes:
    """What a transaction would have done, had it been committed."""

    pings: list[tuple[int, bool]] = field(default_factory=list)
    """(seq, whether it flipped)."""
    judged: list[tuple[int, int]] = field(default_factory=list)
    """(how many checks, how many flips)."""


class Line:
    """One node's way to the database. It stays while one life of the node follows the other."""

    def __init__(self, url: str, admin: psycopg.Connection) -> None:
        self._admin = admin
        self.process: Process
        self.committed: Callable[[Notes], None] = lambda _: None
        self.cut = False
        self.trap: Trap | None = None
        self.label = ""
        self.notes = Notes()
        self._waiting: list[Any] = []
        self._pid: int | None = None
        self._n = 0
        self._in_transaction = False
        self._n_statements = 0
        self._passing = False
        self.engine = writing_engine(url)
        event.listen(self.engine, "do_connect", self._connects)
        event.listen(self.engine, "connect", self._connected)
        event.listen(self.engine, "before_cursor_execute", self._statement)

    # --- faults

    def mend(self) -> None:
        self.cut = False
        waiting, self._waiting = self._waiting, []
        for seat in waiting:
            self.process.wake(seat)

    def end_connection(self) -> None:
        """By the server: what was under way is undone, and its locks are free."""
        pid, self._pid = self._pid, None
        if pid is not None:
            self._admin.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])

    def _reach(self, *, limit: int) -> bool:
        """Whether the server hears of what is sent now, at once or by then."""
        self.process.must_live()
        if self.cut:
            self._server_waits()
            seat = self.process.seat()
            self._waiting.append(seat)
            self.process.stand(seat, until=self.process.hub.now + limit)
        return not self.cut

    def _server_waits(self) -> None:
        if self._in_transaction:
            self.process.hub.at(self.process.hub.now + IDLE, self._give_up, self._n)

    def _give_up(self, n: int) -> None:
        if self._in_transaction and self._n == n and (self.cut or self.process.paused):
            self.end_connection()

    def _trap_here(self, *, committed: bool = False) -> Trap | None:
        here = self.trap is not None and self.trap.label == self.label and (committed or self._in_transaction)
        return self.trap if here else None

    def _spring(self, trap: Trap) -> None:
        self.trap = None
        self.process.hub.at(self.process.hub.now, trap.spring)
        self._server_waits()
        self.process.sleep(0)

    # --- one transaction

    def begin(self) -> None:
        self.notes, self._n, self._n_statements, self._in_transaction = Notes(), self._n + 1, 0, True

    def end(self) -> None:
        self._in_transaction = False

    def _connects(self, *_: object) -> None:
        if not self._reach(limit=CONNECTING):
            raise psycopg.OperationalError("connection timeout expired")

    def _connected(self, connection: Any, _record: object) -> None:
        self._pid = connection.info.backend_pid
        connection.execute(_SETTINGS)
        connection.commit()

    def _statement(self, _conn: Connection, cursor: Any, statement: str, *_: object) -> None:
        if self._passing:
            return
        last = statement.startswith("UPDATE node_batches")
        trap = self._trap_here()
        # One that has fewer statements than it asks for meets it at its last.
        if trap is not None and trap.statement != AFTER and (last or trap.statement == self._n_statements):
            self._spring(trap)
        self._n_statements += 1
        if not self._reach(limit=UNANSWERED):
            self.end_connection()  # the driver hears of it as it sends this
        elif "clock_timestamp" in statement:
            now = instant(self.process.hub.now).isoformat()
            cursor.connection.execute("SELECT set_config('sim.now', %s, false)", [now])

    def answered(self, connection: Connection) -> None:
        """It is committed. Its node may never hear so."""
        self._in_transaction = False
        self.committed(self.notes)
        trap = self._trap_here(committed=True)
        if trap is not None and trap.statement == AFTER:
            self._spring(trap)
        if not self._reach(limit=UNANSWERED):
            self.end_connection()
        if self._pid is None:
            self._passing = True
            try:
                connection.exec_driver_sql("SELECT 1")
            finally:
                self._passing = False


class _Answers(Behind):
    def __init__(self, connection: Connection, line: Line) -> None:
        super().__init__(connection)
        self._to = connection
        self._line = line

    @override
    def commit(self, text: str, values: Values) -> None:
        super().commit(text, values)
        self._line.answered(self._to)


class Session(PostgresSession):
    def __init__(self, line: Line, *, node_id: int) -> None:
        super().__init__(line.engine, node_id=node_id, lane=0)
        self._line = line

    @override
    def _once(self, work: Callable[[Tx], Result]) -> Result:
        self._line.begin()
        try:
            return super()._once(work)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == "55P03":
                self._line.process.sleep(LOCKED)
            raise
        finally:
            self._line.end()

    @override
    def _open(self, *, keep_number: bool = False) -> tuple[Connection, Behind]:
        connection, behind = super()._open(keep_number=keep_number)
        if not isinstance(behind, _Answers):
            self._behind = behind = _Answers(connection, self._line)
        return connection, behind
