"""A treasury over a real database of each kind, and a clock over it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from tests.budgets.treasury import Treasury
from tests.sim_clock import SimClock
from tests.world import make_world

T0 = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> SimClock:
    return SimClock(T0)


@pytest.fixture
async def treasury(db: Database, usage_db: Database, ids: IdSource, clock: SimClock) -> Treasury:
    return Treasury(await make_world(db, ids, T0), usage_db, clock)
