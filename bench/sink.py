"""A receiver of webhooks on loopback, a process of its own: notes when each came, answers at once or after a while.

It may have many addresses, as many hosts have. GET /arrivals tells all of it: [[seconds since 1970, webhook-id, when
the check was expected, its name], …].
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import cast

import uvloop
from typing_extensions import override

from bench.load import CLOCK

_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_ID = re.compile(rb"webhook-id:\s*(\S+)", re.IGNORECASE)
_EXPECTED = re.compile(rb'"expected_at":\s*"([^"]+)"')
_NAME = re.compile(rb'"name":\s*"(Job [^"]+)"')
_OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"


@dataclass(frozen=True, slots=True)
class Arrivals:
    at: list[float]
    ids: set[str]
    expected: list[str]
    """As the alert says it, beside `at`; empty if it says none."""
    names: list[str] = field(default_factory=list)
    """Of seeded checks, the same."""


@dataclass(frozen=True, slots=True)
class Sink:
    port: int
    n_hosts: int = 1

    @property
    def url(self) -> str:
        return self.urls[0]

    @property
    def urls(self) -> list[str]:
        """One for each address."""
        return [f"http://{host}:{self.port}/hook" for host in _hosts(self.n_hosts)]

    def arrivals(self) -> Arrivals:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/arrivals", timeout=5) as answer:
            found = json.loads(answer.read())
        at, ids, expected, names = ([one[n] for one in found] for n in range(4))
        return Arrivals(at, {*ids}, expected, names)


def _hosts(n: int) -> list[str]:
    return [f"127.0.0.{1 + i}" for i in range(n)]


class _Receiver(asyncio.Protocol):
    arrivals: list[tuple[float, str, str, str]]
    delay_s: float

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by birth
        self._read = b""

    @override
    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, body = self._read.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or (length is not None and len(body) < int(length[1])):
            return
        self._read = b""
        if head.startswith(b"GET /arrivals "):
            said = json.dumps(self.arrivals).encode()
            self._transport.write(_OK.replace(b"length: 2", b"length: %d" % len(said))[:-2] + said)
            self._transport.close()
            return
        name = _ID.search(head)
        expected = _EXPECTED.search(body)
        job = _NAME.search(body)
        said_of = [found[1].decode() if found else "" for found in (name, expected, job)]
        self.arrivals.append((CLOCK.now().timestamp(), said_of[0], said_of[1], said_of[2]))
        asyncio.get_running_loop().call_later(self.delay_s, self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_OK)


def _serve(pipe: Connection, delay_s: float, n_hosts: int) -> None:
    class Receiver(_Receiver):
        arrivals: list[tuple[float, str, str, str]] = []  # noqa: RUF012 - one list for all connections

    Receiver.delay_s = delay_s

    async def receive() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Receiver, "127.0.0.1", 0, backlog=1024)
        port = server.sockets[0].getsockname()[1]
        if others := _hosts(n_hosts)[1:]:
            await loop.create_server(Receiver, others, port, backlog=1024)
        pipe.send(port)
        await asyncio.Event().wait()

    uvloop.run(receive())


@contextmanager
def sink(*, delay_s: float = 0.0, n_hosts: int = 1) -> Iterator[Sink]:
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, delay_s, n_hosts), daemon=True)
    process.start()
    theirs.close()  # so that a receiver that dies is noticed
    try:
        yield Sink(mine.recv(), n_hosts)
    finally:
        process.terminate()
        process.join()
