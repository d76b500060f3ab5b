"""The power fails at any moment: no ping that was answered with 200 is lost, and no page is damaged.

A real server is traced while clients ping it, and its files are then put together as a disk may have left them.
`make faults` looks at 10,000 such moments.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import time
import uuid
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from tests.faults.power import CALLS, Disk, read_trace
from tests.server_process import Server, free_port, get

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

N_CUTS = int(os.environ.get("HEARTFLY_CUTS", "200"))
SEED = int(os.environ.get("HEARTFLY_SEED", "1"))
N_PINGS = 300
N_CLIENTS = 8
LIMIT_S = 240.0


@dataclass(frozen=True)
class Recorded:
    disk: Disk
    deaf_disk: Disk
    first: int
    """The call before which nothing had been acknowledged."""
    acknowledged: list[tuple[float, str]]
    """When, and the ping's run id."""
    main: str


async def ping_all(port: int, path: str) -> list[tuple[float, str]]:
    heard: list[tuple[float, str]] = []

    async def client() -> None:
        while len(heard) < N_PINGS:
            rid = str(uuid.uuid4())
            assert 200 == await get(port, f"{path}?rid={rid}")
            heard.append((time.time(), rid))  # noqa: TID251 - strace's times are of that clock

    async with asyncio.timeout(LIMIT_S):
        await asyncio.gather(*(client() for _ in range(N_CLIENTS)))
    return heard


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    if shutil.which("strace") is None:
        pytest.skip("no strace here: apt-get install strace")
    folder = tmp_path_factory.mktemp("power")
    traces = folder / "traces"
    traces.mkdir()
    server = Server(folder, {"PINGS__RATE_PER_MINUTE": "1000000"})
    keys = server.init()
    main = folder / "heartfly-data" / "heartfly.db"
    began = {str(main): main.read_bytes()}
    server.port = free_port()
    # -D: the server is our own child, so that it is the one that is killed.
    # What is not looked at costs nothing by the filter of the kernel.
    tracing = ["strace", "-D", "-ff", "--seccomp-bpf", "-ttt", "-y", "-xx", "-s", "1000000", "-e", f"trace={CALLS}"]
    with (folder / "server.log").open("ab") as log:
        server.process = subprocess.Popen(
            [*tracing, "-o", str(traces / "t"), sys.executable, "-m", "heartfly", "serve", "--port", str(server.port)],
            cwd=folder, env=server.environment, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        made = until_it_answers(server, keys["api_key"])
        first_at = time.time()  # noqa: TID251 - as above
        acknowledged = asyncio.run(ping_all(server.port, made))
    finally:
        server.leave()
    trace = read_trace(traces, [str(main), f"{main}-wal"])
    disk = Disk(began, trace)
    return Recorded(disk, Disk(began, trace, without_flushes=True), disk.moment_of(first_at), acknowledged, str(main))


def until_it_answers(server: Server, key: str) -> str:
    """The path to ping, of a check that is made by then."""
    ends = time.monotonic() + LIMIT_S  # noqa: TID251 - bounds a wait
    while True:
        try:
            made = server.api("POST", "/v1/checks", key, {"name": "job"})
        except OSError:
            assert server.process is not None
            assert server.process.poll() is None, (server.folder / "server.log").read_text()[-3000:]
            assert time.monotonic() < ends  # noqa: TID251 - as above
        else:
            return str(made["ping_url"]).removeprefix(server.url)


def look(recorded: Recorded, disk: Disk, random: Random, folder: Path) -> tuple[int, str]:
    """How many acknowledged pings are missing after a cut at a random moment, and what is wrong with the file."""
    moment = random.randrange(recorded.first + 1, len(disk) + 1)
    files, at = disk.cut(moment, random, sure_until=recorded.first)
    for name, content in files.items():
        (folder / Path(name).name).write_bytes(content)
    with closing(sqlite3.connect(folder / Path(recorded.main).name)) as database:
        try:
            (said,) = database.execute("PRAGMA integrity_check").fetchone()
            stored = {rid for (rid,) in database.execute("SELECT rid FROM pings")}
        except sqlite3.DatabaseError as error:
            return 0, str(error)
    lost = [rid for answered_at, rid in recorded.acknowledged if answered_at < at and rid not in stored]
    return len(lost), "" if said == "ok" else str(said)


def cuts(recorded: Recorded, disk: Disk, n: int, folder: Path) -> list[tuple[int, str]]:
    random = Random(SEED)
    found = []
    for number in range(n):
        place = folder / str(number)
        place.mkdir()
        found.append(look(recorded, disk, random, place))
        shutil.rmtree(place)
    return found


def test_no_acknowledged_ping_is_lost_and_no_page_damaged(recorded: Recorded, tmp_path: Path) -> None:
    found = cuts(recorded, recorded.disk, N_CUTS, tmp_path)

    print(f"seed={SEED}: {N_CUTS} cuts in {len(recorded.disk)} calls, {len(recorded.acknowledged)} pings acknowledged")
    assert [] == [(number, *each) for number, each in enumerate(found) if each != (0, "")], f"seed={SEED}"


def test_on_a_disk_that_flushes_nothing_it_is_noticed(recorded: Recorded, tmp_path: Path) -> None:
    found = cuts(recorded, recorded.deaf_disk, 20, tmp_path)

    assert any(n_lost or wrong for n_lost, wrong in found)
