"""A project that uses something, at one time that stands still, for all files that need no other."""

from __future__ import annotations

import pytest

from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from tests.sim_clock import SimClock
from tests.usage.factory import NOW, Plant


@pytest.fixture
def clock() -> SimClock:
    return SimClock(NOW)


@pytest.fixture
def plant(usage_db: Database, clock: SimClock, ids: IdSource) -> Plant:
    return Plant(usage_db, clock, ids)
