"""Minutes and hours of requests go when they are old; their days stay as they are, and can be made anew of events."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from heartfly.core.traffic import Cube
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import request_rollups, request_sheets, slow_requests, windows
from heartfly.usage import request_rows
from heartfly.usage.close_day import Closed, Closer
from heartfly.usage.compare import compare
from heartfly.usage.request_tiers import Kept, Removed, remove_old_tiers
from tests.sim_clock import SimClock
from tests.usage.factory import HOUR, NOW, PID, Plant
from tests.usage.request_oracle import Asked, requests_of

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
OF = date(2026, 11, 27)
FROM = datetime(2026, 11, 27, tzinfo=UTC)
TO = FROM + DAY
KEPT = Kept(minutes=2 * DAY, hours=90 * DAY)


@pytest.fixture
def clock() -> SimClock:
    return SimClock(NOW)


@pytest.fixture
async def plant(usage_db: Database, clock: SimClock, ids: IdSource, monkeypatch: pytest.MonkeyPatch) -> Plant:
    monkeypatch.setattr(request_rows, "PIECE", 7)
    made = Plant(usage_db, clock, ids)
    await ask(made, requests_of(60, seed=41, from_at=FROM, to_at=FROM + 4 * HOUR))
    return made


async def ask(plant: Plant, found: list[Asked]) -> None:
    await plant.ingest.take(PID, [one.wire() for one in found], wire="native")


async def close(plant: Plant) -> Closed:
    return await Closer(plant.usage, plant.folder, plant.clock, plant.ids).close(PID, OF, ZoneInfo("UTC"))


async def remove(plant: Plant, now: datetime) -> Removed:
    async def fence() -> None:
        return None

    return await remove_old_tiers(plant.usage, PID, kept=KEPT, now=now, fence=fence)


async def counts(plant: Plant) -> dict[str, int]:
    r, h = request_rollups.c, request_sheets.c
    async with plant.usage.read() as read:
        by_tier = await read.execute(sa.select(r.tier, sa.func.count()).group_by(r.tier))
        n_slow = (await read.execute(sa.select(sa.func.count()).select_from(slow_requests))).scalar_one()
        sheets = await read.execute(sa.select(h.tier, sa.func.count()).group_by(h.tier))
        told = {f"sheets of {row[0]}": row[1] for row in sheets}
        return {row[0]: row[1] for row in by_tier} | {"slow": n_slow} | told


async def day_rows(plant: Plant) -> list[Any]:
    r = request_rollups.c
    columns = [column for column in r if column.name != "gen"]
    async with plant.usage.read() as read:
        query = sa.select(*columns).where(r.tier == "day").order_by(r.cube, r.key1, r.key2, r.status)
        return list(await read.execute(query))


async def test_minutes_go_first_and_hours_later_and_days_stay(plant: Plant) -> None:
    assert "final" == (await close(plant)).state
    before = await counts(plant)
    assert Removed() == await remove(plant, FROM + 2 * DAY)

    removed = await remove(plant, TO + 2 * DAY)
    assert (before["minute"], 0, 0, 0) == (removed.minutes, removed.hours, removed.slow, removed.held)
    assert {name: n for name, n in before.items() if name != "minute"} == await counts(plant)

    removed = await remove(plant, TO + 90 * DAY)
    assert (0, before["hour"], before["slow"]) == (removed.minutes, removed.hours, removed.slow)
    assert 0 < before["sheets of hour"]
    assert {"day": before["day"], "slow": 0, "sheets of day": 3} == await counts(plant)
    assert Removed() == await remove(plant, TO + 90 * DAY)


async def test_a_day_is_made_anew_after_its_hours_went(plant: Plant) -> None:
    await close(plant)
    before = await day_rows(plant)
    await remove(plant, TO + 90 * DAY)

    assert "final" == (await close(plant)).state
    assert before == await day_rows(plant)
    assert [] == compare(plant.usage.place, PID, FROM, TO).differences

    late = Asked(900, FROM + HOUR, "c-9", (("method", "GET"), ("route", "/late"), ("status", "200")))
    await ask(plant, [late])
    closed = await close(plant)
    assert ("amended", "") == (closed.state, closed.mismatch)
    assert [] == compare(plant.usage.place, PID, FROM, TO).differences
    async with plant.usage.read() as read:
        w, r = windows.c, request_rollups.c
        thinned = await read.execute(sa.select(w.start_at).where(w.thinned).order_by(w.start_at))
        assert [FROM, FROM + 2 * HOUR, FROM + 3 * HOUR] == list(thinned.scalars())
        of_day = (r.tier == "day", r.cube == int(Cube.TOTAL))
        assert 61 == (await read.execute(sa.select(sa.func.sum(r.n)).where(*of_day))).scalar_one()


async def test_hours_of_a_day_that_is_not_proved_stay(plant: Plant) -> None:
    await plant.fold()
    before = await counts(plant)

    removed = await remove(plant, TO + 90 * DAY)
    assert (0, 0, 4) == (removed.hours, removed.slow, removed.held)
    assert before["hour"] == (await counts(plant))["hour"]


async def test_cut_off_after_an_hour_was_thinned_the_next_run_goes_on(plant: Plant) -> None:
    await close(plant)
    await plant.usage.write(
        lambda tx: tx.conn.execute(sa.update(windows).where(windows.c.tier == "hour").values(thinned=True))
    )
    assert [] == compare(plant.usage.place, PID, FROM, TO).differences

    await remove(plant, TO + 90 * DAY)
    assert {"day", "minute", "slow", "sheets of day"} >= (await counts(plant)).keys()
