"""Three nodes on PostgreSQL, and the leader is killed: another one judges, and nobody is told twice without a word."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from heartfly.db.models import leases
from tests.fair_time import Stopwatch
from tests.faults.auditor import audit
from tests.faults.clients import set_up, until_drained
from tests.notify.receivers import HttpReceiver
from tests.server_process import Server, get

pytestmark = [pytest.mark.e2e, pytest.mark.postgres, pytest.mark.anyio]

TAKEOVER_S = 10.0
CLIENTS_A_NODE = 3


async def test_when_the_leader_of_three_is_killed_another_judges_and_nobody_is_told_twice(
    postgres_url: str, tmp_path: Path
) -> None:
    nodes = await _started(postgres_url, tmp_path)
    leader, *others = nodes
    engine = sa.create_engine(postgres_url)
    async with HttpReceiver() as receiver:
        key = (tmp_path / "0" / "heartfly-data" / "cli-key").read_text().strip()
        load = await set_up(leader, key, receiver)
        rng = random.Random(1)
        clients = [
            asyncio.ensure_future(load.client(random.Random(rng.random()), port=node.port))
            for node in nodes
            for _ in range(CLIENTS_A_NODE)
        ]
        before = await _leader(engine)
        await _until(lambda: len(load.acknowledged) > 100)

        await asyncio.to_thread(leader.kill)
        watch = Stopwatch()
        after = before
        while after[0] == before[0]:
            after = await _leader(engine)
        took = watch.fair_s()

        silent = await asyncio.to_thread(
            others[0].api, "POST", "/v1/checks", key,
            {"name": "silent", "schedule": {"kind": "period", "period": 5}, "grace": 2},
        )  # fmt: skip
        assert 200 == await get(others[1].port, silent["ping_url"].removeprefix(others[0].url))
        await _until(lambda: any(b'"check.down"' in r.body and b'"silent"' in r.body for r in receiver.requests))
        load.stopping = True
        await asyncio.gather(*clients)
        await until_drained(others[0], key)
        assert [0, 0] == [await asyncio.to_thread(node.stop) for node in others]
    engine.dispose()

    print(f"takeover after {took:.1f} s, {len(load.acknowledged)} pings acknowledged")
    assert took <= TAKEOVER_S
    assert after[1] == before[1] + 1
    told = [r for r in receiver.requests if b'"name":"silent"' in r.body.replace(b": ", b":")]
    assert 1 == len({r.headers["webhook-id"] for r in told})
    audit(others[0], load, receiver, seed=1)


async def _started(url: str, folder: Path) -> list[Server]:
    """The first leads: it had the lease before the others came."""
    settings = {
        "DATABASE__URL": url,
        "PINGS__KEEP_PER_CHECK": "100000000",
        "PINGS__RATE_PER_MINUTE": "100000000",
    }
    nodes = [Server(folder / str(n), dict(settings)) for n in range(3)]
    for node in nodes:
        node.folder.mkdir()
    await asyncio.to_thread(nodes[0].start)
    for node in nodes[1:]:
        (node.folder / "heartfly-data").mkdir(mode=0o700)
        shutil.copy(nodes[0].folder / "heartfly-data" / "secret.key", node.folder / "heartfly-data")
        await asyncio.to_thread(node.start)
    return nodes


async def _until(come: Callable[[], bool]) -> None:
    async with asyncio.timeout(180):
        while not come():  # noqa: ASYNC110 - what comes, comes from other processes
            await asyncio.sleep(0.05)  # noqa: TID251 - polls, bounded above


async def _leader(engine: sa.Engine) -> tuple[int, int]:
    def read() -> tuple[int, int]:
        with engine.connect() as connection:
            row = connection.execute(sa.select(leases.c.node_id, leases.c.epoch)).one()
            return row.node_id, row.epoch

    await asyncio.sleep(0.1)  # noqa: TID251 - polls another process's table, bounded by the test's own limit
    return await asyncio.to_thread(read)
