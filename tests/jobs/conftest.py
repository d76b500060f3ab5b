"""A world with one project in it, and a clock over it."""

from __future__ import annotations

import pytest

from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from tests.jobs.workshop import T0
from tests.sim_clock import SimClock
from tests.world import World, make_world


@pytest.fixture
def clock() -> SimClock:
    return SimClock(T0)


@pytest.fixture
async def world(db: Database, ids: IdSource) -> World:
    return await make_world(db, ids, T0)
