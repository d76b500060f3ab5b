"""A process that serves Heartfly's own HTTP and answers with what it read: what raw_http.py talks to.

`python tests/fuzz/raw_site.py serve --port N`, as tests/server_process.py starts a server. With `--loop asyncio` each
connection is read in pieces of drawn lengths, so that a request is cut where the kernel would not cut it. They follow
from which connection it is, and from nothing else. What the answers must be is decided in raw_judge.py.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import signal
from typing import Any
from zlib import crc32

import uvloop
from typing_extensions import override

from heartfly.server import ServerLimits, open_sockets, run, serve
from heartfly.server.exchange import WHOLE
from heartfly.server.protocol import Connection

READ = b"x-read"
"""The field of an answer that says what was read: method, target, length and CRC of the body; `-` where it was not."""


class InPieces(Connection):
    """Reads at most so many bytes at once as was drawn for it, and draws anew after each."""

    drawn: random.Random

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.drawn = random.Random(self.shared.n_accepted)
        super().connection_made(transport)
        self._draw()

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._draw()

    def _draw(self) -> None:
        # asyncio's own, and no part of what it promises: how much it asks the kernel for at a time.
        self.transport.max_size = int(2 ** self.drawn.uniform(0, 14))  # type: ignore[attr-defined]


async def app(scope: Any, receive: Any, send: Any) -> None:
    path = scope["path"]
    if path.startswith("/early"):
        await _say(send, scope, b"- -", b"early")
        return
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    told = b"%d %08x" % (len(body), crc32(body))
    if path.startswith("/chunks"):
        await _say_in_chunks(send, scope, told)
    elif path.startswith("/whole"):
        fields = b"content-length: 5\r\n%b: %b\r\n" % (READ, _read(scope, told))
        await send({"type": WHOLE, "status": 200, "fields": fields, "body": b"whole"})
    else:
        await _say(send, scope, told, b"plain")


def _read(scope: Any, told: bytes) -> bytes:
    query: bytes = scope["query_string"]
    target = scope["raw_path"] + (b"?" + query if query else b"")
    return b"%b %b %b" % (scope["method"].encode(), target, told)


async def _say(send: Any, scope: Any, told: bytes, body: bytes) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [length, (READ, _read(scope, told))]})
    await send({"type": "http.response.body", "body": body})


async def _say_in_chunks(send: Any, scope: Any, told: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(READ, _read(scope, told))]})
    await send({"type": "http.response.body", "body": b"in ", "more_body": True})
    await asyncio.get_running_loop().run_in_executor(None, int)  # others have their turn
    await send({"type": "http.response.body", "body": b"chunks"})


async def _serve(port: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    limits = ServerLimits(drain_s=0.0, finish_s=5.0)
    await serve(app, sockets=open_sockets("127.0.0.1", port, fd=None), limits=limits, stop=stop)


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("serve")
    asked.add_argument("--port", type=int, required=True)
    asked.add_argument("--loop", choices=["asyncio", "uvloop"], default="uvloop")
    told = asked.parse_args()
    logging.basicConfig(level=logging.WARNING)
    if told.loop == "asyncio":
        run.Connection = InPieces  # type: ignore[attr-defined]
        asyncio.run(_serve(told.port))
    else:
        uvloop.run(_serve(told.port))


if __name__ == "__main__":
    main()
