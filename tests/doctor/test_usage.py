"""What the doctor says of usage that waits to be summed up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from heartfly.config import Data, Settings
from heartfly.config import Database as DatabaseSettings
from heartfly.db.database import Database
from heartfly.db.ids import first_id
from heartfly.db.models import dirty_hours, windows
from heartfly.doctor import usage
from heartfly.doctor.finding import Level

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 28, 13, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
THEN = NOW.replace(minute=0) - 48 * HOUR


def settings_of(db: Database, tmp_path: Path) -> Settings:
    path = db.place.path
    url = db.place.url if path is None else f"sqlite:///{path.with_name('heartfly.db')}"
    return Settings(data=Data(dir=tmp_path / "data"), database=DatabaseSettings(url=url))


async def test_an_hour_that_waits_for_long_is_told(usage_db: Database, tmp_path: Path) -> None:
    settings = settings_of(usage_db, tmp_path)
    marks = [{"pid": 7, "hour": THEN, "seq": first_id(NOW - 2 * HOUR)}, {"pid": 7, "hour": NOW, "seq": first_id(NOW)}]
    assert Level.OK is usage.look(settings, NOW).level
    await usage_db.write(lambda tx: tx.conn.execute(sa.insert(dirty_hours), marks))

    found = usage.look(settings, NOW)
    assert (Level.WARNING, "usage") == (found.level, found.name)
    assert "1 hour and 0 days of usage have waited over an hour" in found.found
    assert "the oldest from 2026-11-26 13:00 UTC" in found.found


@pytest.mark.parametrize("long_ago", [False, True])
async def test_a_day_that_waits_for_long_is_told(usage_db: Database, tmp_path: Path, *, long_ago: bool) -> None:
    folded_at = NOW - (2 * HOUR if long_ago else HOUR / 2)
    base = {"pid": 7, "n_events": 0, "ids_sum": bytes(16)}
    day = base | {"tier": "day", "start_at": THEN, "end_at": THEN + 24 * HOUR, "gen": 1, "stale": True}
    hour = base | {"tier": "hour", "start_at": THEN, "end_at": THEN + HOUR, "gen": first_id(folded_at), "stale": False}
    await usage_db.write(lambda tx: tx.conn.execute(sa.insert(windows), [day, hour]))

    found = usage.look(settings_of(usage_db, tmp_path), NOW)
    assert long_ago is (found.level is Level.WARNING)
    assert long_ago is ("0 hours and 1 day of usage" in found.found)
