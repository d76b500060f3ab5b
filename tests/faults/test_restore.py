"""The restore drill: a server under pings is backed up, killed, and restored elsewhere; then it is audited.

Compared are what the clients were answered, what the receiver got, and what the restored database holds.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import sqlalchemy as sa

from heartfly.db.models import blind_intervals, flips, instance, notifications, pings
from tests.faults.clients import Load, until_drained
from tests.notify.receivers import HttpReceiver
from tests.server_process import Server

CLIENTS = 4
LIMIT_S = 180
SLOT_S = 20


@pytest.mark.e2e
@pytest.mark.anyio
async def test_a_killed_server_is_restored_elsewhere_without_a_false_alarm(tmp_path: Path) -> None:
    settings = {"PINGS__KEEP_PER_CHECK": "100000000", "PINGS__RATE_PER_MINUTE": "100000000"}
    old, new = (Server(tmp_path / name, settings) for name in ("old", "new"))
    for server in (old, new):
        server.folder.mkdir()
    keys = await asyncio.to_thread(old.init)
    async with HttpReceiver() as receiver:
        await asyncio.to_thread(old.start)
        moody, steady = await asyncio.to_thread(_set_up, old, keys["api_key"], receiver)
        loads = [Load(old.port, moody), Load(old.port, steady, kinds=[""])]
        clients = [asyncio.ensure_future(one.client(random.Random(n))) for one in loads for n in range(CLIENTS)]
        await _until_more(loads, 200)
        known = [rid for one in loads for rid in one.acknowledged]
        said = await asyncio.to_thread(old.command, "backup", "--to", str(tmp_path / "drill.tar"), "--json")
        taken = time.perf_counter()
        await _until_more(loads, 200)
        await asyncio.to_thread(old.kill)
        loads[1].stopping = True

        begun = time.perf_counter()
        await asyncio.to_thread(new.command, "restore", json.loads(said)["file"])
        new.port = old.port
        before = [len(one.acknowledged) for one in loads]
        took = time.perf_counter() - begun
        # As the backup knows it, the slot of every steady job has gone by in silence when the new server first looks.
        await asyncio.sleep(max(0.0, taken + SLOT_S + 1 - time.perf_counter()))  # noqa: TID251 - the moment of the start
        took += await asyncio.to_thread(new.start)
        await asyncio.to_thread(_until_judged, new)
        loads[1].stopping = False
        clients += [asyncio.ensure_future(loads[1].client(random.Random(n))) for n in range(CLIENTS)]
        await _until_more(loads, 200)
        for one in loads:
            one.stopping = True
        await asyncio.gather(*clients)
        await until_drained(new, keys["api_key"])
        assert 0 == await asyncio.to_thread(new.stop)
    since = [rid for one, n in zip(loads, before, strict=True) for rid in one.acknowledged[n:]]
    print(f"acknowledged before {len(known)}, since {len(since)}; serving again after {took:.2f} s")
    _audit(new, [*known, *since], receiver)


def _set_up(server: Server, key: str, receiver: HttpReceiver) -> tuple[list[str], list[str]]:
    """Addresses of jobs that fail now and then, and of those that succeed each second."""
    server.api("POST", "/v1/channels", key, {"kind": "webhook", "name": "ops", "config": {"url": receiver.url}})
    slow = {"schedule": {"kind": "period", "period": 3600}, "grace": 600}
    fast = {"schedule": {"kind": "period", "period": SLOT_S - 1}, "grace": 1}
    made = [
        [server.api("POST", "/v1/checks", key, {"name": f"{name} {n}", **rules})["ping_url"] for n in range(3)]
        for name, rules in (("moody", slow), ("steady", fast))
    ]
    moody, steady = ([address.removeprefix(server.url) for address in addresses] for addresses in made)
    return moody, steady


def _until_judged(server: Server) -> None:
    """The monitor has looked once at least."""
    give_up_at = time.perf_counter() + LIMIT_S
    while time.perf_counter() < give_up_at:
        try:
            with urllib.request.urlopen(f"{server.url}/readyz", timeout=30):
                return
        except (urllib.error.HTTPError, TimeoutError):
            continue
    raise AssertionError("the restored server is never ready")


async def _until_more(loads: list[Load], n: int) -> None:
    """Each load was answered `n` times more."""
    wanted = [len(one.acknowledged) + n for one in loads]
    async with asyncio.timeout(LIMIT_S):
        while any(len(one.acknowledged) < many for one, many in zip(loads, wanted, strict=True)):  # noqa: ASYNC110 - real processes have no event to wait on
            await asyncio.sleep(0.02)  # noqa: TID251 - bounded above


def _audit(server: Server, acknowledged: list[str], receiver: HttpReceiver) -> None:
    engine = sa.create_engine(f"sqlite:///{server.folder}/heartfly-data/heartfly.db")
    with engine.connect() as connection:
        stored = set(connection.execute(sa.select(pings.c.rid)).scalars())
        reasons = set(connection.execute(sa.select(flips.c.reason)).scalars())
        causes = list(connection.execute(sa.select(blind_intervals.c.cause)).scalars())
        epoch = connection.execute(sa.select(instance.c.epoch)).scalar_one()
        states = set(connection.execute(sa.select(notifications.c.state)).scalars())
    engine.dispose()
    assert [] == [rid for rid in acknowledged if rid not in stored]
    assert set() == reasons & {"missed", "missed_twice_unverified", "hung"}
    assert any("restored from a backup" in cause for cause in causes)
    assert epoch > 1
    assert {"sent"} == states
    arrived: dict[str, list[bool]] = {}
    for request in receiver.requests:
        event = json.loads(request.body)
        assert event["type"] == "check.unverified" or not event["check"]["name"].startswith("steady"), event
        arrived.setdefault(request.headers["webhook-id"], []).append(event["possible_duplicate"])
    assert arrived
    assert {} == {i: flags for i, flags in arrived.items() if not all(flags[1:])}
