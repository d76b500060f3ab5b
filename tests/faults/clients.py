"""Clients that ping and note what they said, when, and what they were answered: the ledger that no database holds.

What ought to come of it stands in lives.py, and whether it did in auditor.py.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from heartfly.clock import SystemClock
from heartfly.db.types import micros
from tests.notify.receivers import HttpReceiver
from tests.server_process import Server, get

CLOCK = SystemClock()
SECOND = 1_000_000
N_CHECKS = 10
SAYS = {
    "": ("success", None),
    "/start": ("start", None),
    "/fail": ("fail", None),
    "/7": ("fail", 7),
    "/log": ("log", None),
}
"""What the end of an address says: the kind of ping, and an exit status that is not 0."""
_GAP_S = 0.2
"""Between two pings of a job that never falls silent."""


@dataclass(frozen=True, slots=True)
class Job:
    """`way`: moody (any kind at any time), kept (never silent), stray (now and then too late), silent (once and never
    again), begun (runs, some of which never end). Seconds; `max_run` None: the grace.
    """

    name: str
    way: str
    period: int = 3600
    grace: int = 600
    max_run: int | None = 86_400


MOODY = tuple(Job(f"job {n}", "moody") for n in range(N_CHECKS))
TIMED = (
    *MOODY[:4],
    *(Job(f"kept {n}", "kept", period=5, grace=1, max_run=None) for n in range(3)),
    *(Job(f"stray {n}", "stray", period=5, grace=1, max_run=None) for n in range(3)),
    *(Job(f"silent {n}", "silent", period=5, grace=1, max_run=None) for n in range(2)),
    *(Job(f"begun {n}", "begun", max_run=2) for n in range(2)),
)
"""Deadlines of seconds, so that many fall due between any two kills."""


@dataclass(slots=True)
class Said:
    """One ping. By the client's clock, in microseconds since 1970; `answered_at` only of a 200."""

    path: str
    kind: str
    exit_status: int | None
    sent_at: int
    answered_at: int | None = None


@dataclass
class Load:
    """Clients that ping as fast as they are answered and note each 200."""

    port: int
    ping_urls: list[str]
    """Of those that are moody."""
    kinds: list[str] = field(default_factory=lambda: ["", "", "", "/start", "/fail", "/7", "/log"])
    acknowledged: list[str] = field(default_factory=list)
    """The ids of runs that were named, each with what was answered 200."""
    said: dict[tuple[str, str], Said] = field(default_factory=dict)
    """All that was sent, answered or not, by the id of its run and its kind."""
    jobs: dict[str, Job] = field(default_factory=dict)
    """By the path of their addresses."""
    refused: Counter[int] = field(default_factory=Counter)
    """By status what was not 200; 0: no answer came."""
    stopping: bool = False

    async def client(self, rng: random.Random, *, port: int = 0) -> None:
        """`port`: of the node that it speaks to, if there are several."""
        while not self.stopping:
            await self.ping(rng.choice(self.ping_urls), rng.choice(self.kinds), _rid(rng), port=port)

    def clients_of_jobs(self, rng: random.Random) -> list[Coroutine[Any, Any, None]]:
        """One for each job that is not moody."""
        ways = {"kept": self._keeps, "stray": self._strays, "silent": self._falls_silent, "begun": self._begins}
        return [ways[job.way](path, random.Random(rng.random())) for path, job in self.jobs.items() if job.way in ways]

    async def ping(self, path: str, end: str, rid: str, *, port: int = 0) -> bool:
        """Whether it was acknowledged."""
        kind, exit_status = SAYS[end]
        said = self.said[rid, kind] = Said(path, kind, exit_status, micros(CLOCK.now()))
        status = await get(port or self.port, f"{path}{end}?rid={rid}")
        if status == 200:
            said.answered_at = micros(CLOCK.now())
            self.acknowledged.append(rid)
            return True
        self.refused[status] += 1
        if status == 0:
            # Nobody listens between a kill and the next start.
            await _pause(0.01)
        return False

    async def _keeps(self, path: str, rng: random.Random) -> None:
        while not self.stopping:
            if await self.ping(path, "", _rid(rng)):
                await _pause(_GAP_S)

    async def _strays(self, path: str, rng: random.Random) -> None:
        while not self.stopping:
            if await self.ping(path, "", _rid(rng)):
                await self._rest(rng.uniform(0, 3 * self.jobs[path].period))

    async def _falls_silent(self, path: str, rng: random.Random) -> None:
        while not await self.ping(path, "", _rid(rng)):
            pass

    async def _begins(self, path: str, rng: random.Random) -> None:
        limit_s = self.jobs[path].max_run or 0
        while not self.stopping:
            rid = _rid(rng)
            if await self.ping(path, "/start", rid):
                await self._rest(rng.uniform(0, 2 * limit_s))
                await self.ping(path, rng.choice(["", "", "/fail"]), rid)

    async def _rest(self, seconds: float) -> None:
        until = CLOCK.monotonic() + seconds
        while not self.stopping and CLOCK.monotonic() < until:
            await _pause(0.1)


async def _pause(seconds: float) -> None:
    await asyncio.sleep(seconds)  # noqa: TID251 - a client's own pause; no assertion waits on it


def _rid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


async def set_up(server: Server, key: str, receiver: HttpReceiver, jobs: Sequence[Job] = MOODY) -> Load:
    """`ops` hears of all, and `night` of those alone that are not moody."""

    def work() -> dict[str, Job]:
        server.api("POST", "/v1/channels", key, _hook("ops", receiver))
        made = [(server.api("POST", "/v1/checks", key, _check(job)), job) for job in jobs]
        if timed := [check["id"] for check, job in made if job.way != "moody"]:
            server.api("POST", "/v1/channels", key, {**_hook("night", receiver), "checks": timed})
        return {check["ping_url"].removeprefix(server.url): job for check, job in made}

    found = await asyncio.to_thread(work)
    moody = [path for path, job in found.items() if job.way == "moody"]
    return Load(server.port, moody, jobs=found)


def _hook(name: str, receiver: HttpReceiver) -> dict[str, Any]:
    return {"kind": "webhook", "name": name, "config": {"url": f"{receiver.url}/{name}"}}


def _check(job: Job) -> dict[str, Any]:
    schedule = {"kind": "period", "period": job.period}
    return {"name": job.name, "schedule": schedule, "grace": job.grace} | (
        {} if job.max_run is None else {"max_run": job.max_run}
    )


async def until_drained(server: Server, key: str) -> None:
    """Every notification has ended; a delivery that was under way at a kill waits for its lease, at most 90 s. After
    hundreds of kills some were under way at several.
    """
    left: list[Any] = []
    try:
        async with asyncio.timeout(_DRAINED_S):
            while left := await asyncio.to_thread(_pending, server, key):  # noqa: ASYNC110 - a real process has no event
                await asyncio.sleep(0.5)  # noqa: TID251 - polls over HTTP, bounded above
    except TimeoutError:
        raise AssertionError(f"still pending after {_DRAINED_S} s: {left}") from None


_DRAINED_S = 1_800
"""After 1,000 kills 35,000 alerts of ten checks may wait for one channel, each behind the one before it of its check;
the tests' PostgreSQL sweeps nothing up meanwhile, and lets some 50 a second through.
"""


def _pending(server: Server, key: str) -> list[Any]:
    found: list[Any] = server.api("GET", "/v1/notifications?state=pending&limit=3", key)["items"]
    return found


def now() -> int:
    """By the clock of the clients, which is the server's: microseconds since 1970."""
    return micros(CLOCK.now())


def at(text: str) -> int:
    return micros(datetime.fromisoformat(text))
