"""SIGTERM under load: whoever was let in is answered, what was acknowledged is there, and the next process goes on."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from heartfly.db.models import pings
from tests.server_process import Server

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]

CLIENTS = 8
LIMIT_S = 180


@dataclass
class Jobs:
    """Jobs that ping, each on a connection of its own as curl makes it. What became of each try, by its id."""

    port: int
    path: str
    outcomes: dict[str, str] = field(default_factory=dict)
    stopping: bool = False

    async def run(self) -> None:
        while not self.stopping:
            rid = str(uuid.uuid4())
            self.outcomes[rid] = await self._try(rid)
            if self.outcomes[rid] == "refused":
                await asyncio.sleep(0.01)  # noqa: TID251 - nobody listens between two processes

    async def _try(self, rid: str) -> str:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return "refused"
        try:
            writer.write(f"POST {self.path}?rid={rid} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody".encode())
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        except (OSError, asyncio.IncompleteReadError):
            return "cut"
        finally:
            writer.close()
        status = head[9:12].decode()
        return "busy" if status == "503" and b"retry-after" in head.lower() else status


# Each way to drain on one kind of database; `make test-all` each on both.
@pytest.mark.parametrize(
    ("drain_s", "database_url"),
    [
        ("0", "sqlite"),
        pytest.param("1", "postgres", marks=pytest.mark.postgres),
        pytest.param("1", "sqlite", marks=pytest.mark.slow),
        pytest.param("0", "postgres", marks=[pytest.mark.postgres, pytest.mark.slow]),
    ],
    indirect=["database_url"],
)
async def test_a_server_that_is_told_to_stop_under_load_loses_and_cuts_nothing(
    database_url: str, tmp_path: Path, drain_s: str
) -> None:
    settings = {
        "PINGS__KEEP_PER_CHECK": "1000000",
        "PINGS__RATE_PER_MINUTE": "1000000",
        "SERVER__DRAIN_S": drain_s,
        "MONITOR__CANARY_S": "0",
    }
    server = Server(tmp_path, settings | ({"DATABASE__URL": database_url} if database_url else {}))
    await asyncio.to_thread(server.start)
    key = (tmp_path / "heartfly-data" / "cli-key").read_text().strip()
    made = server.api("POST", "/v1/checks", key, {"name": "job"})
    jobs = Jobs(server.port, made["ping_url"].removeprefix(server.url))
    running = [asyncio.ensure_future(jobs.run()) for _ in range(CLIENTS)]

    for _ in range(2):
        await _until_more(jobs, 200)
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        assert 0 == await asyncio.to_thread(server.process.wait, 120)
        await asyncio.to_thread(server.start)
    await _until_more(jobs, 50)
    jobs.stopping = True
    await asyncio.gather(*running)
    assert 0 == await asyncio.to_thread(server.stop)

    counted = Counter(jobs.outcomes.values())
    print(counted)
    assert {"200", "refused"} <= set(counted)
    assert set() == set(counted) - {"200", "refused", "busy"}  # a retry fixes each of these
    engine = sa.create_engine(database_url or f"sqlite:///{tmp_path}/heartfly-data/heartfly.db")
    with engine.connect() as connection:
        stored = set(connection.execute(sa.select(pings.c.rid)).scalars())
    engine.dispose()
    assert {rid for rid, outcome in jobs.outcomes.items() if outcome == "200"} == stored


async def _until_more(jobs: Jobs, n: int) -> None:
    def answered() -> int:
        return sum(outcome == "200" for outcome in jobs.outcomes.values())

    wanted = answered() + n
    async with asyncio.timeout(LIMIT_S):
        while answered() < wanted:  # noqa: ASYNC110 - real processes have no event to wait on
            await asyncio.sleep(0.02)  # noqa: TID251 - bounded above
