"""What a transaction changed, told to whoever waits for it once the commit has returned.

The watcher sleeps until the next deadline and the dispatcher until something is in the outbox;
a write that brings either nearer says so here. Nothing is told before the commit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite

from heartfly.db.rounds import Behind


@dataclass(slots=True)
class Changes:
    wake_at: datetime | None = None
    """The nearest instant at which some written check must be looked at again."""
    outbox: bool = False
    """Notifications were written."""
    jobs: bool = False
    """Somebody asked for a run of a job of ours."""

    def wake(self, at: datetime | None) -> None:
        if at is not None and (self.wake_at is None or at < self.wake_at):
            self.wake_at = at

    def add(self, other: Changes) -> None:
        self.wake(other.wake_at)
        self.outbox = self.outbox or other.outbox
        self.jobs = self.jobs or other.jobs

    def __bool__(self) -> bool:
        return self.outbox or self.jobs or self.wake_at is not None


@dataclass(slots=True)
class Tx:
    """One open write transaction. Commands take it and never commit it themselves."""

    conn: Connection
    changes: Changes = field(default_factory=Changes)
    after: list[Callable[[], None]] = field(default_factory=list)
    """Called by the writer, in its thread, once this has committed: what may be remembered only then."""
    behind: Behind | None = None
    """Where writes wait whose answer nobody needs. None: they are sent at once."""

    @property
    def dialect(self) -> Dialect:
        return self.conn.dialect

    @property
    def on_postgres(self) -> bool:
        return self.dialect.name == "postgresql"

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An insert that knows `on_conflict_…`, which both databases spell alike but SQLAlchemy keeps apart."""
        return postgresql.insert(table) if self.on_postgres else sqlite.insert(table)
