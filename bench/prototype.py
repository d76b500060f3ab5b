"""The least that a durable ping endpoint can do; what we do more is measured against it.

    python -m bench.prototype FILE --port PORT --checks 1000

Raw ASGI on our own HTTP server. Checks live in memory, found by their uuid. One thread writes whatever arrived
while its last commit was on the disk: a row for each ping and the new deadline of each check that pinged, in one
transaction with synchronous=FULL. It answers after the commit. No rules, no runs, no alerts, no log, no limits.
"""

from __future__ import annotations

import argparse
import asyncio
import queue
import signal
import sqlite3
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heartfly.server import ServerLimits, open_sockets, serve

_PERIOD_S, _GRACE_S = 86_400, 3_600
_MAX_BATCH = 512
_SCHEMA = """
    CREATE TABLE checks (id INTEGER PRIMARY KEY, uuid TEXT UNIQUE, status TEXT, n INTEGER, last_at REAL, down_at REAL);
    CREATE INDEX due ON checks (down_at);
    CREATE TABLE pings (
        check_id INTEGER, n INTEGER, at REAL, kind TEXT, method TEXT, remote TEXT, agent TEXT, PRIMARY KEY (check_id, n)
    ) WITHOUT ROWID;
"""


@dataclass(slots=True)
class Check:
    id: int
    n: int = 0
    last_at: float = 0.0


@dataclass(slots=True)
class Ping:
    check: Check
    at: float
    method: str
    remote: str
    agent: str
    done: asyncio.Future[None]


class Writer:
    def __init__(self, file: Path, n_checks: int) -> None:
        self._connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=4000"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(_SCHEMA)
        self.checks = {str(uuid.uuid4()): Check(number) for number in range(1, n_checks + 1)}
        rows = [(check.id, name) for name, check in self.checks.items()]
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT INTO checks VALUES (?, ?, 'up', 0, 0, 0)", rows)
        self._connection.execute("COMMIT")
        self._queue: queue.SimpleQueue[Ping] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._write_for_ever, daemon=True).start()

    async def put(self, ping: Ping) -> None:
        self._queue.put(ping)
        await ping.done

    def _take(self) -> list[Ping]:
        batch = [self._queue.get()]
        while len(batch) < _MAX_BATCH:
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return batch

    def _write_for_ever(self) -> None:
        execute, executemany = self._connection.execute, self._connection.executemany
        while True:
            batch = self._take()
            rows, touched = [], {}
            for ping in batch:
                check = ping.check
                check.n += 1
                check.last_at = ping.at
                touched[check.id] = check
                rows.append((check.id, check.n, ping.at, "success", ping.method, ping.remote, ping.agent))
            lives = [(each.n, each.last_at, each.last_at + _PERIOD_S + _GRACE_S, each.id) for each in touched.values()]
            execute("BEGIN IMMEDIATE")
            executemany("INSERT INTO pings VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            executemany("UPDATE checks SET status = 'up', n = ?, last_at = ?, down_at = ? WHERE id = ?", lives)
            execute("COMMIT")
            self._loop.call_soon_threadsafe(_tell, batch)


def _tell(batch: list[Ping]) -> None:
    for ping in batch:
        if not ping.done.done():
            ping.done.set_result(None)


class Door:
    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._paths = "\n".join(f"/ping/{name}" for name in writer.checks).encode()

    async def __call__(self, scope: Any, _: Any, send: Any) -> None:
        path = scope["path"]
        if path == "/paths":
            await _answer(send, 200, self._paths)
            return
        check = self._writer.checks.get(path.removeprefix("/ping/"))
        if check is None:
            await _answer(send, 404, b"not found")
            return
        agent = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"user-agent"), "")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._writer.put(Ping(check, time.perf_counter(), scope["method"], scope["client"][0], agent, done))
        await _answer(send, 200, b"OK")


async def _answer(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _serve(file: Path, port: int, n_checks: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    door = Door(Writer(file, n_checks))
    sockets = open_sockets("127.0.0.1", port, fd=None)
    await serve(door, sockets=sockets, limits=ServerLimits(drain_s=0, finish_s=1), stop=stop)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--checks", type=int, default=1000)
    options = parser.parse_args()
    import uvloop  # noqa: PLC0415 - as `heartfly serve` does

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(options.file, options.port, options.checks))


if __name__ == "__main__":
    main()
