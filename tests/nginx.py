"""A real nginx with the log_format of docs/access-logs.md, in a directory of its own, and load on it."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.server_process import free_port

PAGE = Path(__file__).resolve().parents[1] / "docs" / "access-logs.md"
_START_LIMIT_S = 60.0


def documented() -> str:
    """The directive that people are told to write, as they paste it."""
    found = re.search(r"^log_format heartfly.*?;$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[0]


@dataclass
class Nginx:
    """`logs_to`: what stands behind `access_log`."""

    folder: Path
    logs_to: str
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if program is None:
            pytest.skip("no nginx here: apt-get install nginx")
        self.port = free_port()
        self.folder.mkdir(exist_ok=True)
        temporary = "\n".join(
            f"{kind}_temp_path {self.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (self.folder / "nginx.conf").write_text(f"""
            daemon off;
            worker_processes 2;
            pid {self.folder}/nginx.pid;
            error_log {self.folder}/error.log;
            events {{ worker_connections 256; }}
            http {{
              {temporary}
              {documented()}
              server {{
                listen 127.0.0.1:{self.port};
                access_log {self.logs_to};
                location /users/ {{ return 200 "hello"; }}
                location /orders/ {{ return 503; }}
                location = /count {{ stub_status; access_log off; }}
              }}
            }}
        """)
        self.process = subprocess.Popen([program, "-c", self.folder / "nginx.conf", "-e", self.folder / "error.log"])
        ends = time.perf_counter() + _START_LIMIT_S
        while True:
            try:
                self.n_requests()
            except (urllib.error.URLError, ConnectionError):
                assert self.process.poll() is None, (self.folder / "error.log").read_text()
                assert time.perf_counter() < ends
            else:
                return

    def n_requests(self) -> int:
        """By its own count, with those that asked for it: the first did when it was started, the last is this one."""
        with urllib.request.urlopen(f"{self.url}/count", timeout=10) as answer:
            return int(answer.read().split(b"\n")[2].split()[2])

    def reopen(self) -> None:
        """Its logs, as after a rotation."""
        assert self.process is not None
        self.process.send_signal(10)  # SIGUSR1

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)


LOAD = """
local n = 0
local who = { "acme", "bolt", "cliff" }
request = function()
  n = n + 1
  wrk.headers["X-Customer"] = who[n % 3 + 1]
  local path = n % 4 == 0 and "/orders/" or "/users/"
  return wrk.format("GET", path .. n .. "?token=x")
end
"""


def load(nginx: Nginx, *, seconds: int, connections: int = 8) -> int:
    """How many requests wrk had answered; nginx may have served some more that it did not wait for."""
    program = shutil.which("wrk")
    if program is None:
        pytest.skip("no wrk here: apt-get install wrk")
    script = nginx.folder / "load.lua"
    script.write_text(LOAD)
    done = subprocess.run(
        [program, "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), nginx.url],
        capture_output=True, text=True, timeout=seconds + 60, check=True,
    )  # fmt: skip
    found = re.search(r"(\d+) requests in", done.stdout)
    assert found is not None, done.stdout
    return int(found[1])
