"""Pings as jobs send them: a new connection for each, as cron with curl makes it.

Closed loop: so many connections, each pings again as soon as it was answered (throughput; wrk where there is
one, else a client of our own). Open loop: so many a second whatever the answers do, and latency counts from
the moment at which a ping was meant to leave.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import override

from heartfly.clock import SystemClock

CLOCK = SystemClock()
_LIMIT_S = 20.0

_WRK = r"""
local requests, n = {}, 0
function init(arguments)
  math.randomseed(os.time())
  for path in io.lines(arguments[1]) do
    n = n + 1
    requests[n] = "GET " .. path .. " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/8.5.0\r\n" ..
      "Accept: */*\r\nConnection: close\r\n\r\n"
  end
end
function request() return requests[math.random(n)] end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('JSON {"n": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "max_ms": %f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a load got. `n` counts good answers only."""

    n: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    errors: int = 0

    @property
    def per_s(self) -> float:
        return self.n / self.seconds


@dataclass(slots=True)
class Latencies:
    """(meant to leave at, seconds until answered), by the monotonic clock; and what went wrong, by its name."""

    taken: list[tuple[float, float]] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)

    def answers(self, seconds: float, *, since: float = 0.0, until: float = float("inf")) -> Answers:
        found = sorted(took for at, took in self.taken if since <= at <= until)
        return Answers(
            n=len(found),
            seconds=seconds,
            p50_ms=_quantile(found, 0.5),
            p99_ms=_quantile(found, 0.99),
            max_ms=_quantile(found, 1.0),
            errors=self.wrong.total(),
        )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


# --- closed loop


async def closed_loop(port: int, paths: Sequence[str], *, connections: int, seconds: float) -> Answers:
    if shutil.which("wrk"):
        return await _wrk(port, paths, connections, seconds)
    return await _own(port, paths, connections, seconds)


async def _wrk(port: int, paths: Sequence[str], connections: int, seconds: float) -> Answers:
    with tempfile.TemporaryDirectory() as folder:
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "15s"]
        command += [*_script(Path(folder), paths), f"http://127.0.0.1:{port}", "--", f"{folder}/paths"]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        said, _ = await process.communicate()
    line = next(line for line in said.decode().splitlines() if line.startswith("JSON "))
    found = json.loads(line[5:])
    return Answers(**(found | {"n": found["n"] - found["errors"]}))


def _script(folder: Path, paths: Sequence[str]) -> list[str]:
    (folder / "paths").write_text("\n".join(paths) + "\n")
    (folder / "pings.lua").write_text(_WRK)
    return ["-s", str(folder / "pings.lua")]


async def _own(port: int, paths: Sequence[str], connections: int, seconds: float) -> Answers:
    latencies = Latencies()
    begun = time.perf_counter()

    async def worker() -> None:
        while (at := time.perf_counter()) < begun + seconds:
            await _ping(port, random.choice(paths), at, latencies)

    await asyncio.gather(*(worker() for _ in range(connections)))
    return latencies.answers(time.perf_counter() - begun)


# --- open loop


async def open_loop(
    port: int, paths: Sequence[str], *, per_s: float, seconds: float, enough: asyncio.Event | None = None
) -> Latencies:
    """`enough`: set, it ends earlier."""
    latencies = Latencies()
    under_way: set[asyncio.Task[None]] = set()
    begun = time.perf_counter() + 0.05
    for i in range(int(per_s * seconds)):
        if enough is not None and enough.is_set():
            break
        at = begun + i / per_s
        if (early := at - time.perf_counter()) > 0:
            await CLOCK.sleep(early)
        task = asyncio.create_task(_ping(port, random.choice(paths), at, latencies))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    if under_way:
        await asyncio.wait(under_way, timeout=_LIMIT_S)
    return latencies


async def each_once(port: int, paths: Sequence[str], per_s: float) -> list[float]:
    """When each was meant to leave, in seconds since 1970. RuntimeError: one was not answered 200."""
    latencies, sent, tasks = Latencies(), list[float](), list[asyncio.Task[None]]()
    begun, begun_at = time.perf_counter() + 0.05, CLOCK.now().timestamp() + 0.05
    for i, path in enumerate(paths):
        if (early := begun + i / per_s - time.perf_counter()) > 0:
            await CLOCK.sleep(early)
        tasks.append(asyncio.create_task(_ping(port, path, begun + i / per_s, latencies)))
        sent.append(begun_at + i / per_s)
    await asyncio.gather(*tasks)
    if latencies.wrong:
        raise RuntimeError(f"not all were answered: {dict(latencies.wrong)}")
    return sent


class _Answer(asyncio.Protocol):
    """Reads until the server closes, as it was asked to."""

    def __init__(self, done: asyncio.Future[bytes]) -> None:
        self._done = done
        self._read = b""

    @override
    def data_received(self, data: bytes) -> None:
        self._read += data

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(self._read)


async def _ping(port: int, path: str, at: float, latencies: Latencies) -> None:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bytes] = loop.create_future()
    try:
        async with asyncio.timeout(_LIMIT_S):
            transport, _ = await loop.create_connection(lambda: _Answer(done), "127.0.0.1", port)
            transport.write(
                f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n"
                "Connection: close\r\n\r\n".encode()
            )
            answer = await done
    except (OSError, TimeoutError) as error:
        latencies.wrong[type(error).__name__] += 1
        return
    if answer.startswith(b"HTTP/1.1 200 "):
        latencies.taken.append((at, time.perf_counter() - at))
    else:
        latencies.wrong[answer[9:12].decode() or "closed"] += 1
