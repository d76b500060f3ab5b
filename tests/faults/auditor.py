"""What the clients were answered, what the receiver got and what the database holds, compared.

Three logs that know nothing of one another.
"""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections import Counter
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import sqlalchemy as sa

from heartfly.core.alerts import flip_key
from heartfly.db.models import alerts, deliveries, flips, notifications, pings
from tests.notify.receivers import HttpReceiver
from tests.server_process import Server, get

N_CHECKS = 10


@dataclass
class Load:
    """Clients that ping as fast as they are answered and note each 200."""

    port: int
    ping_urls: list[str]
    kinds: list[str] = field(default_factory=lambda: ["", "", "", "/start", "/fail", "/7"])
    acknowledged: list[str] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    """By status what was not 200; 0: no answer came."""
    stopping: bool = False

    async def client(self, rng: random.Random, *, port: int = 0) -> None:
        """`port`: of the node that it speaks to, if there are several."""
        while not self.stopping:
            rid = str(uuid.UUID(int=rng.getrandbits(128), version=4))
            kind = rng.choice(self.kinds)
            status = await get(port or self.port, f"{rng.choice(self.ping_urls)}{kind}?rid={rid}")
            if status == 200:
                self.acknowledged.append(rid)
                continue
            self.refused[status] += 1
            if status == 0:
                # Nobody listens between a kill and the next start.
                await asyncio.sleep(0.01)  # noqa: TID251 - a client's own pause; no assertion waits on it


async def set_up(server: Server, key: str, receiver: HttpReceiver) -> Load:
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


def audit(server: Server, load: Load, receiver: HttpReceiver, seed: int) -> None:
    url = server.settings.get("DATABASE__URL") or f"sqlite:///{server.folder}/heartfly-data/heartfly.db"
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        stored = set(connection.execute(sa.select(pings.c.rid)).scalars())
        lost = [rid for rid in load.acknowledged if rid not in stored]
        assert [] == lost, f"seed={seed}: {len(lost)} acknowledged pings are not in the database"
        told = set(connection.execute(sa.select(alerts.c.key)).scalars())
        flipped: dict[int, list[Any]] = {}
        for row in connection.execute(sa.select(flips).order_by(flips.c.check_id, flips.c.flip_no)):
            flipped.setdefault(row.check_id, []).append(row)
        states = Counter(connection.execute(sa.select(notifications.c.state)).scalars())
        sent = set(connection.execute(sa.select(deliveries.c.id).where(deliveries.c.state == "sent")).scalars())
    engine.dispose()
    for found in flipped.values():
        assert [row.flip_no for row in found] == list(range(1, len(found) + 1)), f"seed={seed}: a flip is missing"
    untold = [
        (row, after)
        for found in flipped.values()
        for row, after in zip_longest(found, found[1:])
        if _is_told(row) and flip_key(row.check_id, row.flip_no) not in told
    ]
    # A failure that arrived after a newer success is told with it, as one message.
    assert [] == [row for row, after in untold if after is None or not _came_late(row, after)], f"seed={seed}"
    assert {key for key in told if key.startswith("flip:")} <= {
        flip_key(row.check_id, row.flip_no) for found in flipped.values() for row in found if _is_told(row)
    }, f"seed={seed}: what was told is no flip"
    assert {"sent"} == set(states), f"seed={seed}: {states}"
    arrived: dict[str, list[bool]] = {}
    for request in receiver.requests:
        flagged = bool(json.loads(request.body)["possible_duplicate"])
        arrived.setdefault(request.headers["webhook-id"], []).append(flagged)
    assert sent == set(arrived), f"seed={seed}: {len(sent - set(arrived))} alerts were recorded as sent but never came"
    unflagged = {i: flags for i, flags in arrived.items() if len(flags) > 1 and not all(flags[1:])}
    assert {} == unflagged, f"seed={seed}: the same alert came twice without a word"


def _is_told(flip: Any) -> bool:
    if flip.from_status == "new":
        return flip.to_status in {"down", "degraded"}
    return bool(flip.to_status != "new")


def _came_late(down: Any, up: Any) -> bool:
    return bool(down.to_status == up.from_status == "down" and down.run_id is not None and down.run_id == up.run_id)
