"""No more memory: the kernel gives the server some megabytes beside what it has, and large bodies come for more.

Whoever cannot be served hears 503, or nothing, as the process ends and is started again: both are seen. No ping and no
event that was acknowledged is lost, none is there by half or twice, and people are told of a job that falls silent.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import resource
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.faults.auditor import Alive, audit
from tests.faults.clients import SECOND, Job, now, set_up, until_drained
from tests.faults.lives import Span
from tests.notify.receivers import HttpReceiver
from tests.server_process import Server

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.anyio]

LIMIT_S = 180
PATIENCE_S = 60
"""A deadline that was passed over shows in that nobody is told; short of memory a server may take its time."""
MORE_MB = (15, 120, 60)
"""For one life after the other: with few of them it hardly takes a body."""
N_SENDERS, EVENTS_EACH = 6, 2_000
HARD_S = 6.0
"""So long each life has too little, if it lives."""
JOBS = (*(Job(f"moody {n}", "moody") for n in range(4)), Job("silent", "silent", period=5, grace=1, max_run=None))


@dataclass
class Hungry:
    """Senders of large bodies, each sent again until it is taken. `accepted`: the first words of their ids."""

    server: Server
    key: str
    stopping: bool = False
    begun: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    heard: Counter[int] = field(default_factory=Counter)
    """By status; 0: no answer came."""

    def send(self, number: int) -> None:
        while not self.stopping:
            name = f"{number}-{len(self.begun)}"
            self.begun.append(name)
            body, is_taken = _events(name), False
            while not (is_taken or self.stopping):
                is_taken = self._is_taken(body)
                time.sleep(0.02)  # noqa: TID251 - a client's own pause; no assertion waits on it
            if is_taken:
                self.accepted.append(name)

    def _is_taken(self, body: bytes) -> bool:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        with closing(http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)) as connection:
            try:
                connection.request("POST", "/v1/events", body, headers)
                status = connection.getresponse().status
            except (OSError, http.client.HTTPException):
                status = 0
        self.heard[status] += 1
        return status == 200


def _events(name: str) -> bytes:
    at = datetime.now(UTC).isoformat()  # noqa: TID251 - any time of today
    rest = {"customer_id": "acme", "timestamp": at, "event_type": "api", "properties": {"text": "x" * 900}}
    return json.dumps([{"transaction_id": f"{name}-{n}", **rest} for n in range(EVENTS_EACH)]).encode()


@dataclass
class Lives:
    """Of one server, which is started again when it has ended. `ends`: with which status."""

    server: Server
    spans: list[Span] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    async def starts(self) -> None:
        await asyncio.to_thread(self.server.start)
        self.since = now()

    async def goes_short(self, megabytes: int) -> None:
        """Of memory; for so long as is told above, or until it ends, and then it is started."""
        self._may_have(_data_bytes(self.server) + (megabytes << 20))
        ends_at, n_ends = time.perf_counter() + HARD_S, len(self.ends)
        while len(self.ends) == n_ends and time.perf_counter() < ends_at:
            await asyncio.sleep(0.05)  # noqa: TID251 - a real process has no event; bounded above
            await self.looks()
        if len(self.ends) == n_ends:
            self._may_have(resource.RLIM_INFINITY)

    async def until(self, so: Callable[[], bool]) -> None:
        """What it could not do without memory may end it later."""
        async with asyncio.timeout(LIMIT_S):
            while not so():
                await asyncio.sleep(0.05)  # noqa: TID251 - polls a real process, bounded above
                await self.looks()

    async def looks(self) -> None:
        assert self.server.process is not None
        if (status := self.server.process.poll()) is not None:
            self.spans.append((self.since, now()))
            self.ends.append(status)
            await self.starts()

    def _may_have(self, data_bytes: int) -> None:
        assert self.server.process is not None
        resource.prlimit(self.server.process.pid, resource.RLIMIT_DATA, (data_bytes, resource.RLIM_INFINITY))


def _data_bytes(server: Server) -> int:
    assert server.process is not None
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmData:"))


def events_there(server: Server) -> Counter[str]:
    """How many of each batch."""
    with closing(sqlite3.connect(server.folder / "heartfly-data" / "usage.db")) as database:
        assert "ok" == database.execute("PRAGMA integrity_check").fetchone()[0]
        ids = [id_ for (id_,) in database.execute("SELECT transaction_id FROM events")]
    assert len(ids) == len(set(ids))
    return Counter(id_.rpartition("-")[0] for id_ in ids)


async def test_without_memory_what_cannot_be_taken_is_refused_and_nothing_that_was_is_lost(tmp_path: Path) -> None:
    seed = 1
    settings = {"PINGS__KEEP_PER_CHECK": "100000000", "PINGS__RATE_PER_MINUTE": "100000000"}
    server = Server(tmp_path, settings)
    lives, keys = Lives(server), server.init()
    async with HttpReceiver() as receiver:
        hungry = Hungry(server, keys["api_key"])
        try:
            await lives.starts()
            load = await set_up(server, keys["api_key"], receiver, JOBS)
            load.kinds = ["", "/start", "/log"]
            await asyncio.gather(*load.clients_of_jobs(random.Random(seed)))
            pinging = [asyncio.create_task(load.client(random.Random(n))) for n in range(len(JOBS))]
            loop, pool = asyncio.get_running_loop(), ThreadPoolExecutor(N_SENDERS)
            sending = [loop.run_in_executor(pool, hungry.send, n) for n in range(N_SENDERS)]
            for megabytes in MORE_MB:
                await lives.goes_short(megabytes)
            n_heard, n_taken = len(load.acknowledged), len(hungry.accepted)
            await lives.until(lambda: len(load.acknowledged) > n_heard + 100 and len(hungry.accepted) > n_taken + 3)
            load.stopping = hungry.stopping = True
            await asyncio.gather(*pinging, *sending)
            await lives.until(lambda: b"check.down" in b"".join(one.body for one in receiver.requests))
            await until_drained(server, keys["api_key"])
            assert 0 == await asyncio.to_thread(server.stop)
        finally:
            hungry.stopping = True
            server.leave()
        end = now()
    alive = Alive([*lives.spans, (lives.since, end)], PATIENCE_S * SECOND, end)
    figures, there = audit(server, load, receiver, seed, alive=alive), events_there(server)
    print(f"ended with {lives.ends}; pings: {len(load.acknowledged)}, {load.refused}; bodies: {hungry.heard}")
    print("; ".join(f"{name}: {n}" for name, n in sorted(figures.items())))
    assert 1 == figures["alarms of what was silent"]
    assert {EVENTS_EACH} == set(there.values())
    assert set(hungry.accepted) <= set(there) <= set(hungry.begun)
    assert 0 not in lives.ends
    assert hungry.heard[503]
    assert {200, 503} >= hungry.heard.keys() - {0}
    assert {503} >= load.refused.keys() - {0}
