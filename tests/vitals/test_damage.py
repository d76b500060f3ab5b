"""The look beside a server: it gives the database up that is damaged, leaves a whole one alone, and ends when told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from heartfly.clock import SystemClock
from heartfly.config import Settings
from heartfly.config.settings import Data
from heartfly.db.damage import MARK
from heartfly.db.parts import PARTS, Part
from heartfly.errors import StoreError
from heartfly.ground import open_ground
from heartfly.vitals.damage import DamageWatch
from tests.db.damaged import damage, fill

pytestmark = pytest.mark.anyio

LIMIT_S = 60


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
async def test_a_damaged_file_is_given_up_and_marked(tmp_path: Path, part: Part) -> None:
    fatal: list[StoreError] = []
    given_up, stop = asyncio.Event(), asyncio.Event()

    def on_fatal(error: StoreError) -> None:
        fatal.append(error)
        given_up.set()

    ground = open_ground(Settings(data=Data(dir=tmp_path)), on_fatal=on_fatal)
    paths = [tmp_path / one.file for one in PARTS]
    damage(tmp_path / part.file)
    watch = DamageWatch(ground.database, paths, SystemClock(), left=paths)

    running = asyncio.ensure_future(watch.run(stop))
    await asyncio.wait_for(given_up.wait(), LIMIT_S)
    stop.set()
    await asyncio.wait_for(running, LIMIT_S)
    ground.close()

    assert f"{part.file}, table filler: " in str(fatal[0])
    assert fatal == [ground.database.broken]
    assert "table filler" in (tmp_path / MARK).read_text()


async def test_a_whole_file_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ground = open_ground(Settings(data=Data(dir=tmp_path)))
    paths, stop = [tmp_path / one.file for one in PARTS], asyncio.Event()

    running = asyncio.ensure_future(DamageWatch(ground.database, paths, SystemClock(), left=paths).run(stop))
    told = ""
    async with asyncio.timeout(LIMIT_S):
        while told.count('"event":"look"') < len(paths):
            await asyncio.sleep(0)  # noqa: TID251 - lets the look go on; bounded above
            told += capsys.readouterr().err
    stop.set()
    await asyncio.wait_for(running, LIMIT_S)

    assert ground.database.broken is None
    assert not (tmp_path / MARK).exists()
    ground.close()


async def test_it_ends_in_the_middle_when_it_is_told_to(tmp_path: Path) -> None:
    ground = open_ground(Settings(data=Data(dir=tmp_path)))
    large = tmp_path / "heartfly.db"
    fill(large, "filler", n_rows=200_000)
    stop = asyncio.Event()
    stop.set()

    watch = DamageWatch(ground.database, [large], SystemClock(), left=[large])
    await asyncio.wait_for(watch._look(large, stop), LIMIT_S)

    assert ground.database.broken is None
    ground.close()
