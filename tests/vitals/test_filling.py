"""How much projects store is looked at now and then, and one look that fails holds up no other."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from heartfly.db.database import Access, Database
from heartfly.errors import StoreError
from heartfly.vitals.filling import EVERY, look_now_and_then
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

T0 = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


class Seen:
    def __init__(self, fails: int = 0) -> None:
        self.looks = 0
        self._fails = fails

    async def look(self, database: Access) -> None:
        self.looks += 1
        async with database.read():
            if self.looks <= self._fails:
                raise StoreError("away")


async def test_it_looks_at_all_every_five_minutes_until_it_is_stopped(db: Database) -> None:
    clock, stop, one, other = SimClock(T0), asyncio.Event(), Seen(fails=1), Seen()
    running = asyncio.ensure_future(look_now_and_then(stop, ((one, db), (other, db)), clock))

    async def looked(n: int) -> None:
        async with asyncio.timeout(60):
            while other.looks < n or not clock.n_asleep:
                await db.write(lambda _: None)

    await looked(1)
    assert (1, 1) == (one.looks, other.looks)
    clock.move_to(T0 + EVERY)
    await looked(2)
    assert (2, 2) == (one.looks, other.looks)

    stop.set()
    await asyncio.wait_for(running, 60)
    assert (2, 2) == (one.looks, other.looks)
