"""A day is closed in a process that is killed at each of its writes, and by two processes at one time.

What counts is whole at every moment: the former figures of an hour or a day, or the new ones, and nothing between.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import rollups, unique_values, usage_days, windows
from heartfly.usage.close_day import Closer
from heartfly.usage.compare import compare
from heartfly.usage.dirty import mark_folded
from tests.faults.closing import Closing
from tests.sim_clock import SimClock
from tests.usage.factory import HOUR, NOW, PID, Plant, events_of, within
from tests.usage.oracle import COUNT, USERS, Sent, answers

pytestmark = pytest.mark.anyio

DAY = date(2026, 11, 27)
MIDNIGHT = datetime(2026, 11, 27, tzinfo=UTC)
FROM = MIDNIGHT + 8 * HOUR
METERS = {"count": COUNT, "users": USERS}
MOST = 40
POSTGRES = [
    pytest.param("postgres", 3, marks=pytest.mark.postgres),
    pytest.param("postgres", 1, marks=[pytest.mark.postgres, pytest.mark.slow]),
]
"""At each third write; `make faults`: at each."""


@pytest.fixture
async def plant(usage_db: Database, ids: IdSource) -> Plant:
    plant = Plant(usage_db, SimClock(NOW), ids)
    for name, definition in METERS.items():
        await plant.meter(name, definition)
    return plant


@pytest.fixture
async def closing(database_url: str, tmp_path: Path, plant: Plant) -> AsyncIterator[Closing]:
    beside = Closing(database_url, tmp_path / "data", DAY)
    yield beside
    beside.end()


async def close(plant: Plant) -> str:
    closer = Closer(plant.usage, plant.folder, plant.clock, plant.ids)
    return (await closer.close(PID, DAY, ZoneInfo("UTC"))).state


async def day_row(plant: Plant) -> Any:
    async with plant.usage.read() as read:
        return (await read.execute(sa.select(usage_days).where(usage_days.c.day == DAY))).one()


def counts(sent: list[Sent]) -> dict[Any, Any]:
    return answers(sent, METERS)


def of_day(plant: Plant) -> dict[Any, Any]:
    """A day keeps no unique values of its own."""
    told = plant.told(MIDNIGHT, MIDNIGHT + HOUR, tier="day")
    return {key: value for key, value in told.items() if key[0] != "users"}


def no_users(found: dict[Any, Any]) -> dict[Any, Any]:
    return {key: value for key, value in found.items() if key[0] != "users"}


async def assert_swept(plant: Plant) -> None:
    """Nothing is left of what was cut off."""
    async with plant.usage.read() as read:
        kept = {tuple(row) for row in await read.execute(sa.select(windows.c.tier, windows.c.start_at, windows.c.gen))}
        rows = {tuple(row) for row in await read.execute(sa.select(rollups.c.tier, rollups.c.start_at, rollups.c.gen))}
        values = await read.execute(sa.select(unique_values.c.start_at, unique_values.c.gen))
        assert rows | {("hour", *row) for row in values} <= kept


@pytest.mark.parametrize(("database_url", "step"), [("sqlite", 1), *POSTGRES], indirect=["database_url"])
async def test_killed_at_any_write_the_figures_stay_whole_and_the_next_run_repairs(
    plant: Plant, closing: Closing, step: int
) -> None:
    sent = events_of(60, seed=51, from_at=FROM, to_at=FROM + 2 * HOUR)
    late = events_of(60 + MOST, seed=52, from_at=FROM + HOUR, to_at=FROM + 2 * HOUR)[60:]
    await plant.send(*sent)
    assert "final" == await close(plant)

    for n, one in zip(range(1, step * MOST, step), late, strict=False):
        before, after = counts(sent), counts([*sent, one])
        hours_before = counts(within(sent, FROM + HOUR, FROM + 2 * HOUR))
        hours_after = counts(within([*sent, one], FROM + HOUR, FROM + 2 * HOUR))
        sent.append(one)
        await plant.send(one)
        ended = await closing.ask(f"KILL {n}")
        if ended != "killed":
            break

        assert plant.told(FROM + HOUR, FROM + 2 * HOUR) in (hours_before, hours_after), n
        assert of_day(plant) in (no_users(before), no_users(after)), n
        row, stands = await day_row(plant), of_day(plant)
        # Proved is only what the day comes to.
        shown = [len(sent) - 1] * (stands == no_users(before)) + [len(sent)] * (stands == no_users(after))
        assert row.state == "provisional" or row.figures["events_raw"] in shown, n
        assert await close(plant) in {"final", "amended"}, n
        assert after == plant.told(FROM, FROM + 2 * HOUR), n
        assert no_users(after) == of_day(plant), n
        found = compare(plant.usage.place, PID, MIDNIGHT, MIDNIGHT + timedelta(days=1))
        assert (0, 0) == (found.n_differences, found.waiting), n
    else:
        raise AssertionError("a day takes fewer writes than that")

    assert n > 10
    assert ended in {"final", "amended"}
    # What a killed one left goes with the next fold.
    seq = plant.ids.next(NOW)
    await plant.usage.write(lambda tx: mark_folded(tx, PID, from_at=None, to_at=None, seq=seq))
    await close(plant)
    await assert_swept(plant)
    assert counts(sent) == plant.told(FROM, FROM + 2 * HOUR)


@pytest.mark.parametrize(("database_url", "step"), POSTGRES, indirect=["database_url"])
async def test_of_two_processes_that_close_a_day_one_commits(plant: Plant, closing: Closing, step: int) -> None:
    """A SQLite file has one."""
    sent = events_of(60, seed=53, from_at=FROM, to_at=FROM + 2 * HOUR)
    late = events_of(60 + MOST, seed=54, from_at=FROM + HOUR, to_at=FROM + 2 * HOUR)[60:]
    await plant.send(*sent)
    assert "final" == await close(plant)

    for n, one in zip(range(1, step * MOST, step), late, strict=False):
        sent.append(one)
        await plant.send(one)
        if await closing.ask(f"STOP {n}") != "stopped":
            break
        proved = await day_row(plant)
        # The other one has stood still for long, and wakes up when the day was closed by us.
        assert await close(plant) in {"final", "amended"}, n
        ours = await day_row(plant)
        ended = await closing.ask("GO")

        # It had not begun, or was done but for what it tidies up.
        if n == 1 or proved.figures["events_raw"] == len(sent):
            assert ended in {"final", "amended"}, n
        else:
            assert "overtaken" == ended, n
            assert ours == await day_row(plant), n
        assert counts(sent) == plant.told(FROM, FROM + 2 * HOUR), n
        assert no_users(counts(sent)) == of_day(plant), n
        found = compare(plant.usage.place, PID, MIDNIGHT, MIDNIGHT + timedelta(days=1))
        assert (0, 0) == (found.n_differences, found.waiting), n
    else:
        raise AssertionError("a day takes fewer writes than that")
    assert n > 10
