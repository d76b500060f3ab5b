"""A real server whose canary misses on purpose: how late it was told is published, and nobody sees more of it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.server_process import Server
from tests.vitals.test_readiness_served import LIMIT_S, ask

pytestmark = pytest.mark.e2e


def canary(server: Server) -> Any:
    give_up_at = time.perf_counter() + LIMIT_S
    while time.perf_counter() < give_up_at:
        found = json.loads(ask(server, "/readyz")[1])["canary"]
        if found is not None:
            return found
    raise AssertionError("no canary was told")


def test_how_late_a_miss_was_told_is_published(server: Server) -> None:
    server.settings["MONITOR__CANARY_S"] = "5"
    keys = server.init()
    server.start()

    found = canary(server)
    metrics = ask(server, "/metrics")[1].decode()
    listed = server.api("GET", "/v1/checks", keys["api_key"])

    assert 0 <= found["latency_s"] < LIMIT_S
    assert "heartfly_canary_latency_seconds " in metrics
    assert "heartfly_canary_age_seconds " in metrics
    assert "anary" not in json.dumps(listed)
    assert "All is well.\n" == server.command("watch", "--once", server.url)
