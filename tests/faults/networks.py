"""Three nodes, each in a network namespace of its own, and what lies between them: a bridge, the way to the database,
and HAProxy in front.

To make namespaces needs root, and `ip` of iproute2. The way to PostgreSQL is a wire of our own, which can be cut for
one node: what was on its way stands still, as behind a router that is gone, and goes on when it is mended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

from tests.server_process import free_port

HERE = "10.231.7.1"
"""Of the bridge, and so of what is in none of the namespaces."""
N_NODES = 3
_BRIDGE = "hfly0"
_LIMIT_S = 30


def lacking() -> str:
    """Why there can be no namespaces here; empty: there can."""
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    missing = [name for name in ("ip", "haproxy") if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} missing"
    probe = subprocess.run(["ip", "netns", "add", f"{_BRIDGE}-probe"], capture_output=True, check=False)
    if probe.returncode:
        return f"no network namespace can be made: {probe.stderr.decode().strip()}"
    _ip("netns", "del", f"{_BRIDGE}-probe")
    return ""


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=_LIMIT_S)


@dataclass(frozen=True)
class Place:
    """A namespace with one address, reachable from the bridge unless its link is down."""

    n: int

    @property
    def name(self) -> str:
        return f"{_BRIDGE}-{self.n}"

    @property
    def address(self) -> str:
        return f"10.231.7.{10 + self.n}"

    @property
    def inside(self) -> Sequence[str]:
        return ("ip", "netns", "exec", self.name)

    def link(self, state: str) -> None:
        """`up` or `down`: the whole network of this node."""
        _ip("link", "set", f"{self.name}o", state)


@contextmanager
def places() -> Iterator[Sequence[Place]]:
    made = [Place(n) for n in range(1, N_NODES + 1)]
    with contextlib.ExitStack() as undo:
        _ip("link", "add", _BRIDGE, "type", "bridge")
        undo.callback(_ip, "link", "del", _BRIDGE)
        _ip("addr", "add", f"{HERE}/24", "dev", _BRIDGE)
        _ip("link", "set", _BRIDGE, "up")
        for place in made:
            _ip("netns", "add", place.name)
            undo.callback(_ip, "netns", "del", place.name)
            _ip("link", "add", f"{place.name}o", "type", "veth", "peer", "name", "eth0", "netns", place.name)
            _ip("link", "set", f"{place.name}o", "master", _BRIDGE, "up")
            _ip("-n", place.name, "addr", "add", f"{place.address}/24", "dev", "eth0")
            _ip("-n", place.name, "link", "set", "eth0", "up")
            _ip("-n", place.name, "link", "set", "lo", "up")
        yield made


@dataclass
class Wire:
    """From an address on the bridge to the socket of PostgreSQL. `url`: by which nodes come to the database."""

    database_url: str
    url: str = ""
    _cut: dict[str, asyncio.Event] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, HERE, 0)
        port = self._server.sockets[0].getsockname()[1]
        parts = urlsplit(self.database_url)
        self._socket = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432"
        self.url = f"postgresql+psycopg://postgres@{HERE}:{port}{parts.path}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def cut(self, address: str) -> None:
        self._cut[address] = asyncio.Event()

    def mend(self, address: str) -> None:
        self._cut.pop(address).set()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        address = writer.get_extra_info("peername")[0]
        await self._whole(address)
        there, back = await asyncio.open_unix_connection(self._socket)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(self._carry(address, reader, back), self._carry(address, there, writer))
        for end in (back, writer):
            end.close()

    async def _carry(self, address: str, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):  # a process that is killed resets its connections
            while data := await source.read(65_536):
                await self._whole(address)
                sink.write(data)
                await sink.drain()
        await self._whole(address)
        sink.close()

    async def _whole(self, address: str) -> None:
        if (cut := self._cut.get(address)) is not None:
            await cut.wait()


_BALANCER = """
global
  maxconn 2000
defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 20s
  # A ping that reached nobody goes to another node; one that may have reached somebody is told to its client.
  retries 3
  option redispatch 1
  retry-on conn-failure
frontend pings
  bind 127.0.0.1:{port}
  use_backend any_that_lives if {{ nbsrv(nodes) eq 0 }}
  default_backend nodes
backend nodes
  balance roundrobin
  option httpchk GET /readyz
  default-server check inter 500ms fall 2 rise 2
{nodes}
# When none is ready, as while the database is away, whoever lives says so himself, or takes pings into his spool.
backend any_that_lives
  balance roundrobin
  option httpchk GET /healthz
  default-server check inter 500ms fall 2 rise 2
{nodes}
"""


@contextmanager
def balancer(folder: Path, made: Sequence[Place], *, port: int) -> Iterator[int]:
    """HAProxy on this machine's own address. Yields its port once it listens."""
    front = free_port()
    nodes = "\n".join(f"  server n{place.n} {place.address}:{port}" for place in made)
    config = folder / "haproxy.cfg"
    config.write_text(_BALANCER.format(port=front, nodes=nodes))
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen(["haproxy", "-db", "-f", str(config)], stdout=log, stderr=log)
    try:
        _until_listening(process, front, folder / "haproxy.log")
        yield front
    finally:
        process.terminate()
        process.wait(_LIMIT_S)


def _until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends = time.perf_counter() + _LIMIT_S
    while time.perf_counter() < ends:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    raise AssertionError("haproxy did not listen")
