"""A real server whose ground gives way: it says so where a load balancer looks, and is ready again by itself."""

from __future__ import annotations

import json
import sqlite3
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.server_process import Server

pytestmark = pytest.mark.e2e
LIMIT_S = 120.0


def ask(server: Server, path: str, body: bytes | None = None) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"{server.url}{path}", data=body, timeout=60) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def reasons(server: Server) -> set[str]:
    status, said = ask(server, "/readyz")
    found = {each["reason"] for each in json.loads(said)["reasons"]}
    assert (status == 503) == bool(found)
    return found


def until(server: Server, wanted: set[str]) -> set[str]:
    """Ask until the reasons are these or, with an empty set, until there are none."""
    give_up_at = time.perf_counter() + LIMIT_S
    while time.perf_counter() < give_up_at:
        found = reasons(server)
        if wanted <= found and (wanted or not found):
            return found
    raise AssertionError(f"never {wanted}, at last {reasons(server)}")


def test_while_pings_are_refused_it_is_not_ready_and_then_it_is_again(server: Server) -> None:
    keys = server.init()
    server.start()
    until(server, set())
    ping = f"/ping/{keys['ping_key']}/job?create=1"
    other = sqlite3.connect(server.folder / "heartfly-data" / "heartfly.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # some other program holds the database

    status, _ = ask(server, ping)
    found = until(server, {"writes_refused"})
    other.execute("ROLLBACK")
    other.close()

    assert 503 == status
    assert "beat_late" in found
    until(server, set())
    assert ask(server, ping)[0] in {200, 201}  # what was refused after a wait may have been written after all
    assert 0 == server.stop()


def test_a_disk_without_room_is_told_and_bodies_are_not_kept(server: Server) -> None:
    keys = server.init()
    server.settings |= {"DISK__LOW_MB": "900000000", "DISK__FLOOR_MB": "900000000"}
    server.start()
    until(server, {"disk_full"})

    assert 201 == ask(server, f"/ping/{keys['ping_key']}/job?create=1", b"all is well")[0]

    (check,) = server.api("GET", "/v1/checks", keys["api_key"])["items"]
    (ping,) = server.api("GET", f"/v1/checks/{check['id']}/pings", keys["api_key"])["items"]
    assert ("up", 11, None) == (check["status"], ping["body_size"], ping["body_url"])
    assert "disk_is_low" in (server.folder / "server.log").read_text()
    assert 0 == server.stop()
