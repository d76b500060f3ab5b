"""The usage of a project that is erased goes, too. It is in another part, so no transaction takes both along.

It goes before the project's own row. What a crash or a request that was under way leaves belongs to no project, and
goes at the next start.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa

from heartfly.db import tenant
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.models import projects
from heartfly.db.parts import USAGE


async def remove_usage(usage: Database, pid: int) -> None:
    """In pieces, behind everybody else's writing. Two may be at it."""
    for table in tenant.tables(USAGE):
        after: Sequence[Any] | None = None
        while True:
            piece = partial(tenant.remove_piece, table=table, pid=pid, after=after)
            after = await usage.write(piece, priority=Priority.BULK)
            if after is None:
                break


async def remove_strays(usage: Database, main: Database) -> list[int]:
    """The usage of projects that are no more. Their numbers. Call once after the start."""
    gone: set[int] = set()
    for table in tenant.tables(USAGE):
        pid = await _next(usage, table, 0)
        while pid is not None:
            async with main.read() as read:
                is_there = (await read.execute(sa.select(projects.c.id).where(projects.c.id == pid))).first()
            if is_there is None and pid not in gone:
                gone.add(pid)
                await remove_usage(usage, pid)
            pid = await _next(usage, table, pid)
    return sorted(gone)


async def _next(usage: Database, table: sa.Table, after: int) -> int | None:
    """The next project that has rows there: a step down the primary key, however many rows each has."""
    query = sa.select(table.c.pid).where(table.c.pid > after).order_by(table.c.pid).limit(1)
    async with usage.read() as read:
        found: int | None = (await read.execute(query)).scalar()
    return found
