"""A desk on each kind of database."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from tests.limits.desk import Desk
from tests.sim_clock import SimClock

START = datetime(2026, 3, 2, 10, tzinfo=UTC)


@pytest.fixture
def clock() -> SimClock:
    return SimClock(START)


@pytest.fixture
def desk(usage_db: Database, ids: IdSource, clock: SimClock) -> Desk:
    return Desk(usage_db, ids, clock)
