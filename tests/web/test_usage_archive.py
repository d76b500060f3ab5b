"""The page of the archive: what is in files, whether it is whole, and a day that comes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heartfly.accounts.first_owner import SetupToken
from heartfly.config import Archive, Data, Settings
from heartfly.core.events import read as parsed
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.web import usage_archive
from heartfly.web.state import WebState
from tests.api.door import state_of
from tests.sim_clock import SimClock
from tests.usage.archived import calls_of, let_go
from tests.web.conftest import Town, state_with
from tests.web.test_usage_pages import ROOT, text

pytestmark = pytest.mark.anyio

DAYS = ("2026-02-27", "2026-02-28", "2026-03-01")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=Data(dir=tmp_path), archive=Archive(enabled=True, restored_days=3))


@pytest.fixture
async def web(db: Database, usage_db: Database, ids: IdSource, clock: SimClock, settings: Settings) -> WebState:
    return state_with(state_of(db, clock, ids, settings, usage=usage_db), SetupToken())


@pytest.fixture
async def archived(town: Town, web: WebState, clock: SimClock, settings: Settings) -> Town:
    pid, api = town.world.project.pid, web.api
    await api.events.take(pid, parsed(json.dumps(calls_of(DAYS))), wire="native")
    told = await let_go(api.database, api.usage, clock, api.ids, settings, pid=pid, days=DAYS)
    assert (3, 9, []) == (told.days, told.gone, told.wrong)
    return town


async def test_with_nothing_archived_it_says_when_that_begins(town: Town) -> None:
    page = await text(await town.owner(), "/archive")

    assert "Nothing is archived" in page
    assert "older than 90 days" in page


async def test_files_are_listed_a_page_at_a_time_with_what_is_in_them(
    archived: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_archive, "PAGE", 2)
    owner = await archived.owner()

    first = (await owner.get(f"{ROOT}/archive")).body.decode()
    link = first.split(f'href="{ROOT}/archive?')[1].split('"')[0]
    second = (await owner.get(f"{ROOT}/archive?{link}")).body.decode()

    assert [True, True, False] == [f"{day}.1.ndjson.gz" in first for day in reversed(DAYS)]
    assert [False, False, True] == [f"{day}.1.ndjson.gz" in second for day in reversed(DAYS)]
    assert "in the file alone" in first
    wrong = await owner.get(f"{ROOT}/archive?before=x")
    assert 422 == wrong.status


async def test_a_day_is_looked_at_and_comes_back(archived: Town) -> None:
    owner = await archived.owner()

    looked = (await owner.post(f"{ROOT}/archive", {"day": DAYS[0], "do": "verify"})).body.decode()
    back = (await owner.post(f"{ROOT}/archive", {"day": DAYS[0], "do": "restore"})).body.decode()
    again = (await owner.post(f"{ROOT}/archive", {"day": DAYS[0], "do": "restore"})).body.decode()

    assert "3 events, as it was written" in looked
    assert "3 events were put back" in back
    assert "All 3 rows of its files were looked at" in back
    assert "back until" in back
    assert "0 events were put back" in again


async def test_a_damaged_file_brings_nothing_back_and_what_is_asked_wrongly_is_refused(
    archived: Town, settings: Settings
) -> None:
    owner = await archived.owner()
    path = settings.archive_dir / str(archived.world.project.pid) / f"{DAYS[0]}.1.ndjson.gz"
    path.write_bytes(path.read_bytes()[:-4])

    looked = (await owner.post(f"{ROOT}/archive", {"day": DAYS[0], "do": "verify"})).body.decode()
    back = await owner.post(f"{ROOT}/archive", {"day": DAYS[0], "do": "restore"})

    assert "cannot be read" in looked
    assert (409, True) == (back.status, "Nothing was put back" in back.body.decode())
    for form, status in (
        ({"day": "soon", "do": "verify"}, 404),
        ({"day": "2020-01-01", "do": "restore"}, 404),
        ({"day": DAYS[1], "do": "burn"}, 422),
        ({"day": DAYS[1], "do": "restore", "after": "x"}, 422),
    ):
        assert status == (await owner.post(f"{ROOT}/archive", form)).status, form
