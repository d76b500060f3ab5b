"""The real server as a subprocess, and a small HTTP client for talking to it. Bounded in time everywhere."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from heartfly.cli import main
from heartfly.db.parts import PARTS
from tests import canaries

START_LIMIT_S = 180.0
"""A busy machine takes a minute and more; a server that ends instead is noticed at once."""
HEARTFLY = ("-m", "heartfly")
_PORTS, _PORTS_EACH = range(11_000, 31_000), 1_000
_FIRST_OF_PROCESS = os.getpid()
_ports = itertools.count()
migrated: Callable[[], Path] | None = None
"""Where the files of a Heartfly are that has tables and nothing in them; set by tests/conftest.py."""


def free_port() -> int:
    """One that nobody else is given until it is used: the kernel gives those above to whoever connects or listens."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _PORTS.start + worker * _PORTS_EACH % len(_PORTS)
    while True:
        port = first + (_FIRST_OF_PROCESS + next(_ports)) % _PORTS_EACH
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def typed(
    folder: Path, *arguments: str, given: str = "", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`heartfly …` in that directory, as far as it needs no process of its own: to start one takes seconds."""
    with contextlib.chdir(folder):
        result = CliRunner().invoke(main, list(arguments), env=env, input=given, prog_name="heartfly")
    error = result.exception
    trace = "" if error is None or isinstance(error, SystemExit) else "".join(traceback.format_exception(error))
    return subprocess.CompletedProcess(["heartfly", *arguments], result.exit_code, result.stdout, result.stderr + trace)


class AskedTooMuchError(AssertionError):
    """503: not now, or it would take too long."""


@dataclass
class Server:
    """`heartfly serve` in a directory of its own. Settings are given as variables."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    limit_s: float = 60
    """For a command, where a process runs it."""
    program: Sequence[str] = HEARTFLY
    """What Python runs."""
    before: Sequence[str] = ()
    """What runs Python, such as `ip netns exec NAME`."""
    address: str = "127.0.0.1"

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | self.own_settings

    @property
    def own_settings(self) -> dict[str, str]:
        own = {f"HEARTFLY_{name}": value for name, value in self.settings.items()}
        # What it leaves would stand among the pings and flips that tests count.
        own.setdefault("HEARTFLY_MONITOR__CANARY_S", "0")
        own.setdefault("HEARTFLY_DISK__RESERVE_MB", "0")  # hundreds of servers would keep gigabytes of nothing
        return {"HEARTFLY_OUTGOING__ALLOW_PRIVATE": "true", "HEARTFLY_SERVER__DRAIN_S": "0"} | own

    def command(self, *arguments: str, given: str = "") -> str:
        """Run `heartfly …` here and return what it printed; a failure shows what it said."""
        env = self.own_settings | {"HEARTFLY_URL": self.url}
        if self.program == HEARTFLY:
            done = typed(self.folder, *arguments, given=given, env=env)
        else:
            done = subprocess.run(
                [sys.executable, *self.program, *arguments],
                cwd=self.folder,
                env=os.environ | env,
                input=given,
                capture_output=True,
                text=True,
                timeout=self.limit_s,
                check=False,
            )
        assert 0 == done.returncode, done.stdout + done.stderr
        return done.stdout

    def _begin(self) -> None:
        """In an empty directory: tables are there already. Each first start would take half a second to make them."""
        data = self.folder / "heartfly-data"
        if migrated is not None and not data.exists() and not {"DATA__DIR", "DATABASE__URL"} & self.settings.keys():
            data.mkdir(mode=0o700)
            for part in PARTS:
                shutil.copy(migrated() / part.file, data)

    def init(self) -> dict[str, str]:
        self._begin()
        said = self.command(
            "init", "--email", "ada@example.com", "--password-stdin", "--project", "acme", "--json",
            given="correct horse battery\n",
        )  # fmt: skip
        keys: dict[str, str] = json.loads(said)
        return keys

    def start(self, *options: str, limit_s: float = START_LIMIT_S) -> float:
        """Start it and return the seconds until it answered."""
        self._begin()
        self.port = self.port or free_port()
        log = (self.folder / "server.log").open("ab")
        begun = time.perf_counter()
        self.process = subprocess.Popen(
            [*self.before, sys.executable, *self.program, "serve", "--port", str(self.port), *options],
            cwd=self.folder,
            env=self.environment,
            stdout=log,
            stderr=log,
        )
        log.close()
        while time.perf_counter() < begun + limit_s:
            assert self.process.poll() is None, (self.folder / "server.log").read_text()[-3000:]
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=5):
                    return time.perf_counter() - begun
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                # Not yet; waiting for the child to exit is the one wait that both cannot miss its death and ends.
                try:
                    self.process.wait(0.05)
                except subprocess.TimeoutExpired:
                    continue
        raise AssertionError("the server did not start:\n" + (self.folder / "server.log").read_text()[-3000:])

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(60)

    def leave(self) -> None:
        """However a test ended, nothing of it goes on."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(90)
        # What a first start tells people is on their terminal for them: only the log must give nothing away.
        lines = (self.folder / "server.log").read_text().splitlines()
        assert [] == canaries.shapes_in("\n".join(line for line in lines if '"event":' in line))
        return status

    def api(self, method: str, path: str, key: str, body: object = None) -> Any:
        return self.api_raw(method, path, key, None if body is None else json.dumps(body).encode())

    def api_raw(self, method: str, path: str, key: str, body: bytes | None) -> Any:
        request = urllib.request.Request(
            f"{self.url}{path}",
            method=method,
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            data=body,
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                said = reply.read()
        except urllib.error.HTTPError as error:
            kind = AskedTooMuchError if error.code == HTTPStatus.SERVICE_UNAVAILABLE else AssertionError
            raise kind(f"{method} {path}: {error.code} {error.read().decode()}") from error
        return json.loads(said) if said else None


async def get(port: int, path: str, *, host: str = "127.0.0.1") -> int:
    """One request on a connection of its own, as cron with curl makes it. 0: no answer came."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return 0
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 15)
        return int(answer[9:12]) if answer.startswith(b"HTTP/1.") else 0
    except (OSError, ValueError, TimeoutError):
        return 0
    finally:
        writer.close()
