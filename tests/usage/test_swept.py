"""What a process left of former generations when it was killed is removed, though nothing more ever comes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import request_rollups, request_sheets, rollups, uncounted, unique_values, windows
from heartfly.usage import request_rows
from heartfly.usage.fold import TIER_HOUR, fold_hour
from heartfly.usage.folder import ABANDONED
from heartfly.usage.generations import Generation, begin, name_groups, put, switch
from heartfly.usage.request_proof import REQUEST
from tests.sim_clock import SimClock
from tests.usage.factory import HOUR, NOW, PID, Plant, events_of

pytestmark = pytest.mark.anyio

FROM = NOW.replace(minute=0) - 3 * HOUR


@pytest.fixture
def clock() -> SimClock:
    return SimClock(NOW)


@pytest.fixture
async def plant(usage_db: Database, clock: SimClock, ids: IdSource) -> Plant:
    """An hour is folded."""
    made = Plant(usage_db, clock, ids)
    await made.all_meters()
    await made.send(*events_of(30, seed=1, from_at=FROM, to_at=FROM + HOUR))
    await made.fold()
    return made


async def generations_of(db: Database) -> tuple[set[int], bool]:
    """Of which there are rows; and whether the window says that something may be left."""
    async with db.read() as read:
        found: set[int] = set()
        for table in (rollups, unique_values, uncounted, request_rollups, request_sheets):
            found |= set((await read.execute(sa.select(table.c.gen))).scalars())
        return found, (await read.execute(sa.select(windows.c.unswept))).scalar_one()


async def begun(plant: Plant, *, whole: bool) -> int:
    """The hour is folded once more, and the process is killed before it has swept; or before all is written."""
    folded = await asyncio.to_thread(fold_hour, plant.usage.place, PID, FROM)
    it = Generation(PID, TIER_HOUR, folded, plant.ids.next(plant.clock.now()))

    def work(tx: Tx) -> None:
        name_groups(tx, it, ids=plant.ids, now=NOW)
        begin(tx, it)
        put(tx, it, it.rows if whole else it.rows[:9])
        if whole:
            switch(tx, it)

    await plant.usage.write(work)
    return it.gen


async def test_a_fold_that_comes_to_its_end_leaves_nothing(plant: Plant) -> None:
    (gen,), is_left = await generations_of(plant.usage)

    assert gen > 0
    assert not is_left


@pytest.mark.parametrize("piece", [request_rows.PIECE, 1])
async def test_a_fold_that_takes_the_place_of_another_leaves_nothing_of_that_whether_it_is_few_or_many(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    """In one transaction, or in several, where a piece of what requests came to is all that goes at a time."""
    monkeypatch.setattr(request_rows, "PIECE", piece)
    asked = [replace(one, type=REQUEST) for one in events_of(9, seed=2, from_at=FROM, to_at=FROM + HOUR)]
    await plant.send(*[replace(one, number=100 + one.number) for one in asked])
    await plant.folder.fold_hour(PID, FROM)
    (former,), _ = await generations_of(plant.usage)
    await plant.send(*[replace(one, number=200 + one.number) for one in asked])
    await plant.folder.fold_hour(PID, FROM)

    (gen,), is_left = await generations_of(plant.usage)
    assert (True, False) == (gen > former, is_left)


async def test_the_former_rows_of_a_fold_that_was_killed_go_without_a_new_event(plant: Plant) -> None:
    (former,), _ = await generations_of(plant.usage)
    gen = await begun(plant, whole=True)
    assert ({former, gen}, True) == await generations_of(plant.usage)

    await plant.fold()

    assert ({gen}, False) == await generations_of(plant.usage)


async def test_a_generation_that_nobody_ends_goes_after_an_hour(plant: Plant, clock: SimClock) -> None:
    (counts,), _ = await generations_of(plant.usage)
    gen = await begun(plant, whole=False)
    await plant.fold()
    assert ({counts, gen}, True) == await generations_of(plant.usage)  # perhaps somebody still writes it

    clock.move_to(NOW + ABANDONED + timedelta(seconds=1))
    await plant.fold()

    assert ({counts}, False) == await generations_of(plant.usage)
