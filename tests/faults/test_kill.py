"""`kill -9` under load: what was acknowledged is there, what should be told is told, and nothing twice unflagged.

An auditor compares three logs that know nothing of one another: what the clients were answered, what the
receiver got, and what the database holds. Few kills run with every test run; `make faults` makes 200 on
each database.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from heartfly.db.models import alerts, deliveries, flips, notifications, pings
from tests.notify.receivers import HttpReceiver
from tests.server_process import Server, get

KILLS = int(os.environ.get("HEARTFLY_KILLS", "3"))
N_CHECKS = 10
CLIENTS = 8


@dataclass
class Load:
    """Clients that ping as fast as they are answered and note each 200."""

    port: int
    ping_urls: list[str]
    kinds: list[str] = field(default_factory=lambda: ["", "", "", "/start", "/fail", "/7"])
    acknowledged: list[str] = field(default_factory=list)
    stopping: bool = False

    async def client(self, rng: random.Random) -> None:
        while not self.stopping:
            rid = str(uuid.UUID(int=rng.getrandbits(128), version=4))
            kind = rng.choice(self.kinds)
            status = await get(self.port, f"{rng.choice(self.ping_urls)}{kind}?rid={rid}")
            if status == 200:
                self.acknowledged.append(rid)
            elif status == 0:
                # Nobody listens between a kill and the next start.
                await asyncio.sleep(0.01)  # noqa: TID251 - a client's own pause; no assertion waits on it


@pytest.mark.e2e
@pytest.mark.anyio
async def test_no_acknowledged_ping_and_no_alert_is_lost(database_url: str, tmp_path: Path) -> None:
    seed = int(os.environ.get("HEARTFLY_SEED", "1"))
    rng = random.Random(seed)
    settings = {"PINGS__KEEP_PER_CHECK": "100000000", "PINGS__RATE_PER_MINUTE": "100000000"}
    if database_url:
        settings["DATABASE__URL"] = database_url
    server = Server(tmp_path, settings)
    keys = await asyncio.to_thread(server.init)
    async with HttpReceiver() as receiver:
        await asyncio.to_thread(server.start)
        load = await _set_up(server, keys["api_key"], receiver)
        clients = [asyncio.ensure_future(load.client(random.Random(rng.random()))) for _ in range(CLIENTS)]
        slowest = 0.0
        for _ in range(KILLS):
            await asyncio.sleep(rng.uniform(0.05, 1.0))  # noqa: TID251 - the moment of the kill is what is drawn
            await asyncio.to_thread(server.kill)
            slowest = max(slowest, await asyncio.to_thread(server.start))
        load.stopping = True
        await asyncio.gather(*clients)
        await _until_drained(server, keys["api_key"])
        assert 0 == await asyncio.to_thread(server.stop)
    print(f"seed={seed} kills={KILLS} acknowledged={len(load.acknowledged)} slowest start={slowest:.2f} s")
    _audit(server, load, receiver, seed)


async def _set_up(server: Server, key: str, receiver: HttpReceiver) -> Load:
    def work() -> list[str]:
        server.api("POST", "/v1/channels", key, {"kind": "webhook", "name": "ops", "config": {"url": receiver.url}})
        made = [
            server.api(
                "POST", "/v1/checks", key,
                {"name": f"job {n}", "schedule": {"kind": "period", "period": 3600}, "grace": 600, "max_run": 600},
            )
            for n in range(N_CHECKS)
        ]  # fmt: skip
        return [check["ping_url"].removeprefix(server.url) for check in made]

    return Load(server.port, await asyncio.to_thread(work))


async def _until_drained(server: Server, key: str) -> None:
    """Every notification has ended; a delivery that was under way at a kill waits for its lease, at most 90 s."""
    async with asyncio.timeout(180):
        while await asyncio.to_thread(_pending, server, key):  # noqa: ASYNC110 - a real process has no event to wait on
            await asyncio.sleep(0.5)  # noqa: TID251 - polls over HTTP, bounded above


def _pending(server: Server, key: str) -> bool:
    page = server.api("GET", "/v1/notifications?state=pending&limit=1", key)
    return bool(page["items"])


def _audit(server: Server, load: Load, receiver: HttpReceiver, seed: int) -> None:
    url = server.settings.get("DATABASE__URL") or f"sqlite:///{server.folder}/heartfly-data/heartfly.db"
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        stored = set(connection.execute(sa.select(pings.c.rid)).scalars())
        lost = [rid for rid in load.acknowledged if rid not in stored]
        assert [] == lost, f"seed={seed}: {len(lost)} acknowledged pings are not in the database"
        told = connection.execute(sa.select(alerts.c.key)).scalars().all()
        numbers: dict[int, list[int]] = {}
        for row in connection.execute(sa.select(flips.c.check_id, flips.c.flip_no).order_by(flips.c.flip_no)):
            numbers.setdefault(row.check_id, []).append(row.flip_no)
        states = Counter(connection.execute(sa.select(notifications.c.state)).scalars())
        sent = set(connection.execute(sa.select(deliveries.c.id).where(deliveries.c.state == "sent")).scalars())
        should = connection.execute(
            sa.select(sa.func.count())
            .select_from(flips)
            .where(flips.c.from_status != "new", flips.c.to_status != "new")
        ).scalar_one()
        first_downs = connection.execute(
            sa.select(sa.func.count())
            .select_from(flips)
            .where(flips.c.from_status == "new", flips.c.to_status.in_(["down", "degraded"]))
        ).scalar_one()
    engine.dispose()
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values()), f"seed={seed}: a flip is missing"
    assert should + first_downs == len([key for key in told if key.startswith("flip:")]), f"seed={seed}"
    assert {"sent"} == set(states), f"seed={seed}: {states}"
    arrived: dict[str, list[bool]] = {}
    for request in receiver.requests:
        flagged = bool(json.loads(request.body)["possible_duplicate"])
        arrived.setdefault(request.headers["webhook-id"], []).append(flagged)
    assert sent == set(arrived), f"seed={seed}: {len(sent - set(arrived))} alerts were recorded as sent but never came"
    unflagged = {i: flags for i, flags in arrived.items() if len(flags) > 1 and not all(flags[1:])}
    assert {} == unflagged, f"seed={seed}: the same alert came twice without a word"
