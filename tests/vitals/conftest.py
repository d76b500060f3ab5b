"""A world with a project in it, a watcher over it, and somebody outside who is called."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from tests.monitor.tower import T0, Tower
from tests.notify.receivers import HttpReceiver
from tests.server_process import Server
from tests.sim_clock import SimClock
from tests.world import World, make_world


@pytest.fixture
async def world(db: Database, ids: IdSource) -> World:
    return await make_world(db, ids, T0)


@pytest.fixture
async def tower(world: World) -> Tower:
    tower = Tower(world, SimClock(T0))
    await tower.watcher.join()
    return tower


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with HttpReceiver() as running:
        yield running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()
