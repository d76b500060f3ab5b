"""How SQLite reads what a query asks for: by which index, and whether it sorts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.clock import SystemClock
from heartfly.db.database import Database
from heartfly.db.migrate import upgrade

Ask = Callable[[AsyncConnection], Awaitable[Any]]


async def plan(tmp_path: Path, ask: Ask) -> str:
    """Of the first statement; what is asked finds nothing."""
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
            statement, parameters = said[0]
            found: Any = await read.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            return "\n".join(row[3] for row in found)
    finally:
        await database.stop()
