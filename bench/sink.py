"""A receiver of webhooks on loopback, a process of its own: notes when each came, answers at once or after a while.

GET /arrivals tells all of it: [[seconds since 1970, webhook-id], …].
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import cast

import uvloop
from typing_extensions import override

from bench.load import CLOCK

_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_ID = re.compile(rb"webhook-id:\s*(\S+)", re.IGNORECASE)
_OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"


@dataclass(frozen=True, slots=True)
class Arrivals:
    at: list[float]
    ids: set[str]


@dataclass(frozen=True, slots=True)
class Sink:
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def arrivals(self) -> Arrivals:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/arrivals", timeout=5) as answer:
            found = json.loads(answer.read())
        return Arrivals([at for at, _ in found], {name for _, name in found})


class _Receiver(asyncio.Protocol):
    arrivals: list[tuple[float, str]]
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
        self.arrivals.append((CLOCK.now().timestamp(), name[1].decode() if name else ""))
        asyncio.get_running_loop().call_later(self.delay_s, self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_OK)


def _serve(pipe: Connection, delay_s: float) -> None:
    class Receiver(_Receiver):
        arrivals: list[tuple[float, str]] = []  # noqa: RUF012 - one list for all connections

    Receiver.delay_s = delay_s

    async def receive() -> None:
        server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0, backlog=1024)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    uvloop.run(receive())


@contextmanager
def sink(*, delay_s: float = 0.0) -> Iterator[Sink]:
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, delay_s), daemon=True)
    process.start()
    theirs.close()  # so that a receiver that dies is noticed
    try:
        yield Sink(mine.recv())
    finally:
        process.terminate()
        process.join()
