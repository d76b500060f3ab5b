"""What the doctor says of usage that waits to be summed up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from msgspec import structs

from heartfly.config import Data, Settings
from heartfly.config import Database as DatabaseSettings
from heartfly.config.settings import Limits
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


async def test_a_project_that_keeps_nearly_as_many_events_as_it_may_is_told_of(
    usage_db: Database, tmp_path: Path
) -> None:
    base = {"tier": "hour", "end_at": THEN + HOUR, "gen": 1, "ids_sum": bytes(16), "stale": False, "n_events": 46}
    rows = [base | {"pid": pid, "start_at": THEN + n * HOUR} for pid, n in ((7, 0), (7, 1), (8, 0))]
    await usage_db.write(lambda tx: tx.conn.execute(sa.insert(windows), rows))

    def found(most: int) -> tuple[Level, str]:
        one = usage.look(structs.replace(settings_of(usage_db, tmp_path), limits=Limits(events=most)), NOW)
        return one.level, one.found

    told = "a project keeps 92 events, of at most 100 (limits.events); beyond it they are refused"
    assert (Level.WARNING, told) == found(100)
    assert [Level.OK, Level.OK] == [found(most)[0] for most in (103, 0)]
