"""`kill -9` under load: what was acknowledged is there, what should be told is told, and nothing twice unflagged.

Few kills run with every test run; `make faults` makes 200 on each database. However many are asked for, after
HEARTFLY_KILL_S seconds there are no more of them, and those that were are audited.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path

import pytest

from tests.faults.auditor import audit, set_up, until_drained
from tests.notify.receivers import HttpReceiver
from tests.server_process import Server

KILLS = int(os.environ.get("HEARTFLY_KILLS", "3"))
MOST_S = float(os.environ.get("HEARTFLY_KILL_S", "inf"))
CLIENTS = 8


@pytest.mark.e2e
@pytest.mark.anyio
async def test_no_acknowledged_ping_and_no_alert_is_lost(database_url: str, tmp_path: Path) -> None:
    seed = int(os.environ.get("HEARTFLY_SEED", "1"))
    rng = random.Random(seed)
    settings = {"PINGS__KEEP_PER_CHECK": "100000000", "PINGS__RATE_PER_MINUTE": "100000000"}
    if database_url:
        settings["DATABASE__URL"] = database_url
    server = Server(tmp_path, settings)
    keys = await asyncio.to_thread(server.init)
    async with HttpReceiver() as receiver:
        await asyncio.to_thread(server.start)
        load = await set_up(server, keys["api_key"], receiver)
        clients = [asyncio.ensure_future(load.client(random.Random(rng.random()))) for _ in range(CLIENTS)]
        slowest, n_kills, begun = 0.0, 0, time.perf_counter()
        while n_kills < KILLS and time.perf_counter() < begun + MOST_S:
            await asyncio.sleep(rng.uniform(0.05, 1.0))  # noqa: TID251 - the moment of the kill is what is drawn
            await asyncio.to_thread(server.kill)
            n_kills += 1
            slowest = max(slowest, await asyncio.to_thread(server.start))
        load.stopping = True
        await asyncio.gather(*clients)
        await until_drained(server, keys["api_key"])
        assert 0 == await asyncio.to_thread(server.stop)
    print(f"seed={seed} kills={n_kills} of {KILLS} acknowledged={len(load.acknowledged)} slowest start={slowest:.2f} s")
    audit(server, load, receiver, seed)
