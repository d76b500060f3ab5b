"""PostgreSQL goes away under pings and comes back, and there is no spool: who pinged heard 503, and nobody is held for
down because of it.

A server of the test's own, as it is stopped the hard way. Compared are what the clients were answered and what the
database holds.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.db.models import blind_intervals, flips, pings
from tests.fair_time import Stopwatch
from tests.faults.own_postgres import Jobs, start, stop, until
from tests.server_process import Server

pytestmark = [pytest.mark.e2e, pytest.mark.postgres, pytest.mark.anyio]

AWAY_S = 8
SLOT_S = 6
BACK_S = 1.0
"""How soon pings are taken again."""


async def test_while_it_is_away_pings_hear_503_and_nobody_is_held_for_down(tmp_path: Path, postgres: Any) -> None:
    url = postgres.get_uri()
    server = Server(tmp_path, {"DATABASE__URL": url, "PINGS__RATE_PER_MINUTE": "100000", "SPOOL__MAX_BYTES": "0"})
    keys = await asyncio.to_thread(server.init)
    await asyncio.to_thread(server.start)
    rules = {"schedule": {"kind": "period", "period": SLOT_S - 1}, "grace": 1}
    made = [server.api("POST", "/v1/checks", keys["api_key"], {"name": f"job {n}", **rules}) for n in range(3)]
    jobs = Jobs(server.port, [check["ping_url"].removeprefix(server.url) for check in made])
    running = [asyncio.ensure_future(jobs.run(path)) for path in jobs.paths]
    await until(lambda: len(jobs.answered) > 30)

    gone = time.perf_counter()
    await asyncio.to_thread(stop, postgres)
    stopped = time.perf_counter()
    await until(lambda: time.perf_counter() > stopped + AWAY_S)
    back = await asyncio.to_thread(start, postgres)
    watch = Stopwatch()
    await until(lambda: jobs.since(back, 200))
    crowded_s = watch.crowded_s()
    await until(lambda: len(jobs.since(back, 200)) > 30)
    # Long enough for the slot of the outage to be judged, and the one after it.
    await until(lambda: time.perf_counter() > back + 2 * SLOT_S)
    jobs.stopping = True
    await asyncio.gather(*running)
    assert 0 == await asyncio.to_thread(server.stop)

    assert {200, 503} == {said.code for said in jobs.answered.values()}
    assert len(jobs.since(gone, 503)) > 30
    assert all(said.retry_after.isdigit() for said in jobs.with_code(503).values())
    took = jobs.since(back, 200)[0] - back
    print(f"{len(jobs.answered)} tries, {len(jobs.since(0, 503))} refused; taken again after {took:.2f} s")
    assert took - crowded_s <= BACK_S

    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        stored = set(connection.execute(sa.select(pings.c.rid)).scalars())
        flipped = list(connection.execute(sa.select(flips.c.to_status, flips.c.reason)).tuples())
        blind = list(connection.execute(sa.select(blind_intervals.c.from_at, blind_intervals.c.to_at,
                                                  blind_intervals.c.cause)).tuples())  # fmt: skip
    engine.dispose()
    assert [] == [rid for rid in jobs.with_code(200) if rid not in stored]
    assert [("up", "success")] * 3 == flipped
    away = [(to_at - from_at).total_seconds() for from_at, to_at, cause in blind if cause == "the database was away"]
    assert 1 == len(away)
    assert away[0] > AWAY_S - 1
