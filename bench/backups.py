"""What a backup costs those who ping meanwhile: `heartfly backup`, again and again, beside pings at a steady pace.

In turns with none, so that whatever else the machine does meets both alike; the ratio is the median of the rounds.
PostgreSQL is backed up by its own tools, which are not measured.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bench.pings import OPEN_PER_S, Round, start_heartfly
from bench.report import Figure
from bench.served import ROOT, Store, Stores


async def measure(made: Stores, *, n_checks: int, rounds: int, seconds: float) -> list[Figure]:
    if made.database != "sqlite":
        return []
    store = made.fresh()
    to, n_made = store.folder.parent / "backup.tar", 0
    alone: list[Round] = []
    beside: list[Round] = []
    async with AsyncExitStack() as stack:
        ours = await start_heartfly(stack, store, n_checks)
        await ours.open(min(seconds, 2))  # caches fill, statements are prepared
        for _ in range(rounds):
            alone.append(await ours.open(seconds))
            async with _backed_up(store, to) as finished:
                beside.append(await ours.open(seconds))
            n_made += len(finished)
    ratio = statistics.median(b.answers.p99_ms / a.answers.p99_ms for a, b in zip(alone, beside, strict=True))
    p99_ms = [statistics.median(one.answers.p99_ms for one in some) for some in (beside, alone)]
    size_mb = to.stat().st_size / 1e6
    return [
        Figure(
            name=f"backup: p99 of pings at {OPEN_PER_S}/s meanwhile, ratio to none",
            value=ratio,
            at_most=2,
            others=max(one.used.others for one in [*alone, *beside]),
            note=f"{p99_ms[0]:.1f} and {p99_ms[1]:.1f} ms, {n_made} backups of {size_mb:.0f} MB in {rounds} rounds",
        ),
        Figure(
            name="backup: pings that were not answered",
            value=sum(one.answers.errors for one in [*alone, *beside]),
            at_most=0,
        ),
    ]


_AGAIN = """
import select, subprocess, sys
while not select.select([sys.stdin], [], [], 0)[0]:
    done = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(done.stdout.decode())
    print("one more", flush=True)
"""
"""Until it is told to end. A process of its own: who pings is large, and to fork it held its own pings up for 25 ms."""


@asynccontextmanager
async def _backed_up(store: Store, to: Path) -> AsyncIterator[list[Path]]:
    """One after the other as long as this lasts; the last one is waited for. RuntimeError: one failed."""
    finished: list[Path] = []
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _AGAIN, store.python, "-m", "heartfly", "backup", "--to", str(to)),
        cwd=ROOT,
        env=os.environ | store.environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield finished
    finally:
        said, wrong = await process.communicate(b"enough")
        if process.returncode:
            raise RuntimeError(f"the backup failed:\n{wrong.decode()}")
        finished += [to] * len(said.splitlines())
