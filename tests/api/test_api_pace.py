"""A key that asks too often waits; others do not. Overload is told, with the time after which to try again."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from heartfly.accounts.guards import Pace
from heartfly.accounts.keys import Caller
from heartfly.api.native import native_api
from heartfly.config import Settings
from heartfly.config.settings import Limits
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.migrate import upgrade
from heartfly.errors import TooManyRequestsError
from tests.api.conftest import START
from tests.api.door import Door, House, Reply, state_of
from tests.sim_clock import SimClock
from tests.world import make_world

pytestmark = pytest.mark.anyio


async def test_a_key_may_ask_so_often_a_minute_and_others_are_not_held_back(
    house: House, db: Database, ids: IdSource, clock: SimClock
) -> None:
    api = native_api(state_of(db, clock, ids), requests_per_minute=3)
    full, read = Door(api, house.full.key), Door(api, house.read.key)

    heard = [(await full("GET", "/v1/checks")) for _ in range(4)]
    other = await read("GET", "/v1/checks")
    clock.move_to(START + timedelta(seconds=19))
    early = await full("GET", "/v1/checks")
    clock.move_to(START + timedelta(seconds=20))
    later = [(await full("GET", "/v1/checks")).status for _ in range(2)]

    assert [200, 200, 200, 429] == [reply.status for reply in heard]
    assert ("20", "urn:heartfly:problem:too-many-requests") == (heard[3].headers["retry-after"], heard[3].json["type"])
    assert (200, 429, [200, 429]) == (other.status, early.status, later)


async def test_events_are_counted_by_their_number_and_not_by_requests(
    house: House, db: Database, usage_db: Database, ids: IdSource, clock: SimClock
) -> None:
    settings = Settings(limits=Limits(events_per_minute=600))
    api = native_api(state_of(db, clock, ids, settings, usage=usage_db), requests_per_minute=1)
    full = Door(api, house.full.key)
    batch = [{"no": n} for n in range(250)]

    def retried(reply: Reply) -> tuple[int, str | None]:
        return reply.status, reply.headers.get("retry-after")

    paths = ["/v1/events", "/metronome/v1/ingest", "/v1/events", "/openmeter/api/v1/events"]
    heard = [retried(await full("POST", path, batch)) for path in paths]
    small = retried(await full("POST", "/v1/events", batch[:90]))
    # 20 KiB of one event, and a body that is none, count as 21.
    clock.move_to(START + timedelta(seconds=2))
    bytes_ = [retried(await full("POST", "/v1/events", body=b'"' + b"x" * 20_480)) for _ in range(2)]

    assert [(200, None), (400, None), (429, "15"), (429, "15")] == heard
    assert (200, None) == small
    assert [(400, None), (429, "1")] == bytes_
    assert [200, 429] == [(await full("GET", "/v1/events")).status for _ in range(2)]
    told = await full("POST", "/v1/events", batch)
    assert "more than 600 events a minute, which is limits.events_per_minute" == told.json["detail"]


async def test_what_a_request_took_before_it_was_counted_is_no_part_of_what_it_lacks() -> None:
    """Its size is counted before its events are: who waits as he is told gets through."""
    pace, caller = Pace(600), Caller(1, "main", frozenset(), "key:1", 1, None, "")

    for now in (0.0, 60.0):  # more than a minute's worth, and each time all of a full bucket
        pace.demand(caller, now, 30)
        pace.demand(caller, now, 1_000, held=30)
    pace.demand(caller, 61.0, 10)
    with pytest.raises(TooManyRequestsError) as told:
        pace.demand(caller, 61.0, 500, held=10)
    assert 49 == told.value.retry_after
    pace.demand(caller, 110.0, 10)
    pace.demand(caller, 110.0, 500, held=10)


async def test_a_request_that_is_more_than_a_minute_s_worth_waits_for_all_of_it() -> None:
    pace = Pace(10)
    caller = Caller(1, "main", frozenset(), "key:1", 1, None, "")
    pace.demand(caller, 0.0, 1000)

    with pytest.raises(TooManyRequestsError):
        pace.demand(caller, 59.0, 1000)
    pace.demand(caller, 60.0, 1000)


async def test_when_too_many_writes_wait_the_next_is_told_when_to_try_again(tmp_path: Path, clock: SimClock) -> None:
    db, ids = Database(url="", data_dir=tmp_path, clock=clock, capacity=1), IdSource(1)
    upgrade(db.engine)
    db.start()
    world = await make_world(db, ids, START)
    full = Door(native_api(state_of(db, clock, ids)), world.project.api_key)
    busy, enough = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(_: Tx) -> None:
        loop.call_soon_threadsafe(busy.set)
        enough.wait(60)

    under_way = asyncio.create_task(db.write(slow))
    await busy.wait()
    waiting = asyncio.create_task(db.write(lambda _: "done"))  # the one that the queue has room for
    refused = await full("POST", "/v1/checks", {"name": "refused"})
    enough.set()

    assert ("urn:heartfly:problem:overloaded", "2") == (refused.json["type"], refused.headers["retry-after"])
    assert "done" == await waiting
    await under_way
    assert [] == (await full("GET", "/v1/checks")).json["items"]
    await db.stop()


@pytest.mark.postgres
async def test_a_database_that_is_away_is_told_as_such_and_heard_again_when_it_is_back(
    postgres_server: str, postgres_url: str, tmp_path: Path, clock: SimClock
) -> None:
    db, ids = Database(url=postgres_url, data_dir=tmp_path, clock=clock), IdSource(1)
    db.start()
    world = await make_world(db, ids, START)
    full = Door(native_api(state_of(db, clock, ids)), world.project.api_key)
    name = postgres_url.rpartition("/")[2].partition("?")[0]

    def allow(answer: str) -> None:
        with psycopg.connect(postgres_server, autocommit=True) as server:
            server.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS {answer}'.encode())
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])

    allow("false")
    away = [await full("GET", "/v1/checks"), await full("POST", "/v1/checks", {"name": "x"})]
    allow("true")
    back = await full("POST", "/v1/checks", {"name": "x"})
    await db.stop()

    assert [(503, "5", "urn:heartfly:problem:overloaded")] * 2 == [
        (reply.status, reply.headers["retry-after"], reply.json["type"]) for reply in away
    ]
    assert 201 == back.status


async def test_of_many_keys_only_the_latest_are_remembered() -> None:
    pace = Pace(1, remembered=2)
    callers = [Caller(1, "main", frozenset(), f"key:{n}", n, None, "") for n in range(3)]
    for caller in callers:
        pace.demand(caller, 0.0)

    with pytest.raises(TooManyRequestsError):
        pace.demand(callers[2], 0.0)
    pace.demand(callers[0], 0.0)
