"""`heartfly run` on a machine whose network goes away and comes back: nothing is lost, a false alarm is taken back."""

from __future__ import annotations

import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from typing_extensions import override

from heartfly.cli import heartfly_run
from heartfly.clock import SystemClock
from tests.server_process import Server, free_port

pytestmark = pytest.mark.e2e


class Network:
    """What stands between the job's machine and the server, always at the same address."""

    def __init__(self, server: Server) -> None:
        self.port = free_port()
        self._server = server
        self._door: ThreadingHTTPServer | None = None

    def up(self) -> None:
        beyond = self._server.url

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with urllib.request.urlopen(urllib.request.Request(beyond + self.path, body), timeout=30) as reply:
                    said = reply.read()
                self.send_response(reply.status)
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            @override
            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._door = ThreadingHTTPServer(("127.0.0.1", self.port), Door)
        threading.Thread(target=self._door.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def down(self) -> None:
        assert self._door is not None
        self._door.shutdown()
        self._door.server_close()


def until(holds: Callable[[], Any], *, limit_s: float = 180) -> None:
    clock, waiting = SystemClock(), threading.Event()
    end = clock.monotonic() + limit_s
    while not holds():
        assert clock.monotonic() < end, "it never came to be"
        waiting.wait(0.1)


def test_what_a_network_swallowed_is_told_later_and_takes_the_alarm_back(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start()
    network = Network(server)
    network.up()
    try:
        key = (tmp_path / "heartfly-data" / "cli-key").read_text().strip()
        asked = {"name": "Far away", "schedule": {"kind": "period", "period": 8}, "grace": 12}
        check = server.api("POST", "/v1/checks", key, asked)
        address = f"http://127.0.0.1:{network.port}{urlsplit(check['ping_url']).path}"
        of_check = f"/v1/checks/{check['id']}"

        def run(*command: str) -> int:
            job = [sys.executable, heartfly_run.__file__, "--spool", str(tmp_path / "spool"), "--check", address, "--"]
            return subprocess.run([*job, *command], capture_output=True, timeout=60, check=False).returncode

        assert 0 == run("echo", "before")
        until(lambda: server.api("GET", of_check, key)["late"])
        network.down()
        assert 0 == run("echo", "swallowed")
        until(lambda: server.api("GET", of_check, key)["status"] == "down")
        network.up()
        assert 0 == run("echo", "after")

        flips = [one["reason"] for one in server.api("GET", f"{of_check}/flips", key)["items"]][::-1]
        incidents = server.api("GET", f"/v1/incidents?check={check['id']}", key)["items"]
        pings = server.api("GET", f"{of_check}/pings", key)["items"]
        bodies = [
            urllib.request.urlopen(
                urllib.request.Request(one["body_url"], headers={"Authorization": f"Bearer {key}"})
            ).read()
            for one in pings
            if one["body_url"]
        ]
    finally:
        network.down()
        server.kill()

    assert ["success", "missed", "retracted"] == flips[:3]
    assert ("retracted", True) == (incidents[-1]["ended_by"], incidents[-1]["disproved"])
    assert [b"after\n", b"swallowed\n", b"before\n"] == bodies
    assert [] == list((tmp_path / "spool").glob("*.json"))
