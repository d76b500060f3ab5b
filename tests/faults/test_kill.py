"""`kill -9` under load: what was acknowledged is there, what should be told is told, and nothing twice unflagged.

Jobs that are never silent, that are too late now and then, that have ceased, and that fail, all at once, and each kill
at another moment of their deadlines. Few kills run with every test run; `make faults` makes 200 on each database.
However many are asked for, after HEARTFLY_KILL_S seconds there are no more of them, and those that were are audited.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.auditor import Alive, audit
from tests.faults.clients import SECOND, TIMED, Load, now, set_up, until_drained
from tests.faults.days_over import sum_up_days
from tests.faults.lives import Span
from tests.notify.receivers import HttpReceiver
from tests.server_process import Server

KILLS = int(os.environ.get("HEARTFLY_KILLS", "3"))
MOST_S = float(os.environ.get("HEARTFLY_KILL_S", "inf"))
CLIENTS = 4
LONGEST_S = 6
"""A slot, of those that are to fall due, or a run."""
ONE_IN = 8
"""So many lives are short, and one is long enough for a whole silence."""


@dataclass(frozen=True, slots=True)
class Patience:
    """`most_s`: after so long a server that is alive has judged what fell due. `long_s`: of a life that has to."""

    most_s: int
    long_s: tuple[float, float]


PATIENCE = {False: Patience(5, (11, 16)), True: Patience(16, (22, 28))}
"""On PostgreSQL another node might be alive: one that is killed is waited for, ten seconds."""


@pytest.mark.e2e
@pytest.mark.anyio
async def test_no_acknowledged_ping_and_no_alert_is_lost(
    database_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    seed = int(os.environ.get("HEARTFLY_SEED", "1"))
    rng = random.Random(seed)
    settings = {"PINGS__KEEP_PER_CHECK": "100000000", "PINGS__RATE_PER_MINUTE": "100000000"}
    if database_url:
        settings["DATABASE__URL"] = database_url
    server, patience = Server(tmp_path, settings), PATIENCE[bool(database_url)]
    request.addfinalizer(server.leave)
    keys = await asyncio.to_thread(server.init)
    async with HttpReceiver() as receiver:
        await asyncio.to_thread(server.start)
        lives, since = list[Span](), now()
        load = await set_up(server, keys["api_key"], receiver, TIMED)
        moody = [load.client(random.Random(rng.random())) for _ in range(CLIENTS)]
        clients = [asyncio.ensure_future(client) for client in (*moody, *load.clients_of_jobs(rng))]
        slowest, called, begun = 0.0, since, time.perf_counter()
        while len(lives) < KILLS and time.perf_counter() < begun + MOST_S:
            is_long = len(lives) % ONE_IN == ONE_IN - 1
            await _lives(rng.uniform(*patience.long_s) if is_long else rng.uniform(0.05, 1.0))
            lives.append((since, now()))
            await asyncio.to_thread(server.kill)
            called = now()
            slowest = max(slowest, await asyncio.to_thread(server.start))
            since = now()
        await _lives(1)  # the last of them hears, and is killed no more
        load.stopping = True
        await asyncio.gather(*clients)
        await _lives(patience.most_s + LONGEST_S)
        await until_drained(server, keys["api_key"])
        counted = await asyncio.to_thread(_pings_counted, server)
        assert 0 == await asyncio.to_thread(server.stop)
    end = now()
    await sum_up_days(server)
    alive = Alive([*lives, (since, end)], patience.most_s * SECOND, end)
    figures = audit(server, load, receiver, seed, alive=alive)
    print(f"seed={seed} kills={len(lives)} of {KILLS} slowest start={slowest:.2f} s")
    print("; ".join(f"{name}: {n}" for name, n in sorted(figures.items())))
    assert counted == sum(said.answered_at is not None and said.sent_at >= called for said in load.said.values())
    _looked(load, figures)


def _looked(load: Load, figures: dict[str, int]) -> None:
    """It was no audit of nothing."""
    silent = sum(job.way == "silent" for job in load.jobs.values())
    assert silent == figures["alarms of what was silent"]
    assert figures["alarms of what was moody"]
    assert figures["alarms of what was stray"]
    assert figures["days summed up"] >= len(load.jobs)
    assert figures["deadlines judged"] > silent


def _pings_counted(server: Server) -> int:
    """By the life that is the last, since its start."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("heartfly_pings_total{"))


async def _lives(seconds: float) -> None:
    await asyncio.sleep(seconds)  # noqa: TID251 - the moment of the kill is what is drawn
