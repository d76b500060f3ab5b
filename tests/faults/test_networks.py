"""Nodes in networks of their own behind HAProxy: the leader is killed, paused, cut from the database or from all, and
each node is restarted. Whatever happens, every acknowledged ping is there, and every alert came, none twice unsaid.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.db.models import leases, nodes
from tests.faults.auditor import audit
from tests.faults.clients import Load, set_up, until_drained
from tests.faults.networks import HERE, Place, Wire, balancer, lacking, places
from tests.notify.receivers import HttpReceiver
from tests.server_process import Server, get

pytestmark = [pytest.mark.e2e, pytest.mark.postgres, pytest.mark.anyio, pytest.mark.slow]

PORT = 8000
TAKEOVER_S = 10.0
N_CLIENTS = 6
PAUSE_S = 15.0
"""Longer than a lease: who sleeps through it must not judge when he wakes."""
LIMIT_S = 120
CONNECTIONS = int(os.environ.get("HEARTFLY_CONNECTIONS", "2000"))
"""Nodes are restarted in turn, again and again, until so many were answered."""


@dataclass
class Cluster:
    places: list[Place]
    nodes: list[Server]
    wire: Wire
    receiver: HttpReceiver
    front: Server
    """The balancer, as if it were a server."""
    engine: sa.Engine
    key: str
    load: Load

    async def leader(self) -> tuple[int, int]:
        """Which of the nodes leads, and the epoch of its lease."""

        def read() -> tuple[int, int]:
            with self.engine.connect() as connection:
                lease = connection.execute(sa.select(leases.c.node_id, leases.c.epoch)).one()
                began = list(connection.execute(sa.select(nodes.c.id).order_by(nodes.c.started_at)).scalars())
                return began.index(lease.node_id), lease.epoch

        return await asyncio.to_thread(read)

    async def told(self, name: str) -> list[str]:
        """The ids of what was told of a check of that name that fell silent."""
        said = [(one.headers["webhook-id"], json.loads(one.body)) for one in self.receiver.requests]
        return [i for i, body in said if body["type"] == "check.down" and body["check"]["name"] == name]

    async def falls_silent(self, name: str, *, through: Server | None = None) -> None:
        """A check of that name pings once. `through`: a node; None: the balancer."""
        server = through or self.front
        made: Any = await asyncio.to_thread(
            server.api, "POST", "/v1/checks", self.key,
            {"name": name, "schedule": {"kind": "period", "period": 5}, "grace": 2},
        )  # fmt: skip
        path = made["ping_url"].removeprefix(self.front.url)
        await until(lambda: _is_ok(server.port, path, host=server.address))

    async def all_ready(self) -> None:
        for place in self.places:
            await until(lambda place=place: _is_ok(PORT, "/readyz", host=place.address))  # type: ignore[misc]


async def _is_ok(port: int, path: str, *, host: str = "127.0.0.1") -> bool:
    return await get(port, path, host=host) == 200


async def until(come: Callable[[], Awaitable[bool]], *, within_s: float = LIMIT_S) -> float:
    """How long it took."""
    begun = time.perf_counter()
    async with asyncio.timeout(within_s):
        while not await come():  # noqa: ASYNC110 - as below
            await asyncio.sleep(0.1)  # noqa: TID251 - what comes, comes from other processes; bounded above
    return time.perf_counter() - begun


@asynccontextmanager
async def cluster(postgres_url: str, folder: Path) -> AsyncIterator[Cluster]:
    """The first leads: it had the lease before the others came. Clients ping through the balancer all along."""
    if why := lacking():
        pytest.skip(why)
    with places() as made, balancer(folder, made, port=PORT) as front_port:
        async with Wire(postgres_url) as wire, HttpReceiver(host=HERE) as receiver:
            settings = {
                "DATABASE__URL": wire.url,
                "SERVER__HOST": "0.0.0.0",
                "SERVER__BASE_URL": f"http://127.0.0.1:{front_port}",
                "SERVER__DRAIN_S": "3",
                "SERVER__TRUSTED_PROXIES": f"{HERE}/32",
                "PINGS__KEEP_PER_CHECK": "100000000",
                "PINGS__RATE_PER_MINUTE": "100000000",
            }
            started = [
                Server(folder / str(p.n), dict(settings), port=PORT, before=p.inside, address=p.address) for p in made
            ]
            engine = sa.create_engine(postgres_url)
            front = Server(folder, {"DATABASE__URL": postgres_url}, port=front_port)
            load, clients = Load(front_port, []), []
            try:
                for node in started:
                    (node.folder / "heartfly-data").mkdir(parents=True, mode=0o700)
                    if node is not started[0]:
                        shutil.copy(started[0].folder / "heartfly-data" / "secret.key", node.folder / "heartfly-data")
                    await asyncio.to_thread(node.start)
                key = (started[0].folder / "heartfly-data" / "cli-key").read_text().strip()
                found = Cluster(list(made), started, wire, receiver, front, engine, key, load)
                await found.all_ready()
                await until(lambda: _is_ok(front_port, "/readyz"))
                load = found.load = await set_up(front, key, receiver)
                rng = random.Random(1)
                clients = [asyncio.ensure_future(load.client(random.Random(rng.random()))) for _ in range(N_CLIENTS)]
                await until(lambda: _more(found.load, 100))
                yield found
                load.stopping = True
                await asyncio.gather(*clients)
                await found.all_ready()
                await until_drained(front, key)
                audit(front, load, receiver, seed=1)
            finally:
                load.stopping = True
                await asyncio.gather(*clients, return_exceptions=True)
                engine.dispose()
                for node in started:
                    node.leave()


async def _more(load: Load, n: int) -> bool:
    return len(load.acknowledged) > n


async def _killed(it: Cluster, n: int) -> Callable[[], Awaitable[object]]:
    await asyncio.to_thread(it.nodes[n].kill)
    return lambda: asyncio.to_thread(it.nodes[n].start)


async def _paused(it: Cluster, n: int) -> Callable[[], Awaitable[object]]:
    process = it.nodes[n].process
    assert process is not None
    process.send_signal(signal.SIGSTOP)

    async def wakes() -> None:
        await asyncio.sleep(PAUSE_S)  # noqa: TID251 - that long it is paused
        process.send_signal(signal.SIGCONT)

    return wakes


async def _cut_from_the_database(it: Cluster, n: int) -> Callable[[], Awaitable[object]]:
    it.wire.cut(it.places[n].address)

    async def mended() -> None:
        await asyncio.sleep(PAUSE_S)  # noqa: TID251 - that long it is cut off
        it.wire.mend(it.places[n].address)

    return mended


async def _cut_from_all(it: Cluster, n: int) -> Callable[[], Awaitable[object]]:
    it.places[n].link("down")

    async def mended() -> None:
        await asyncio.sleep(PAUSE_S)  # noqa: TID251 - that long it is cut off
        it.places[n].link("up")

    return mended


@pytest.mark.parametrize("harm", [_killed, _paused, _cut_from_the_database, _cut_from_all])
async def test_without_its_leader_a_cluster_has_another_within_ten_seconds_and_loses_nothing(
    postgres_url: str, tmp_path: Path, harm: Callable[[Cluster, int], Awaitable[Callable[[], Awaitable[object]]]]
) -> None:
    async with cluster(postgres_url, tmp_path) as it:
        former, epoch = await it.leader()
        begun = time.perf_counter()
        mend = await harm(it, former)

        async def another() -> bool:
            return (await it.leader())[1] > epoch

        await until(another)
        took = time.perf_counter() - begun
        await it.falls_silent("silent")

        async def was_told() -> bool:
            return bool(await it.told("silent"))

        await until(was_told)
        await mend()
        n = len(it.load.acknowledged)
        await until(lambda: _more(it.load, n + 300))
        ids = await it.told("silent")

    print(
        f"{harm.__name__[1:]}: takeover after {took:.1f} s; {len(it.load.acknowledged)} acknowledged, {it.load.refused}"
    )
    assert took <= TAKEOVER_S
    assert 1 == len(set(ids))


async def test_nodes_are_restarted_one_after_the_other_and_no_client_notices(postgres_url: str, tmp_path: Path) -> None:
    async with cluster(postgres_url, tmp_path) as it:
        before, n_restarts = dict(it.load.refused), 0
        it.load.kinds[:] = [""]  # it is their connections that count
        while not n_restarts or len(it.load.acknowledged) < CONNECTIONS:
            for node in it.nodes:
                assert 0 == await asyncio.to_thread(node.stop)
                await asyncio.to_thread(node.start)
                await it.all_ready()
                n = len(it.load.acknowledged)
                await until(lambda n=n: _more(it.load, n + 100))  # type: ignore[misc]
                n_restarts += 1

    print(f"{n_restarts} restarts: {len(it.load.acknowledged)} acknowledged, {dict(it.load.refused)}")
    assert before == dict(it.load.refused)


async def test_roles_that_are_split_among_nodes_are_as_quick_as_one_that_has_all(
    postgres_url: str, tmp_path: Path
) -> None:
    async with cluster(postgres_url, tmp_path) as it:
        for node, role in zip(it.nodes, ("serve", "judge", "send"), strict=True):
            assert 0 == await asyncio.to_thread(node.stop)
            await asyncio.to_thread(node.start, "--roles", role)
        statuses = [await get(PORT, "/v1/checks", host=place.address) for place in it.places]
        await it.falls_silent("split", through=it.nodes[0])
        begun = time.perf_counter()

        async def was_told() -> bool:
            return bool(await it.told("split"))

        await until(was_told)
        took = time.perf_counter() - begun
        for node in it.nodes[1:]:  # all of them stand behind the balancer
            assert 0 == await asyncio.to_thread(node.stop)
            await asyncio.to_thread(node.start)

    print(f"split roles: told {took:.1f} s after the ping, due after 7")
    assert [401, 503, 503] == statuses
    assert 7 - 1 <= took <= 7 + 2
