"""Lists of incidents are read from an index, however many there were: no scan, and nothing sorted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.clock import SystemClock
from heartfly.db.database import Database
from heartfly.db.migrate import upgrade
from heartfly.incidents import queries

pytestmark = pytest.mark.anyio

BEFORE = (datetime(2026, 3, 2, tzinfo=UTC), 7)
INCIDENT: Any = SimpleNamespace(pid=1, id=2, source_id=3)

Ask = Callable[[AsyncConnection], Awaitable[Any]]


async def plan(tmp_path: Path, ask: Ask) -> str:
    """How SQLite reads what this asks for."""
    database = Database(url="", data_dir=tmp_path, clock=SystemClock())
    upgrade(database.engine)
    database.start()
    said: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        said.append((statement, parameters))

    try:
        async with database.read() as read:
            sa.event.listen(read.sync_connection, "before_cursor_execute", note)
            await ask(read)
            sa.event.remove(read.sync_connection, "before_cursor_execute", note)
            ((statement, parameters),) = said
            found: Any = await read.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            return "\n".join(row[3] for row in found)
    finally:
        await database.stop()


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda read: queries.find_many(read, 1, limit=5), "ix_incidents_pid_opened_at_id (pid=?)"),
        (lambda read: queries.find_many(read, 1, before=BEFORE, limit=5), "ix_incidents_pid_opened_at_id (pid=? AND"),
        (lambda read: queries.find_many(read, 1, is_open=True, limit=5), "ix_incidents_open (pid=?)"),
        (lambda read: queries.find_many(read, 1, is_open=True, before=BEFORE, limit=5), "ix_incidents_open (pid=? AND"),
        (
            lambda read: queries.find_many(read, 1, check_id=3, limit=5),
            "ix_incidents_pid_source_kind_source_id_opened_at (pid=? AND source_kind=? AND source_id=?)",
        ),
        (lambda read: queries.flips_of(read, INCIDENT), "ix_flips_incident (pid=? AND incident_id=? AND check_id=?)"),
        (lambda read: queries.notes_of(read, 1, 2), "(pid=? AND incident_id=?)"),
    ],
)
async def test_a_list_is_read_from_its_index(tmp_path: Path, ask: Ask, index: str) -> None:
    found = await plan(tmp_path, ask)

    assert index in found
    assert "SCAN" not in found
    assert "TEMP B-TREE" not in found
