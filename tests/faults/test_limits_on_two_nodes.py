"""Two servers on one PostgreSQL, asked by two hundred at one time: together they let through what there is, no more.

One of them is killed in the midst of it: what it had answered stays reserved.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.server_process import Server

pytestmark = [pytest.mark.e2e, pytest.mark.postgres, pytest.mark.anyio]

CALLERS, MOST = 200, 80
LIMIT = {"kind": "rolling", "period_s": 3600, "amount": MOST, "scope": {"customer": "each"}}


async def test_two_servers_never_let_through_more_and_what_a_killed_one_answered_stays(
    postgres_url: str, tmp_path: Path
) -> None:
    nodes = [Server(tmp_path / str(n), {"DATABASE__URL": postgres_url}) for n in range(2)]
    for node in nodes:
        node.folder.mkdir()
    await asyncio.to_thread(nodes[0].start)
    (nodes[1].folder / "heartfly-data").mkdir(mode=0o700)
    shutil.copy(nodes[0].folder / "heartfly-data" / "secret.key", nodes[1].folder / "heartfly-data")
    await asyncio.to_thread(nodes[1].start)
    try:
        key = (nodes[0].folder / "heartfly-data" / "cli-key").read_text().strip()
        limit = await asyncio.to_thread(nodes[0].api, "POST", "/v1/limits", key, LIMIT)
        with ThreadPoolExecutor(CALLERS) as pool:
            told = await _all_at_once(pool, nodes, key, "acme")
            assert MOST == sum(one["allowed"] for one in told if one is not None)
            assert CALLERS == sum(one is not None for one in told)

            asked = asyncio.ensure_future(_all_at_once(pool, nodes, key, "other"))
            await asyncio.to_thread(nodes[1].kill)
            told = await asked
        counters = await asyncio.to_thread(nodes[0].api, "GET", f"/v1/limits/{limit['id']}/counters", key)
        used = {one["values"]["customer"]: int(one["used"]) for one in counters["items"]}
        allowed = sum(one["allowed"] for one in told if one is not None)
        print(f"{allowed} allowed, {used.get('other', 0)} reserved, {sum(one is None for one in told)} unanswered")
        assert MOST == used["acme"]
        assert allowed <= used.get("other", 0) <= MOST
    finally:
        for node in nodes:
            node.leave()


async def _all_at_once(pool: ThreadPoolExecutor, nodes: list[Server], key: str, customer: str) -> list[Any]:
    """What each was told; None: no answer came."""
    body = json.dumps({"scope": {"customer": customer}, "ttl": 3_600}).encode()

    def ask(node: Server) -> Any:
        try:
            return node.api_raw("POST", "/v1/limits/check", key, body)
        except (OSError, AssertionError):
            return None

    loop = asyncio.get_running_loop()
    return await asyncio.gather(*(loop.run_in_executor(pool, ask, nodes[n % 2]) for n in range(CALLERS)))
