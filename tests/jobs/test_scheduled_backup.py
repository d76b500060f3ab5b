"""Backups by schedule: whole, the newest few kept, other people's files left alone. SQLite only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from heartfly.backup import archive
from heartfly.config import Backup, Data, Settings
from heartfly.config import Database as DatabaseSettings
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.errors import SettingsError, StoreError
from heartfly.ground import Ground, greet, open_ground
from heartfly.jobs.catalogue import catalogue
from heartfly.jobs.claims import Claim
from heartfly.jobs.run import Running
from heartfly.jobs.scheduled_backup import backing_up, name_of
from heartfly.pings.apply import PingApplier
from heartfly.pings.rate import RateLimiter
from tests.jobs.workshop import DAY, T0, Workshop, kind_of
from tests.sim_clock import SimClock
from tests.world import KEEP, SEALER, World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ground(tmp_path: Path, clock: SimClock) -> Any:
    ground = open_ground(Settings(data=Data(dir=tmp_path / "data")), clock=clock)
    ground.database.start()
    yield ground
    await ground.database.stop()


def shop_of(ground: Ground, clock: SimClock, *, keep: int) -> tuple[Workshop, Path]:
    project = greet(ground)
    assert project is not None
    applier = PingApplier(ids=ground.ids, node_id=1, rate=RateLimiter(per_minute=1200), keep=KEEP)
    folder = ground.settings.backup_dir
    work = backing_up(
        database=ground.settings.data.dir / "heartfly.db",
        data_dir=ground.settings.data.dir,
        folder=folder,
        keep=keep,
        clock=clock,
    )
    return Workshop(World(ground.database, project, ground.ids, applier), clock, kind_of(work)), folder


async def test_each_night_one_is_made_and_the_oldest_goes(ground: Ground, clock: SimClock) -> None:
    shop, folder = shop_of(ground, clock, keep=2)
    await shop.look()
    folder.mkdir()
    (folder / "heartfly-20200101T000000Z.tar").write_bytes(b"by hand")
    (folder / "heartfly-scheduled-notes.txt").write_bytes(b"mine")

    for night in range(1, 5):
        await shop.go(T0 + night * DAY)

    made = [run.started_at for run in await shop.runs()]
    assert ["ok"] * 4 == [run.outcome for run in await shop.runs()]
    assert {
        "heartfly-20200101T000000Z.tar",
        "heartfly-scheduled-notes.txt",
        *(name_of(slot) for slot in made[-2:]),
    } == {path.name for path in folder.iterdir()}
    newest = folder / name_of(made[-1])
    assert 2 < archive.read(newest).rows["job_runs"] < 5
    assert newest.stat().st_size == (await shop.runs())[-1].figures["bytes"]
    assert 1 == (await shop.runs())[-1].figures["removed"]


async def test_what_cannot_be_written_fails_the_run_in_words_and_removes_nothing(
    ground: Ground, clock: SimClock
) -> None:
    shop, folder = shop_of(ground, clock, keep=1)
    await shop.look()
    await shop.go(T0 + DAY)
    kept = {path.name for path in folder.iterdir()}
    (ground.settings.data.dir / "secret.key").rename(ground.settings.data.dir / "elsewhere")

    await shop.go(T0 + 2 * DAY)

    newest = (await shop.runs())[-1]
    assert "failed" == newest.outcome
    assert "secret.key" in newest.words
    assert kept == {path.name for path in folder.iterdir()}
    assert "down" == (await shop.check()).status


async def test_a_directory_that_cannot_be_is_said_in_words(ground: Ground, clock: SimClock) -> None:
    shop, folder = shop_of(ground, clock, keep=1)
    folder.write_bytes(b"a file")
    await shop.look()
    await shop.go(T0 + DAY)

    (run,) = await shop.runs()
    assert ("failed", True) == (run.outcome, f"{folder}: " in run.words), run.words


async def test_a_backup_is_given_up_when_the_process_ends(ground: Ground, clock: SimClock) -> None:
    shop, folder = shop_of(ground, clock, keep=1)
    (kind,) = shop.jobs._kinds.values()
    mine = Claim(pid=1, job_id=1, kind=kind.name, slot_at=T0, epoch=1)
    running = Running(ground.database, mine, clock)
    running.give_up()

    with pytest.raises(StoreError, match="Heartfly is stopping"):
        await kind.work(running)
    assert [] == list(folder.iterdir())


def offered(clock: SimClock, usage: Database, **settings: Any) -> str | None:
    return next(
        kind.off
        for kind in catalogue(Settings(**settings), clock, usage=usage, sealer=SEALER, ids=IdSource(1))
        if kind.name == "backup"
    )


async def test_it_is_off_on_postgresql_and_without_a_schedule_and_says_why(clock: SimClock, usage_db: Database) -> None:
    assert None is offered(clock, usage_db)
    assert "pg_dump" in (offered(clock, usage_db, database=DatabaseSettings(url="postgresql://a/b")) or "")
    assert "backup.schedule is empty" == offered(clock, usage_db, backup=Backup(schedule=""))


async def test_a_schedule_that_cannot_be_is_refused_by_its_name() -> None:
    with pytest.raises((SettingsError, ValueError), match="schedule"):
        Backup(schedule="every night")
