"""The job that archives: what its check is told, what fails it, and what it does where nobody asks for it any more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from heartfly.config import Archive, Data, Settings
from heartfly.config.load import load
from heartfly.config.settings import Usage as UsageSettings
from heartfly.core.days import day_in
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import archives, events, projects
from heartfly.errors import SettingsError
from heartfly.jobs.archiving import NAME, archiving
from heartfly.jobs.catalogue import catalogue
from heartfly.jobs.kind import JobKind
from heartfly.usage.archive.erasures import note_erased
from heartfly.usage.archive.let_go import Rules
from heartfly.usage.close_day import Closer
from tests.jobs.workshop import DAY, T0, Workshop, kind_of
from tests.sim_clock import SimClock
from tests.usage.factory import Plant, events_of
from tests.world import SEALER, World

pytestmark = pytest.mark.anyio


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    return Rules(folder=tmp_path / "archive", format="ndjson", after=90 * DAY, calls_only=False)


async def used(world: World, clock: SimClock, usage: Database) -> int:
    """A day of events that is closed. How many."""
    plant = Plant(usage, clock, world.ids, pid=world.project.pid)
    async with world.db.read() as read:
        zone = ZoneInfo((await read.execute(sa.select(projects.c.zone))).scalar_one())
    span = day_in(zone, (T0 - DAY).date())
    sent = events_of(12, seed=3, from_at=span.from_at, to_at=span.to_at)
    await plant.ingest.take(world.project.pid, [one.wire() for one in sent], wire="native")
    closed = await Closer(usage, plant.folder, clock, world.ids).close(world.project.pid, span.date, zone)
    assert "final" == closed.state
    return len(sent)


def shop_of(world: World, clock: SimClock, usage: Database, rules: Rules, *, is_on: bool = True) -> Workshop:
    return Workshop(world, clock, kind_of(archiving(usage, rules, is_on=is_on), expression="0 3 * * *"))


async def n_events(usage: Database) -> int:
    async with usage.read() as read:
        return int((await read.execute(sa.select(sa.func.count()).select_from(events))).scalar_one())


async def test_each_night_what_is_old_enough_goes_and_its_check_is_told(
    world: World, clock: SimClock, usage_db: Database, rules: Rules
) -> None:
    n = await used(world, clock, usage_db)
    shop = shop_of(world, clock, usage_db, rules)
    await shop.look()
    await shop.go(T0 + 85 * DAY)
    assert (n, 0) == (await n_events(usage_db), (await shop.runs())[-1].figures["events"])

    await shop.go(T0 + 92 * DAY)

    run = (await shop.runs())[-1]
    assert ("ok", 1, n, n, 0, 0) == (
        run.outcome, *(run.figures[name] for name in ("days", "events", "events_let_go", "days_held", "days_left")),
    )  # fmt: skip
    assert 0 == await n_events(usage_db)
    assert "up" == (await shop.check()).status


async def test_a_disk_that_cannot_be_written_fails_the_run_in_words_and_nothing_goes(
    world: World, clock: SimClock, usage_db: Database, rules: Rules
) -> None:
    n = await used(world, clock, usage_db)
    shop = shop_of(world, clock, usage_db, replace(rules, folder=rules.folder / "x"))
    rules.folder.write_bytes(b"a file")
    await shop.look()

    await shop.go(T0 + 92 * DAY)

    run = (await shop.runs())[-1]
    assert ("failed", True, n) == (run.outcome, str(rules.folder) in run.words, await n_events(usage_db)), run.words
    assert "down" == (await shop.check()).status


async def test_where_nobody_asks_for_it_any_more_only_who_was_erased_goes_from_files(
    world: World, clock: SimClock, usage_db: Database, rules: Rules
) -> None:
    n = await used(world, clock, usage_db)
    shop = shop_of(world, clock, usage_db, rules)
    await shop.look()
    await shop.go(T0 + 92 * DAY)
    pid = world.project.pid
    await usage_db.write(lambda tx: note_erased(tx, pid, ["c-1"], at=clock.now(), ids=world.ids))
    for stranger in ("99", "98"):
        (rules.folder / stranger).mkdir()
        (rules.folder / stranger / "2026-01-01.1.ndjson.gz").write_bytes(b"x")  # of a project that is no more
    (rules.folder / "98" / "notes.txt").write_bytes(b"somebody's own")
    (rules.folder / "elsewhere").mkdir()

    later = shop_of(world, clock, usage_db, rules, is_on=False)
    await later.go(T0 + 93 * DAY)

    run = (await later.runs())[-1]
    assert ("ok", 1, 0) == (run.outcome, run.figures["files_rewritten"], run.figures["days"])
    async with usage_db.read() as read:
        assert 0 < (await read.execute(sa.select(archives.c.n_events))).scalar_one() < n
    assert {str(pid), "98", "elsewhere"} == {path.name for path in rules.folder.iterdir()}
    assert ["notes.txt"] == [path.name for path in (rules.folder / "98").iterdir()]


def offered(clock: SimClock, usage: Database, **settings: Any) -> JobKind:
    found = catalogue(Settings(**settings), clock, usage=usage, sealer=SEALER, ids=IdSource(1))
    return next(kind for kind in found if kind.name == NAME)


async def test_it_is_off_unless_somebody_asks_for_it_or_there_are_files(
    clock: SimClock, usage_db: Database, tmp_path: Path
) -> None:
    data = Data(dir=tmp_path)
    assert "archive.enabled is false" == offered(clock, usage_db, data=data).off
    assert None is offered(clock, usage_db, data=data, archive=Archive(enabled=True)).off
    (tmp_path / "archive").mkdir()
    assert None is offered(clock, usage_db, data=data).off


def test_events_are_kept_for_ever_by_a_setting_and_taken_as_long_as_their_days_are_open() -> None:
    assert timedelta(days=400) == Settings().events_taken
    assert timedelta(days=36_500) == Settings(usage=UsageSettings(keep_days=0)).events_taken
    assert timedelta(days=90) == Settings(usage=UsageSettings(keep_days=0), archive=Archive(enabled=True)).events_taken
    with pytest.raises(SettingsError, match=r"usage\.keep_days: Expected 34 or more, or 0"):
        load(None, {"HEARTFLY_USAGE__KEEP_DAYS": "7"})
    with pytest.raises(SettingsError, match=r"archive\.after_days"):
        load(None, {"HEARTFLY_ARCHIVE__AFTER_DAYS": "7"})
    with pytest.raises(SettingsError, match=r"archive\.format"):
        load(None, {"HEARTFLY_ARCHIVE__FORMAT": "csv"})
