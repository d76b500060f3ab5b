"""Events, names and letters are looked for by walks down an index: no table is scanned, and nothing large sorted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.audit.record import CLI
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import events
from heartfly.db.tenant import piece
from heartfly.usage import correction_queries, customer_queries, dead_letters, event_queries
from heartfly.usage.customers import create_customer
from heartfly.usage.event_queries import Wanted
from heartfly.usage.reading import by_size, read_events
from tests.usage.test_end_of_project import NOW, fill

pytestmark = pytest.mark.anyio

PID = 7
_HOUR = timedelta(hours=1)
BEFORE = (datetime(2026, 3, 3, tzinfo=UTC), 9)
Ask = Callable[[AsyncConnection], Awaitable[Any]]

ASKED: dict[str, Ask] = {
    "all": lambda read: event_queries.list_events(read, PID, Wanted(), before=None, limit=5),
    "a later page": lambda read: event_queries.list_events(read, PID, Wanted(), before=BEFORE, limit=5),
    "a span": lambda read: event_queries.list_events(read, PID, Wanted(from_at=NOW, to_at=NOW), before=None, limit=5),
    "a type": lambda read: event_queries.search(read, PID, Wanted(type="x"), before=BEFORE, limit=5),
    "a name": lambda read: event_queries.list_events(read, PID, Wanted(subject="c-1"), before=BEFORE, limit=5),
    "one": lambda read: event_queries.one_event(read, PID, "t-1"),
    "one with its corrections": lambda read: correction_queries.known_event(read, PID, "t-1"),
    "corrections": lambda read: correction_queries.list_corrections(
        read, PID, kind="", backfill="", before=(9, 9), limit=5
    ),
    "conflicts": lambda read: event_queries.list_conflicts(read, PID, before=None, limit=5),
    "whom nobody knows": lambda read: customer_queries.unknown_subjects(read, PID, after=None, limit=5),
    "all of a time": lambda read: read.run_sync(lambda one: list(read_events(one, PID, NOW, NOW + _HOUR, "id"))),
    "a later piece of all": lambda read: read.execute(piece(events, PID, columns=(), after=(PID, NOW, 5), limit=5)),
    "how many": lambda read: customer_queries.count_of(read, PID, 3),
    "letters": lambda read: dead_letters.list_letters(
        read, PID, dead_letters.Wanted(state="open"), before=None, limit=5
    ),
}


WHOLE = {"all"}
"""Newest first, with nothing said: such a walk ends with the page."""


async def plans(usage_db: Database, ask: Ask) -> list[str]:
    said: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        said.append((statement, parameters))

    async with usage_db.read() as read:
        sa.event.listen(read.sync_connection, "before_cursor_execute", note)
        await ask(read)
        sa.event.remove(read.sync_connection, "before_cursor_execute", note)
        steps: list[Any] = []
        for statement, parameters in said:
            steps += (await read.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)).all()
    return [step[3] for step in steps]


@pytest.mark.parametrize("name", ASKED)
async def test_it_walks_down_an_index(usage_db: Database, ids: IdSource, name: str) -> None:
    if usage_db.on_postgres:
        return
    await fill(usage_db, ids, PID)
    await usage_db.write(
        lambda tx: create_customer(tx, PID, name="x", wanted=["c-1", "c-2"], actor=CLI, at=NOW, ids=ids)
    )

    told = await plans(usage_db, ASKED[name])

    tables = ("events", "event_ids", "event_conflicts", "event_corrections", "dead_letters", "usage_names", "aliases")
    assert any("SEARCH" in step for step in told), told
    assert [] == [step for step in told if step.startswith(tuple(f"SCAN {table}" for table in tables))], told
    # Nobody walks all events of a project for some of them.
    assert [] == [step for step in told if "ix_events_pid_at (pid=?)" in step and name not in WHOLE], told
    if name == "a name":
        assert any("ix_events_subject_id_at" in step for step in told), told
    if name not in {"letters", "a type"}:  # of those that a page looked at, which are bounded, what fits is sorted
        assert [] == [step for step in told if "TEMP B-TREE" in step], told


def test_rows_are_taken_apart_by_how_much_is_in_them() -> None:
    rows = [(n, "x" * size) for n, size in enumerate([400_000, 700_000, 1, 3_000_000, 5])]
    parts = [[row[0] for row in part] for part in by_size(rows, 1)]

    assert [[0], [1, 2], [3], [4]] == parts
    assert [] == list(by_size([], 1))
