"""The native API over a real database of each kind, with two projects in it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from heartfly.api.native import NativeApi, native_api
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from tests.api.door import Door, House, state_of
from tests.sim_clock import SimClock
from tests.world import make_world

START = datetime(2026, 3, 2, 10, tzinfo=UTC)


@pytest.fixture
async def clock() -> SimClock:
    return SimClock(START)


@pytest.fixture
async def api(db: Database, usage_db: Database, ids: IdSource, clock: SimClock) -> NativeApi:
    return native_api(state_of(db, clock, ids, usage=usage_db))


async def _house(db: Database, ids: IdSource, api: NativeApi, slug: str) -> House:
    world = await make_world(db, ids, START, slug=slug)
    return House(world, Door(api, world.project.api_key), Door(api, world.project.read_key))


@pytest.fixture
async def house(db: Database, ids: IdSource, api: NativeApi) -> House:
    return await _house(db, ids, api, "main")


@pytest.fixture
async def neighbour(db: Database, ids: IdSource, api: NativeApi) -> House:
    return await _house(db, ids, api, "next-door")
