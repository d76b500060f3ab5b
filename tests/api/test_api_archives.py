"""Archived days over the API: listed with what is in them, looked at, and put back; by nobody else's key."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from heartfly.api.native import NativeApi, native_api
from heartfly.config import Archive, Data, Settings
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from tests.api.conftest import START
from tests.api.door import House, state_of
from tests.sim_clock import SimClock
from tests.usage.archived import calls_of, let_go

pytestmark = pytest.mark.anyio

DAYS = ("2026-02-27", "2026-02-28", "2026-03-01")
NONE = "/v1/usage/archives/2026-01-01"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=Data(dir=tmp_path), archive=Archive(enabled=True, restored_days=3))


@pytest.fixture
def api(db: Database, usage_db: Database, ids: IdSource, clock: SimClock, settings: Settings) -> NativeApi:
    return native_api(state_of(db, clock, ids, settings, usage=usage_db))


@pytest.fixture
async def archived(
    house: House, db: Database, usage_db: Database, clock: SimClock, ids: IdSource, settings: Settings
) -> House:
    """Three days of calls, in files."""
    pid = house.world.project.pid
    assert 200 == (await house.full("POST", "/v1/events", calls_of(DAYS))).status
    told = await let_go(db, usage_db, clock, ids, settings, pid=pid, days=DAYS)
    assert (3, 9, 9, []) == (told.days, told.events, told.gone, told.wrong)
    return house


async def listed(house: House, query: str = "") -> Any:
    return (await house.read("GET", f"/v1/usage/archives{query}")).json


async def test_archived_days_are_listed_newest_first_page_by_page(archived: House) -> None:
    found = await listed(archived)

    assert [*reversed(DAYS)] == [one["day"] for one in found["items"]]
    first = found["items"][0]
    assert (3, 0, "ndjson", f"{archived.world.project.pid}/2026-03-01.1.ndjson.gz") == (
        first["n_events"], first["n_conflicts"], first["format"], first["file"],
    )  # fmt: skip
    assert {"api.call": {"n": 3, "sums": {"cost": "0.3", "units.input_tokens": "3"}}} == first["by_type"]
    page = await listed(archived, "?limit=2")
    rest = await listed(archived, f"?limit=2&cursor={page['next']}")
    assert ([one["day"] for one in found["items"]], None) == (
        [one["day"] for one in page["items"] + rest["items"]], rest["next"],
    )  # fmt: skip
    within = await listed(archived, f"?from={DAYS[1]}&to={DAYS[2]}")
    assert [DAYS[1]] == [one["day"] for one in within["items"]]
    assert ["cursor"] == (await archived.read("GET", "/v1/usage/archives?cursor=x")).fields


async def test_a_day_is_put_back_once_and_found_again(archived: House, settings: Settings) -> None:
    event = f"/v1/events/{DAYS[0]}-1"
    assert 404 == (await archived.read("GET", event)).status

    told = [(await archived.full("POST", f"/v1/usage/archives/{DAYS[0]}/restore", {})).json for _ in range(2)]

    assert [(3, 3, True, 3, 0), (3, 3, True, 0, 0)] == [
        (one["n"], one["done"], one["is_over"], one["n_restored"], one["n_erased"]) for one in told
    ]
    assert 200 == (await archived.read("GET", event)).status
    until = START + timedelta(days=92) + timedelta(days=3)
    (one,) = [one for one in (await listed(archived))["items"] if one["restored_until"] is not None]
    assert (DAYS[0], until.isoformat().replace("+00:00", "Z")) == (one["day"], one["restored_until"])
    (entry, *_) = (await archived.full("GET", "/v1/audit?action=usage.restore")).json["items"]
    assert f"usage_day:{DAYS[0]}" == entry["object"]


async def test_a_damaged_file_is_told_by_a_look_and_brings_nothing_back(archived: House, settings: Settings) -> None:
    path = settings.archive_dir / str(archived.world.project.pid) / f"{DAYS[0]}.1.ndjson.gz"
    whole = (await archived.full("POST", f"/v1/usage/archives/{DAYS[0]}/verify")).json
    assert (True, [True]) == (whole["is_whole"], [one["is_whole"] for one in whole["files"]])
    path.write_bytes(path.read_bytes()[:-4])

    looked = (await archived.full("POST", f"/v1/usage/archives/{DAYS[0]}/verify")).json
    refused = await archived.full("POST", f"/v1/usage/archives/{DAYS[0]}/restore", {})

    assert (False, True) == (looked["is_whole"], path.name in looked["files"][0]["wrong"])
    assert (409, True) == (refused.status, path.name in refused.json["detail"])
    path.unlink()
    assert 404 == (await archived.full("POST", f"/v1/usage/archives/{DAYS[0]}/restore", {})).status


async def test_what_is_not_archived_is_not_found_nor_is_what_is_another_project_s(
    archived: House, neighbour: House
) -> None:
    for path in (NONE, "/v1/usage/archives/yesterday", "/v1/usage/archives/0001-01-01"):
        assert [404, 404] == [
            (await archived.full("POST", f"{path}/{what}", asked)).status
            for what, asked in (("verify", None), ("restore", {}))
        ]
    assert {"items": [], "next": None} == await listed(neighbour)
    assert 404 == (await neighbour.full("POST", f"/v1/usage/archives/{DAYS[0]}/verify")).status
    assert 404 == (await neighbour.full("POST", f"/v1/usage/archives/{DAYS[0]}/restore", {})).status


async def test_what_comes_of_an_archived_day_is_refused(archived: House) -> None:
    late = {
        "transaction_id": "late", "customer_id": "acme", "timestamp": f"{DAYS[0]}T12:00:00Z", "event_type": "api.call",
    }  # fmt: skip

    (told,) = (await archived.full("POST", "/v1/events", [late])).json["results"]

    assert ("rejected", "timestamp") == (told["outcome"], told["field"])


async def test_a_key_that_may_only_read_puts_nothing_back(archived: House) -> None:
    assert 403 == (await archived.read("POST", f"/v1/usage/archives/{DAYS[0]}/restore", {})).status
