"""More pings than the server can take, by wrk from hundreds of connections; then more connections than it may have.

What it takes is in the database, whoever it cannot take hears 503 or 429, and meanwhile people are told of other jobs:
of one that fails, and of one that falls silent. How many it took is a figure of this machine, and is printed only.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pytest

from tests.faults.clients import Job, Load, set_up
from tests.notify.receivers import HttpReceiver
from tests.server_process import Server, get

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.anyio]

LIMIT_S = 120
CAP, N_CLOSE, N_TOO_MANY = 700, 600, 950
"""Connections that it may have; those of a flood below that, and of one above. 1,024 files are what a shell gives."""
QUEUE = 100
"""Pings that may wait: fewer than those who send, on any machine."""
FEWEST = 500
"""Refused in the first flood, and acknowledged: else it was none."""
N_TURNED_AWAY, N_AFTER = 100, 50
"""Honest ones that find no place in the second, so long does it last; and those that find one when it is over."""
N_HONEST = 4
HEALTHY_S = 3.0
"""In the median, also where others compute."""
MORE_MB = 64
SILENT, FAILING, FLOODED = "silent", "failing", "flooded"
JOBS = (
    *(Job(f"honest {n}", "moody") for n in range(N_HONEST)),
    Job(SILENT, "silent", period=5, grace=2, max_run=None),
    Job(FAILING, "fails"),
    Job(FLOODED, "flooded"),
)
SCRIPT = """
local threads = {}
function setup(thread)
  table.insert(threads, thread)
  thread:set("number", #threads)
end
function init(arguments)
  path, name, made, counts = arguments[1], arguments[2], 0, {}
end
function request()
  made = made + 1
  return wrk.format("GET", string.format("%s?rid=%s%04d-0000-4000-8000-%012d", path, name, number, made))
end
function response(status)
  counts[status] = (counts[status] or 0) + 1
  told = ""
  for status, n in pairs(counts) do told = told .. " " .. status .. "=" .. n end
end
function done()
  for _, thread in ipairs(threads) do print("heard" .. (thread:get("told") or "")) end
end
"""


@dataclass
class Flood:
    """`name`: four hexadecimal digits with which its pings' ids begin. `heard`: how often each status, in the end."""

    process: subprocess.Popen[str]
    name: str
    heard: dict[int, int] = field(default_factory=dict)

    @property
    def goes_on(self) -> bool:
        return self.process.poll() is None


@contextmanager
def flood(server: Server, path: str, name: str, connections: int) -> Iterator[Flood]:
    script = server.folder / "flood.lua"
    script.write_text(SCRIPT)
    words = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{LIMIT_S}s", "--timeout", "30s", "-s", str(script)]
    process = subprocess.Popen([*words, server.url, "--", path, name], stdout=subprocess.PIPE, text=True)
    made = Flood(process, name)
    try:
        yield made
        assert made.goes_on
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=LIMIT_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(LIMIT_S)
    lines = [line.split()[1:] for line in said.splitlines() if line.startswith("heard")]
    for status, _, n in (word.partition("=") for line in lines for word in line):
        made.heard[int(status)] = made.heard.get(int(status), 0) + int(n)


@dataclass
class Health:
    """How long `/healthz` took each time, and what it said; 0: nothing."""

    port: int
    stopping: bool = False
    took_s: list[float] = field(default_factory=list)
    said: set[int] = field(default_factory=set)

    async def ask(self) -> None:
        while not self.stopping:
            begun = time.perf_counter()
            self.said.add(await get(self.port, "/healthz"))
            self.took_s.append(time.perf_counter() - begun)
            await asyncio.sleep(0.1)  # noqa: TID251 - a client's own pause; no assertion waits on it


def memory_mb(server: Server) -> float:
    assert server.process is not None
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def stored(server: Server) -> list[str]:
    with closing(sqlite3.connect(server.folder / "heartfly-data" / "heartfly.db")) as database:
        return [rid for (rid,) in database.execute("SELECT rid FROM pings WHERE rid IS NOT NULL")]


async def until_down(receiver: HttpReceiver, name: str) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not _is_told(receiver, name):  # noqa: ASYNC110 - a real process has no event to wait on
            await asyncio.sleep(0.05)  # noqa: TID251 - polls, bounded above


def _is_told(receiver: HttpReceiver, name: str) -> bool:
    said = [json.loads(one.body) for one in receiver.requests]
    return any(event["type"] == "check.down" and event["check"]["name"] == name for event in said)


async def until_refused(port: int, path: str, times: int) -> None:
    async with asyncio.timeout(LIMIT_S):
        while times:
            times -= await get(port, path) == 503


async def heard(load: Load, path: str, end: str, number: int) -> None:
    """As soon as it is not refused."""
    async with asyncio.timeout(LIMIT_S):
        while not await load.ping(path, end, f"eeee{number:04}-0000-4000-8000-{len(load.said):012}"):
            pass


async def test_in_a_flood_what_is_taken_is_kept_the_rest_is_refused_and_people_are_told_of_others(
    tmp_path: Path,
) -> None:
    if shutil.which("wrk") is None:
        pytest.skip("no wrk here: apt-get install wrk")
    settings = {"PINGS__QUEUE": str(QUEUE), "SERVER__MAX_CONNECTIONS": str(CAP)}
    server = Server(
        tmp_path, settings | {f"PINGS__{name}": "100000000" for name in ("RATE_PER_MINUTE", "KEEP_PER_CHECK")}
    )
    keys = server.init()
    async with HttpReceiver() as receiver:
        try:
            await asyncio.to_thread(server.start)
            load = await set_up(server, keys["api_key"], receiver, JOBS)
            paths = {job.name: path for path, job in load.jobs.items()}
            for number, name in enumerate((SILENT, FAILING)):
                await heard(load, paths[name], "", number)
            health, before_mb = Health(server.port), memory_mb(server)
            with flood(server, paths[FLOODED], "aaaa", N_CLOSE) as many:
                beside = [load.client(random.Random(n)) for n in range(N_HONEST)]
                asking = [asyncio.create_task(each) for each in (health.ask(), *beside)]
                await heard(load, paths[FAILING], "/fail", 2)
                await until_down(receiver, FAILING)
                await until_down(receiver, SILENT)
                health.stopping = load.stopping = True
                await asyncio.gather(*asking)
            with flood(server, paths[FLOODED], "bbbb", N_TOO_MANY) as too_many:
                await until_refused(server.port, paths[SILENT], N_TURNED_AWAY)
            await heard(load, paths[SILENT], "", 3)
            after_mb = memory_mb(server)

            assert {200} == {await get(server.port, paths[SILENT]) for _ in range(N_AFTER)}
            assert 200 == await get(server.port, "/healthz")
            assert 0 == await asyncio.to_thread(server.stop)
        finally:
            server.leave()

    there = stored(server)
    print(f"{N_CLOSE} connections: {many.heard}; {N_TOO_MANY} at {CAP}: {too_many.heard}; honest ones: {load.refused}")
    usual_s, slowest_s = median(health.took_s), max(health.took_s)
    print(f"/healthz: {usual_s:.3f} s in the median of {len(health.took_s)}, {slowest_s:.3f} s at most")
    print(f"memory: {before_mb:.0f} MB before, {after_mb:.0f} after")
    for one, n_under_way in ((many, N_CLOSE), (too_many, N_TOO_MANY)):
        n_stored = sum(rid.startswith(one.name) for rid in there)
        assert {200, 503} == set(one.heard) - {429}
        assert one.heard[200] <= n_stored <= one.heard[200] + n_under_way
    assert min(many.heard[200], many.heard[503]) >= FEWEST
    assert [] == sorted(set(load.acknowledged) - set(there))
    assert len(there) == len(set(there))
    assert {200} == health.said
    assert usual_s < HEALTHY_S
    assert after_mb < before_mb + MORE_MB
    assert "Traceback" not in (tmp_path / "server.log").read_text()
