"""A disk that is really full, under a running server: a file system of some megabytes, filled up by somebody else.

Pings hear 503 and none that heard 200 is lost; who is silent is told of all the same; and it goes on by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from heartfly.db.reserve import FILE
from tests.faults.clients import set_up
from tests.notify.receivers import HttpReceiver
from tests.server_process import AskedTooMuchError, Server, get

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.anyio]

LIMIT_S = 120
N_CLIENTS = 6
N_ASKED = 200


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root mounts a file system")
    if shutil.which("mount") is None:
        pytest.skip("no mount here")
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "heartfly-test", str(folder)]
    made = subprocess.run(words, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no file system can be mounted: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path) -> None:
    """To the last byte."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            file.write(b"x")


async def until(come: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not await come():  # noqa: ASYNC110 - a real process has no event to wait on
            await asyncio.sleep(0.1)  # noqa: TID251 - polls, bounded above


async def down(receiver: HttpReceiver, name: str) -> bool:
    said = [json.loads(one.body) for one in receiver.requests]
    return any(body["type"] == "check.down" and body["check"]["name"] == name for body in said)


def stored(data: Path) -> set[str]:
    with closing(sqlite3.connect(data / "heartfly.db")) as database:
        assert "ok" == database.execute("PRAGMA integrity_check").fetchone()[0]
        return {rid for (rid,) in database.execute("SELECT rid FROM pings")}


async def test_on_a_full_disk_pings_hear_503_alerts_go_on_and_nothing_is_lost(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 64) as disk:
        data = disk / "data"
        settings = {"DATA__DIR": str(data), "DISK__LOW_MB": "0", "DISK__FLOOR_MB": "0", "DISK__RESERVE_MB": "8"}
        settings |= {"PINGS__KEEP_PER_CHECK": "1000000", "PINGS__RATE_PER_MINUTE": "1000000"}
        server = Server(tmp_path, settings)
        keys = await asyncio.to_thread(server.init)
        key = keys["api_key"]
        async with HttpReceiver() as receiver:
            await asyncio.to_thread(server.start)
            try:
                load = await set_up(server, key, receiver)
                made = await asyncio.to_thread(
                    server.api, "POST", "/v1/checks", key,
                    {"name": "silent", "schedule": {"kind": "period", "period": 5}, "grace": 2},
                )  # fmt: skip
                silent = made["ping_url"].removeprefix(server.url)
                clients = [asyncio.create_task(load.client(random.Random(n))) for n in range(N_CLIENTS)]
                await until(lambda: _so(len(load.acknowledged) > 100 and (data / FILE).exists()))

                assert 200 == await get(server.port, silent)
                fill(disk / "others")
                await until(lambda: _so(not (data / FILE).exists()))
                n_before = len(load.acknowledged)
                answers = {await get(server.port, load.ping_urls[0]) for _ in range(N_ASKED)}
                with pytest.raises(AskedTooMuchError, match="the disk is full"):
                    await asyncio.to_thread(server.api, "POST", "/v1/events", key, [EVENT])
                await until(lambda: down(receiver, "silent"))
                await asyncio.to_thread(server.api, "PATCH", f"/v1/checks/{made['id']}", key, {"name": "spoken of"})
                answers |= {await get(server.port, load.ping_urls[0]) for _ in range(N_ASKED)}
                n_meanwhile = len(load.acknowledged) - n_before

                (disk / "others").unlink()
                await until(lambda: _is_ok(server.port, silent))
                n_then = len(load.acknowledged)
                await until(lambda: _so(len(load.acknowledged) > n_then + 100 and (data / FILE).exists()))
                load.stopping = True
                await asyncio.gather(*clients)
                assert 0 == await asyncio.to_thread(server.stop)
            finally:
                load.stopping = True
                server.leave()
        there = stored(data)

    told = (tmp_path / "server.log").read_text()
    print(f"{len(load.acknowledged)} pings acknowledged, {load.refused[503]} refused; {n_meanwhile} meanwhile")
    assert {503} == answers
    assert n_meanwhile <= N_CLIENTS, "what was under way as the room was let go"
    assert {503} == set(load.refused)
    assert [] == [rid for rid in load.acknowledged if rid not in there]
    assert "disk_is_full" in told
    assert "disk_is_not_full" in told
    assert "Traceback" not in told


EVENT = {
    "transaction_id": "e-1",
    "customer_id": "acme",
    "timestamp": "2026-03-02T03:00:00Z",
    "event_type": "api",
    "properties": {},
}


async def _so(is_so: bool) -> bool:  # noqa: FBT001 - for `until`
    return is_so


async def _is_ok(port: int, path: str) -> bool:
    return await get(port, path) == 200


async def test_a_full_disk_is_started_on_by_the_room_that_is_kept(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 64) as disk:
        data = disk / "data"
        server = Server(tmp_path, {"DATA__DIR": str(data), "DISK__LOW_MB": "0", "DISK__FLOOR_MB": "0"})
        server.settings["DISK__RESERVE_MB"] = "8"
        keys = await asyncio.to_thread(server.init)
        try:
            await asyncio.to_thread(server.start)
            await until(lambda: _so((data / FILE).exists()))
            await asyncio.to_thread(server.kill)
            fill(disk / "others")

            await asyncio.to_thread(server.start)
            assert 503 == await get(server.port, f"/ping/{keys['ping_key']}/job?create=1")
            (disk / "others").unlink()
            await until(lambda: _created(server.port, f"/ping/{keys['ping_key']}/job?create=1"))
            assert 0 == await asyncio.to_thread(server.stop)
        finally:
            server.leave()


async def _created(port: int, path: str) -> bool:
    return await get(port, path) == 201
