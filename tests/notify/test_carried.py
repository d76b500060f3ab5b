"""What each channel has carried lately is told with how much of it was given up."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import deliveries
from heartfly.notify.carried import Carried, carried_by
from tests.world import make_world

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
DAY = timedelta(days=1)


async def test_what_ended_is_counted_since_then_and_by_channel(db: Database, ids: IdSource) -> None:
    pid = (await make_world(db, ids, NOW)).project.pid
    there = [
        (1, "sent", 1), (1, "sent", 2), (1, "failed", 3), (1, "merged", 4), (1, "pending", 0), (1, "failed", 40),
        (2, "sent", 50), (4, "pending", 1),
    ]  # fmt: skip
    rows = [
        {
            "id": str(uuid.uuid4()), "pid": pid, "channel_id": channel, "state": state, "attempt": 1,
            "possible_duplicate": False, "created_at": NOW - days * DAY,
        }
        for channel, state, days in there
    ]  # fmt: skip
    rows.append(rows[0] | {"id": str(uuid.uuid4()), "pid": pid + 1})
    await db.write(lambda tx: tx.conn.execute(sa.insert(deliveries), rows).rowcount)

    async with db.read() as read:
        found = await carried_by(read, pid, [1, 2, 3, 4], since=NOW - 30 * DAY)
    assert {
        1: Carried(4, 1, NOW), 2: Carried(0, 0, NOW - 50 * DAY), 3: Carried(), 4: Carried(0, 0, NOW - DAY),
    } == found  # fmt: skip
