"""A host with thirty jobs dies, with the real server: one incident with all of them, and the first is told at once."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from heartfly.clock import SystemClock
from tests.server_process import Server
from tests.web.full_house import ping
from tests.web.hook import Hook, listening

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

N = 30
LIMIT = timedelta(minutes=2)
SOON = timedelta(seconds=1)
"""On a machine that rests, as it is promised; that is why it is slow, and not one of those that run beside others."""


def test_thirty_jobs_of_a_host_are_one_incident_and_the_first_is_told_at_once(tmp_path: Path) -> None:
    with listening() as hook:
        server = Server(tmp_path, {"OUTGOING__ALLOWED_PORTS": str(hook.port)})
        key = server.init()["api_key"]
        server.start()
        try:
            deadline = _thirty_jobs(server, key, hook)
            whole = _the_cause(server, key)
        finally:
            server.leave()

    assert N == len({one["check"] for one in whole["members"]})
    # The others wait for the message that names them all.
    assert ["job"] == [json.loads(said)["text"].split("*")[1].split()[1] for said in hook.heard]
    took = hook.heard_at[0] - deadline
    print(f"the first message: {took.total_seconds():.3f} s after the first deadline")
    assert took < SOON


def _thirty_jobs(server: Server, key: str, hook: Hook) -> datetime:
    """Each has pinged once. Returns the first deadline."""
    server.api("POST", "/v1/channels", key, {"kind": "slack", "name": "People", "config": {"url": hook.url}})
    schedule = {"kind": "period", "period": 5}
    asked = [{"name": f"job {n:02}", "schedule": schedule, "grace": 5, "host": "db-1"} for n in range(N)]
    jobs = [server.api("POST", "/v1/checks", key, one) for one in asked]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ping, [job["ping_url"] for job in jobs]))
    found = [server.api("GET", f"/v1/checks/{job['id']}", key) for job in jobs]
    return min(datetime.fromisoformat(one["last_ping_at"]) for one in found) + timedelta(seconds=10)


def _the_cause(server: Server, key: str) -> Any:
    until, waiting = SystemClock().now() + LIMIT, threading.Event()
    while SystemClock().now() < until:
        waiting.wait(0.3)  # a key may ask 600 times a minute
        causes = [
            one for one in server.api("GET", "/v1/incidents?by_cause=true", key)["items"] if one["source"] == "host"
        ]
        whole = server.api("GET", f"/v1/incidents/{causes[0]['id']}", key) if causes else {"members": []}
        if len(whole["members"]) == N:
            return whole
    raise AssertionError("not all are members of a cause")
