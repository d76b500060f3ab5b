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
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from bench.procstat import cpu_s, megabytes
from heartfly.db.models import flips, pings
from heartfly.pings.replay import LANE
from tests.faults.own_postgres import LIMIT_S, Jobs, Said, start, stop, until
from tests.faults.steady import Steady
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


async def until_empty(server: Server, *, limit_s: float = LIMIT_S) -> None:
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


def audit(answered: Mapping[str, Said], rows: list[Any]) -> None:
    """Every 200 is there, once, with the time at which it came; and each check's were applied in that order."""
    times = Counter(row.rid for row in rows)
    told = {rid: said for rid, said in answered.items() if said.code == 200}
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
    audit(jobs.answered, rows)
    assert {200} == {said.code for said in jobs.answered.values()}
    assert [("up", "success")] * 3 == flipped
    assert [] == list((server.folder / "heartfly-data" / "spool").iterdir())


def replayed(url: str) -> int:
    """The number of the last record that any life has brought back."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT max(last_batch) FROM node_batches WHERE lane = %s", [LANE]).fetchone()
    return (found or [None])[0] or 0


async def test_a_node_that_is_killed_in_the_middle_of_a_replay_brings_back_each_once(
    server: Server, postgres: Any
) -> None:
    ping_key, paths = await served(server, n=20)
    steady = Steady(server.port, [*paths[1:], f"/ping/{ping_key}/job-0"], 1_000, server.folder / "answers")
    with steady.at_work():
        await until(lambda: steady.n_answered > 300)
        await asyncio.to_thread(stop, postgres)
        n_before = steady.n_answered
        await until(lambda: steady.n_answered > n_before + 4_000)
        url = postgres.get_uri()
        await asyncio.to_thread(start, postgres)
        async with asyncio.timeout(LIMIT_S):
            while not await asyncio.to_thread(replayed, url):  # noqa: ASYNC110 - another process has no event
                await asyncio.sleep(0.005)  # noqa: TID251 - bounded above
        await asyncio.to_thread(server.kill)
        n_then = await asyncio.to_thread(replayed, url)
        await asyncio.to_thread(server.start)
        await until_empty(server)
        n_before = steady.n_answered
        await until(lambda: steady.n_answered > n_before + 300)
    assert 0 == await asyncio.to_thread(server.stop)

    assert '"event":"spool_taken_over"' in (server.folder / "server.log").read_text()  # some were left
    assert n_then > 0  # and some were not
    rows, flipped = await asyncio.to_thread(stored_by, url)
    audit(steady.answered, rows)
    assert {200} == {said.code for said in steady.answered.values()}
    assert [("up", "success")] * 20 == flipped


@pytest.mark.slow
@pytest.mark.parametrize("away_s", [pytest.param(30, id="half a minute"), pytest.param(600, id="ten minutes")])
async def test_without_a_database_at_300_pings_a_second(server: Server, postgres: Any, away_s: int) -> None:
    """The goal is ten minutes, and a minute to bring it in; half a minute shows the same in less time."""
    _, paths = await served(server, n=30)
    steady = Steady(server.port, paths, 300, server.folder / "answers")
    with steady.at_work():
        begun = time.perf_counter()
        await until(lambda: steady.n_answered > 3_000)
        await asyncio.to_thread(stop, postgres)
        gone = time.perf_counter()
        await until(lambda: time.perf_counter() > gone + away_s, limit_s=away_s + 60)
        lay = await lying(server)
        back = await asyncio.to_thread(start, postgres)
        used_s, mb = -worked_s(server, postgres), [megabytes_of(server)]
        await until_empty(server, limit_s=away_s + 600)
        empty = time.perf_counter()
        used_s += worked_s(server, postgres)
        mb.append(megabytes_of(server))
        # Long enough for the slots of the outage to be judged.
        await until(lambda: time.perf_counter() > empty + 15)
    assert 0 == await asyncio.to_thread(server.stop)

    rows, flipped = await asyncio.to_thread(stored_by, postgres.get_uri())
    took_s = empty - back
    print(
        f"{away_s} s away, {lay} in the spool; replayed in {took_s:.1f} s ({lay / took_s:.0f}/s);",
        f"computing of the server and PostgreSQL meanwhile: {used_s:.1f} s; memory before and after: {mb} MB;",
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors; answers:",
        *(
            f"{when} {told_in(steady.between(begin, end), end - begin)}"
            for when, begin, end in (("before", begun, gone), ("away", gone, back), ("in the replay", back, empty))
        ),
        sep="\n",
    )
    audit(steady.answered, rows)
    assert {200} == {said.code for said in steady.answered.values()}
    assert [("up", "success")] * 30 == flipped
    assert took_s <= 60  # on a machine with nothing else to do


def worked_s(server: Server, postgres: Any) -> float:
    assert server.process is not None
    return cpu_s([server.process.pid, int((Path(postgres.pgdata) / "postmaster.pid").read_text().split()[0])])


def megabytes_of(server: Server) -> int:
    assert server.process is not None
    return round(megabytes([server.process.pid]))


def told_in(answers: list[Said], span_s: float) -> str:
    took = sorted((said.told_at - said.sent_at).total_seconds() * 1000 for said in answers)
    p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
    return f"{len(took)} ({len(took) / span_s:.0f}/s), p50 {p50:.1f} ms, p99 {p99:.1f} ms, at most {took[-1]:.0f} ms"
