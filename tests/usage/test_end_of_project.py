"""The usage of a project goes with it, and nobody else's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from heartfly.core.amounts import Number
from heartfly.core.events import Event, Rejected, event_of
from heartfly.db import tenant
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.ids import IdSource
from heartfly.db.parts import USAGE
from heartfly.usage.apply import Batch, EventApplier, Refused
from heartfly.usage.end_of_project import remove_strays, remove_usage
from tests.world import make_world

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)


async def left_of(usage_db: Database, pid: int) -> int:
    async with usage_db.read() as read:
        return sum(
            [
                (await read.execute(sa.select(sa.func.count()).where(table.c.pid == pid))).scalar_one()
                for table in tenant.tables(USAGE)
            ]
        )


async def fill(usage_db: Database, ids: IdSource, pid: int) -> None:
    found = [
        event_of(
            {
                "transaction_id": f"t-{number % 3}",
                "customer_id": f"c-{number}",
                "timestamp": NOW.isoformat(),
                "event_type": "x",
                "properties": {"n": Number("1")},
            },
            now=NOW,
            oldest=NOW,
        )
        for number in range(4)
    ]
    items = [one for one in found if isinstance(one, Event)]
    batch = Batch(pid, "native", NOW, [*items, Refused(Rejected("", "is none"), "x")])
    await usage_db.submit(EventApplier(ids).apply, batch, priority=Priority.BULK)


async def test_it_goes_whole_and_the_neighbours_stays(usage_db: Database, ids: IdSource) -> None:
    await fill(usage_db, ids, 7)
    await fill(usage_db, ids, 8)
    before = await left_of(usage_db, 8)

    await remove_usage(usage_db, 7)

    assert (0, before) == (await left_of(usage_db, 7), await left_of(usage_db, 8))
    assert before > 10


async def test_what_belongs_to_no_project_any_more_goes_at_the_next_start(
    db: Database, usage_db: Database, ids: IdSource
) -> None:
    living = (await make_world(db, ids, NOW)).project.pid
    for pid in (7, living, living + 1):
        await fill(usage_db, ids, pid)
    before = await left_of(usage_db, living)

    assert [7, living + 1] == await remove_strays(usage_db, db)

    assert [0, before, 0] == [await left_of(usage_db, pid) for pid in (7, living, living + 1)]
    assert [] == await remove_strays(usage_db, db)
