"""How long it takes to be back with many checks after `kill -9` under pings: from exec to the first ping that was
answered, durable, and to the first round of judging.

While the server is dead a check falls due, so that the round is known by what it has written of that.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import sqlalchemy as sa

from bench import load
from bench.alerts import reading_of
from bench.load import CLOCK
from bench.procstat import megabytes
from bench.report import Figure
from bench.seed import Seeded, make_due, seed
from bench.served import Served, Store, Stores, heartfly
from heartfly.db.models import runs

PINGS_PER_S = 100
_PINGED_S = 2.0
"""So long before it is killed."""
_LIMIT_S = 60.0


async def measure(made: Stores, *, n_checks: int, tries: int) -> list[Figure]:
    store = made.fresh()
    seeded = seed(store, n_checks)
    answered, judged, used_mb = [], [], 0.0
    async with heartfly(store, seeded.paths[-1]) as served:
        await _pinged_and_killed(served, seeded.paths[tries:])
    for n in range(tries):
        one = replace(seeded, check_ids=seeded.check_ids[n:])
        make_due(store, one, [(1, CLOCK.now())])
        begun = time.perf_counter()
        async with heartfly(store, seeded.paths[-1]) as served:
            answered.append(served.started_s)
            judged.append(await _judged(store, one) - begun)
            used_mb = megabytes([served.pid])
            await _pinged_and_killed(served, seeded.paths[tries:])
    return [
        Figure(
            name=f"start after kill -9: first ping answered, {n_checks:,} checks",
            value=min(answered),
            unit="s",
            at_most=2,
            note=_of(answered),
        ),
        Figure(
            name=f"start after kill -9: first round judged, {n_checks:,} checks",
            value=min(judged),
            unit="s",
            at_most=5,
            note=_of(judged),
        ),
        Figure(name="memory after the start", value=used_mb, unit="MB", at_most=150),
    ]


def _of(seconds: list[float]) -> str:
    return "of " + ", ".join(f"{each:.2f}" for each in seconds)


async def _pinged_and_killed(served: Served, paths: list[str]) -> None:
    """In the middle of them: who pings then is not answered."""
    pinging = asyncio.create_task(load.open_loop(served.port, paths, per_s=PINGS_PER_S, seconds=_PINGED_S + 0.2))
    await CLOCK.sleep(_PINGED_S)
    served.process.kill()
    await asyncio.to_thread(served.process.wait)
    if not (await pinging).answers(_PINGED_S).n:
        raise RuntimeError("no ping was answered before the kill")


async def _judged(store: Store, seeded: Seeded) -> float:
    """When the slot of the check that fell due was judged, by the performance counter: nobody heard it."""
    engine = reading_of(store)
    its = sa.select(sa.func.count()).where(runs.c.pid == seeded.pid, runs.c.check_id == seeded.check_ids[0])
    until = time.perf_counter() + _LIMIT_S
    try:
        while time.perf_counter() < until:
            async with engine.connect() as connection:
                if (await connection.execute(its)).scalar_one():
                    return time.perf_counter()
            await CLOCK.sleep(0.02)
    finally:
        await engine.dispose()
    raise RuntimeError(f"nothing was judged after {_LIMIT_S:.0f} s")
