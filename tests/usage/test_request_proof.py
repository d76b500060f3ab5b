"""A day of requests is proved by counting them once more, and whatever was changed in its rows is found and named."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from heartfly.core.sheets import sheet_of
from heartfly.core.traffic import Cube
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import request_rollups, request_sheets
from heartfly.usage import request_fold, request_proof, requests
from heartfly.usage.close_day import Closed, Closer
from heartfly.usage.compare import compare
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from heartfly.usage.requests import Limits
from heartfly.usage.verify_days import days_to_verify, verify_day
from tests.sim_clock import SimClock
from tests.usage.factory import HOUR, NOW, PID, Plant
from tests.usage.request_oracle import requests_of

pytestmark = pytest.mark.anyio

BERLIN, KOLKATA = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")
DAY = date(2026, 11, 27)
FROM = datetime(2026, 11, 26, 23, tzinfo=UTC)
TO = FROM + 24 * HOUR


@pytest.fixture
def clock() -> SimClock:
    return SimClock(NOW)


@pytest.fixture
def plant(usage_db: Database, clock: SimClock, ids: IdSource) -> Plant:
    made = Plant(usage_db, clock, ids)
    made.folder = Folder(usage_db, clock, ids, hands=Hands(beside=False), limits=Limits(endpoints=7))
    return made


async def filled(plant: Plant) -> None:
    """With a day of requests, of more endpoints than have a name."""
    found = requests_of(100, seed=31, from_at=FROM, to_at=TO)
    await plant.ingest.take(PID, [one.wire() for one in found], wire="native")


async def closed_day(plant: Plant) -> None:
    """That day, closed."""

    async def make() -> None:
        await filled(plant)
        await close(plant)

    await plant.once(__name__, make)


async def close(plant: Plant, zone: ZoneInfo = BERLIN) -> Closed:
    return await Closer(plant.usage, plant.folder, plant.clock, plant.ids).close(PID, DAY, zone)


async def as_it_is(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> Closed:
    """Closed without folding: whatever stands in the rows is what is looked at."""

    async def nothing(*_: Any) -> None:
        return None

    monkeypatch.setattr(plant.folder, "fold_day", nothing)
    return await close(plant)


@pytest.mark.parametrize("zone", [BERLIN, KOLKATA])
async def test_a_day_that_agrees_is_final_and_stays_as_it_was_proved(plant: Plant, zone: ZoneInfo) -> None:
    await filled(plant)
    await plant.fold()
    closed = await close(plant, zone)

    assert ("final", "") == (closed.state, closed.mismatch)
    compared = compare(plant.usage.place, PID, FROM - HOUR, TO + HOUR)
    assert (0, 0, []) == (compared.n_differences, compared.waiting, compared.differences)


@pytest.mark.parametrize(
    ("cube", "column"),
    [
        *((Cube.TOTAL, "latency_us"), (Cube.ENDPOINT, "n_timed"), (Cube.CUSTOMER, "latency_max_us")),
        *((Cube.PAIR, "n"), (Cube.PAIR, "bytes_in"), (Cube.ENDPOINT, "bytes_out")),
    ],
)
async def test_a_figure_of_the_day_that_was_changed_is_found(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, cube: Cube, column: str
) -> None:
    await closed_day(plant)
    r = request_rollups.c
    of_cube = (r.tier == "day", r.cube == int(cube), r.status == 200)
    changed = sa.update(request_rollups).where(*of_cube).values({column: r[column] + 1})
    await plant.usage.write(lambda tx: tx.conn.execute(changed))
    closed = await as_it_is(plant, monkeypatch)

    by = {0: "in all", 1: "by endpoint", 2: "by customer", 3: "by customer and endpoint"}[cube]
    assert "provisional" == closed.state
    assert re.search(
        rf"requests {by}, the day, status 200: expected \d+ requests \(.*\(by its events\), seen \d+", closed.mismatch
    )
    differing = compare(plant.usage.place, PID, FROM, TO).differences
    assert {"http.request"} == {one.meter for one in differing}
    assert all(one.group.endswith("status 200") for one in differing)


async def test_sums_that_are_more_than_a_row_holds_are_proved_as_they_are_held(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((request_fold, "MOST"), (requests, "MOST"), (request_proof, "_MOST")):
        monkeypatch.setattr(module, name, 100_000)

    await filled(plant)
    closed = await close(plant)

    r = request_rollups.c
    async with plant.usage.read() as read:
        total = sa.select(sa.func.max(r.bytes_out)).where(r.cube == int(Cube.TOTAL), r.tier == "day")
        assert 100_000 == (await read.execute(total)).scalar_one()
    assert ("final", "") == (closed.state, closed.mismatch)


async def test_a_customer_whose_requests_are_anothers_is_told(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    await closed_day(plant)
    r = request_rollups.c

    def swap(tx: Any) -> None:
        of = (r.tier == "day", r.cube == int(Cube.CUSTOMER), r.status == 200)
        keys = sorted(tx.conn.execute(sa.select(r.key1).where(*of)).scalars())
        for old, new in ((keys[0], -1), (keys[1], keys[0]), (-1, keys[1])):
            tx.conn.execute(sa.update(request_rollups).where(*of, r.key1 == old).values(key1=new))

    await plant.usage.write(swap)
    told = (await as_it_is(plant, monkeypatch)).mismatch
    assert re.search(r"requests of customer c-\d, status 200, the day: expected \d+ requests", told)


@pytest.mark.parametrize("tier", ["hour", "minute"])
async def test_an_hour_or_a_minute_that_was_changed_is_found(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, tier: str
) -> None:
    await closed_day(plant)
    r = request_rollups.c
    of_total = (r.tier == tier, r.cube == int(Cube.TOTAL))
    changed = sa.update(request_rollups).where(*of_total).values(bytes_out=r.bytes_out + 1)
    await plant.usage.write(lambda tx: tx.conn.execute(changed))

    told = (await as_it_is(plant, monkeypatch)).mismatch
    assert re.search(r"requests, the hour from 2026-11-26 23:00 UTC, status .*\(by its minutes\)", told)


async def test_a_histogram_that_lost_a_time_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    await closed_day(plant)
    r = request_rollups.c
    emptied = sa.update(request_rollups).where(r.tier == "day", r.cube == 0, r.status == 200).values(latencies=None)
    await plant.usage.write(lambda tx: tx.conn.execute(emptied))

    told = (await as_it_is(plant, monkeypatch)).mismatch
    assert re.search(r"requests in all, status 200, the day: expected \d+ times, seen 0 in the histogram", told)


@pytest.mark.parametrize(
    ("cube", "changed"),
    [(Cube.TOTAL, {"latency_us": 1}), (Cube.ENDPOINT, {"latencies": None}), (Cube.CUSTOMER, {"status": 99})],
)
async def test_a_sheet_that_tells_something_else_than_its_rows_is_found(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, cube: Cube, changed: dict[str, Any]
) -> None:
    await closed_day(plant)

    def change(tx: Any) -> None:
        """As if its first row had been another one."""
        r, h = request_rollups.c, request_sheets.c
        figures = (r.n, r.n_timed, r.latency_us, r.latency_max_us, r.bytes_in, r.bytes_out, r.latencies)
        of_cube = sa.select(r.key1, r.status, *figures).where(r.tier == "day", r.cube == int(cube))
        rows = [row._asdict() for row in tx.conn.execute(of_cube.order_by(r.key1, r.status))]
        rows[0] |= changed
        sheet = sheet_of([(key1, status, tuple(rest)) for key1, status, *rest in map(dict.values, rows)])
        assert sheet is not None
        of_day = sa.update(request_sheets).where(h.tier == "day", h.cube == int(cube))
        assert 1 == tx.conn.execute(of_day.values(sheet._asdict())).rowcount

    await plant.usage.write(change)
    told = (await as_it_is(plant, monkeypatch)).mismatch

    by = {0: "in all", 1: "by endpoint", 2: "by customer"}[cube]
    codes = f"requests {by}, the day: the sheet has other status codes than the rows"
    figures = rf"requests {by}, the day, 1 of \d lines of the sheet, the first: expected .*, seen .* \(in the sheet\)"
    assert re.search(codes if "status" in changed else figures, told)


async def test_a_day_that_was_changed_after_it_was_proved_is_named_by_a_later_look(plant: Plant) -> None:
    await filled(plant)
    await plant.fold()
    await close(plant)
    r = request_rollups.c
    of_day = (r.tier == "day", r.cube == int(Cube.CUSTOMER), r.status == 200)
    await plant.usage.write(lambda tx: tx.conn.execute(sa.update(request_rollups).where(*of_day).values(n=r.n + 1)))
    (day,) = await days_to_verify(plant.usage, PID, before=NOW + HOUR, limit=5)

    found = await verify_day(plant.usage, plant.folder.hands, day, now=NOW)

    assert found is not None
    assert re.match(r"requests, customer c-\d, status 200, the day: expected \d+ requests, \d+ of them in", found.wrong)
