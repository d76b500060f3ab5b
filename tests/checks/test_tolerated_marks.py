"""The lanes of checks show what was tolerated, though no change of status tells of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from heartfly.checks.lanes import lanes
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from tests.api.conftest import START
from tests.world import make_world

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


async def test_a_failure_that_was_tolerated_is_a_mark_on_a_lane_that_was_up_all_along(
    db: Database, ids: IdSource
) -> None:
    world = await make_world(db, ids, START)
    calm = await world.check(START, tolerance='{"failures":3}')
    await world.ping(calm, START + MINUTE)
    await world.ping(calm, START + 2 * MINUTE, PingKind.FAIL)
    row = await world.row(calm)

    async with db.read() as read:
        lane = (await lanes(read, row.pid, [row], from_at=START, to_at=START + 5 * MINUTE)).by_check[row.id]

    assert [(START + 2 * MINUTE, "failed")] == [(mark.at, mark.outcome) for mark in lane.marks]
    assert "down" not in {span.status.value for span in lane.spans}
