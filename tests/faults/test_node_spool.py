"""PostgreSQL goes away under pings, and they go to the node's spool: every 200 is in the database afterwards, once, in
its order and with the time of its receipt, also when the node is killed with its spool full of things.

A server of PostgreSQL of the test's own, as it is stopped the hard way. Compared are what the clients were answered and
what the database holds.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.db.models import flips, pings
from tests.faults.own_postgres import Jobs, start, stop, until
from tests.server_process import Server

pytestmark = [pytest.mark.e2e, pytest.mark.postgres, pytest.mark.anyio]

SETTINGS = {"PINGS__RATE_PER_MINUTE": "1000000", "PINGS__KEEP_PER_CHECK": "1000000"}
NOBODYS = "/ping/c0ffee00-dead-4bee-8fed-0123456789ab"


def asked(url: str) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON, if it is that."""
    try:
        with urllib.request.urlopen(url, timeout=30) as reply:
            status, headers, body = reply.status, reply.headers, reply.read()
    except urllib.error.HTTPError as error:
        status, headers, body = error.code, error.headers, error.read()
    said = json.loads(body) if "json" in headers.get("content-type", "") else body.decode()
    return status, {name.lower(): value for name, value in headers.items()}, said


async def lying(server: Server) -> int:
    _, _, ready = await asyncio.to_thread(asked, f"{server.url}/readyz")
    return 0 if ready["spool"] is None else int(ready["spool"]["pings"])


async def until_empty(server: Server, *, limit_s: float = 60) -> None:
    async with asyncio.timeout(limit_s):
        while await lying(server):  # noqa: ASYNC110 - a real process has no event to wait on
            await asyncio.sleep(0.1)  # noqa: TID251 - bounded above


def stored_by(url: str) -> tuple[list[Any], list[tuple[str, str]]]:
    """The pings, each check's in the order in which they were applied, and the flips."""
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        query = sa.select(pings.c.check_id, pings.c.rid, pings.c.received_at).where(pings.c.rid.is_not(None))
        rows = list(connection.execute(query.order_by(pings.c.check_id, pings.c.n)).all())
        found = list(connection.execute(sa.select(flips.c.to_status, flips.c.reason)).tuples())
    engine.dispose()
    return rows, [tuple(flip) for flip in found]


def audit(jobs: Jobs, rows: list[Any]) -> None:
    """Every 200 is there, once, with the time at which it came; and each check's were applied in that order."""
    times = Counter(row.rid for row in rows)
    told = jobs.with_code(200)
    assert [] == [rid for rid in told if rid not in times]
    assert [] == [rid for rid, n in times.items() if n > 1]
    came = {row.rid: row.received_at for row in rows}
    assert [] == [rid for rid, said in told.items() if not said.sent_at <= came[rid] <= said.told_at]
    assert [] == [
        (before.rid, after.rid)
        for before, after in pairwise(rows)
        if before.check_id == after.check_id and before.received_at > after.received_at
    ]


@pytest.fixture
def server(tmp_path: Path, postgres: Any) -> Iterator[Server]:
    found = Server(tmp_path, SETTINGS | {"DATABASE__URL": postgres.get_uri()})
    yield found
    found.leave()


async def served(server: Server, *, n: int) -> tuple[str, list[str]]:
    """Start it, with so many checks; the ping key, and where each is called."""
    keys = await asyncio.to_thread(server.init)
    await asyncio.to_thread(server.start)
    rules = {"schedule": {"kind": "period", "period": 5}, "grace": 1}
    made = [
        server.api("POST", "/v1/checks", keys["api_key"], {"name": f"job {i}", "slug": f"job-{i}", **rules})
        for i in range(n)
    ]
    return keys["ping_key"], [check["ping_url"].removeprefix(server.url) for check in made]


async def test_every_200_is_in_the_database_afterwards_also_when_the_node_was_killed(
    server: Server, postgres: Any
) -> None:
    ping_key, paths = await served(server, n=3)
    jobs = Jobs(server.port, [*paths[:2], f"/ping/{ping_key}/job-2"])  # one of them is called by its slug
    async with jobs.at_work():
        await until(lambda: len(jobs.answered) > 60)
        await asyncio.to_thread(stop, postgres)
        gone = time.perf_counter()
        await until(lambda: time.perf_counter() > gone + 2 and len(jobs.since(gone, 200)) > 50)
        assert await lying(server) > 0
        for path in (NOBODYS, f"/ping/{ping_key}/new?create=1"):
            status, headers, _ = await asyncio.to_thread(asked, f"{server.url}{path}")
            assert (503, True) == (status, headers["retry-after"].isdigit())
        await asyncio.to_thread(start, postgres)
        await until_empty(server)
        back = time.perf_counter()
        await until(lambda: len(jobs.since(back, 200)) > 30)

        await asyncio.to_thread(stop, postgres)
        gone = time.perf_counter()
        await until(lambda: len(jobs.since(gone, 200)) > 60)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(start, postgres)
        await asyncio.to_thread(server.start)
        back = time.perf_counter()
        await until(lambda: len(jobs.since(back, 200)) > 30)
        await until_empty(server)
    assert 0 == await asyncio.to_thread(server.stop)

    rows, flipped = await asyncio.to_thread(stored_by, postgres.get_uri())
    audit(jobs, rows)
    assert {200} == {said.code for said in jobs.answered.values()}
    assert [("up", "success")] * 3 == flipped
    assert [] == list((server.folder / "heartfly-data" / "spool").iterdir())


@pytest.mark.slow
async def test_ten_minutes_without_a_database_at_300_pings_a_second(server: Server, postgres: Any) -> None:
    """`HEARTFLY_AWAY_S`: how long, where ten minutes are too many."""
    away_s = float(os.environ.get("HEARTFLY_AWAY_S", "600"))
    _, paths = await served(server, n=30)
    jobs = Jobs(server.port, paths, pause_s=0.09)
    async with jobs.at_work():
        await until(lambda: len(jobs.answered) > 600)
        await asyncio.to_thread(stop, postgres)
        gone = time.perf_counter()
        await until(lambda: time.perf_counter() > gone + away_s, limit_s=away_s + 60)
        n_away = len(jobs.since(gone, 200))
        lay = await lying(server)
        back = await asyncio.to_thread(start, postgres)
        await until_empty(server, limit_s=away_s + 600)
        took_s = time.perf_counter() - back
        # Long enough for the slots of the outage to be judged.
        await until(lambda: time.perf_counter() > back + took_s + 15)
    assert 0 == await asyncio.to_thread(server.stop)

    rows, flipped = await asyncio.to_thread(stored_by, postgres.get_uri())
    print(f"{n_away / away_s:.0f} pings/s for {away_s:.0f} s, {lay} in the spool; replayed in {took_s:.1f} s")
    audit(jobs, rows)
    assert {200} == {said.code for said in jobs.answered.values()}
    assert [("up", "success")] * 30 == flipped
    assert took_s <= 60
