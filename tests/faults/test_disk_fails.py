"""The disk under a running server: a flush that fails, and one that takes long. strace makes both, in the real process.

What is acknowledged is on the disk, or the process ends; it never goes on after a flush that failed, for what the
kernel kept of that write nobody knows.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.faults.clients import Load, set_up
from tests.notify.receivers import HttpReceiver
from tests.server_process import Server, get

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.anyio]

LIMIT_S = 90
SLOW_MS = 200
LOOKED_S = 5.0
N_CLIENTS = 32


@contextmanager
def injected(server: Server, how: str) -> Iterator[None]:
    """Into each flush of the server, by whichever of its threads. Returns when strace has a hold of all of them."""
    if shutil.which("strace") is None:
        pytest.skip("no strace here: apt-get install strace")
    assert server.process is not None
    log = server.folder / "strace.log"
    words = ["strace", "-f", "-o", str(log), "-e", "trace=fdatasync,fsync", "-e", f"inject=fdatasync,fsync:{how}"]
    tracing = subprocess.Popen([*words, "-p", str(server.process.pid)], stderr=subprocess.PIPE, text=True)
    try:
        assert tracing.stderr is not None
        said = tracing.stderr.readline()
        assert "attached" in said, said
        yield
    finally:
        tracing.send_signal(signal.SIGINT)
        tracing.communicate(timeout=LIMIT_S)


async def begun(server: Server, receiver: HttpReceiver) -> tuple[Load, list[asyncio.Task[None]]]:
    settings = {"PINGS__KEEP_PER_CHECK": "1000000", "PINGS__RATE_PER_MINUTE": "1000000"}
    server.settings.update(settings)
    keys = await asyncio.to_thread(server.init)
    await asyncio.to_thread(server.start)
    load = await set_up(server, keys["api_key"], receiver)
    rng = random.Random(1)
    clients = [asyncio.create_task(load.client(random.Random(rng.random()))) for _ in range(N_CLIENTS)]
    async with asyncio.timeout(LIMIT_S):
        while len(load.acknowledged) < N_CLIENTS:  # noqa: ASYNC110 - a real process has no event to wait on
            await asyncio.sleep(0.05)  # noqa: TID251 - polls, bounded above
    return load, clients


def stored(server: Server) -> set[str]:
    with closing(sqlite3.connect(server.folder / "heartfly-data" / "heartfly.db")) as database:
        return {rid for (rid,) in database.execute("SELECT rid FROM pings")}


async def test_a_flush_that_fails_is_acknowledged_to_nobody_and_ends_the_process(tmp_path: Path) -> None:
    server = Server(tmp_path)
    async with HttpReceiver() as receiver:
        load, clients = await begun(server, receiver)
        try:
            with injected(server, "error=EIO"):
                assert server.process is not None
                status = await asyncio.to_thread(server.process.wait, LIMIT_S)
            load.stopping = True
            await asyncio.gather(*clients)
            load.stopping = False
            told = (tmp_path / "server.log").read_text()

            await asyncio.to_thread(server.start)
            assert 200 == await get(server.port, load.ping_urls[0])
            assert 0 == await asyncio.to_thread(server.stop)
        finally:
            load.stopping = True
            server.leave()

    assert 0 != status
    assert "disk I/O error" in told
    assert [] == [rid for rid in load.acknowledged if rid not in stored(server)]


async def test_a_slow_flush_is_shared_by_all_who_wait_for_it(tmp_path: Path) -> None:
    server = Server(tmp_path)
    async with HttpReceiver() as receiver:
        load, clients = await begun(server, receiver)
        try:
            with injected(server, f"delay_enter={SLOW_MS}000"):
                begun_at, before = time.perf_counter(), len(load.acknowledged)
                await asyncio.sleep(LOOKED_S)  # noqa: TID251 - so long it is looked at how many are answered
                n, took_s = len(load.acknowledged) - before, time.perf_counter() - begun_at
            load.stopping = True
            await asyncio.gather(*clients)
            assert 0 == await asyncio.to_thread(server.stop)
        finally:
            load.stopping = True
            server.leave()

    n_flushes = (tmp_path / "strace.log").read_text().count("(DELAYED)")
    print(f"{n} pings in {took_s:.1f} s, by {n_flushes} flushes of {SLOW_MS} ms")
    assert n > 2 * n_flushes > 0  # each by itself would take a flush of its own
    assert [] == [rid for rid in load.acknowledged if rid not in stored(server)]
