"""A receiver on loopback that reads a request and then does what its script says, however rude.

A script gets the exchange and returns True to keep the connection for the next request.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

Script = Callable[["Exchange"], Awaitable[bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    server: ToxicServer
    request: Received
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class ToxicServer:
    def __init__(
        self,
        script: Script,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        greeting: bytes = b"",
    ) -> None:
        self._script = script
        self._tls = tls
        self._host = host
        self._greeting = greeting  # said before any request
        self.port = port
        self.requests: list[Received] = []
        self.connections = 0  # ever made
        self.open = 0
        self.most_open = 0
        self.answered = 0
        self.changed = asyncio.Condition()
        self.released = asyncio.Event()  # scripts that wait for the test wait for this
        self.stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, self.port, ssl=self._tls, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.stopping.set()
        self.released.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def url(self, path: str = "/", *, host: str | None = None) -> str:
        host = host or (f"[{self._host}]" if ":" in self._host else self._host)
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{path}"

    async def wait_until(self, true: Callable[[ToxicServer], bool]) -> None:
        async with asyncio.timeout(60), self.changed:
            await self.changed.wait_for(lambda: true(self))

    async def pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        await self._tell()
        writer.write(self._greeting)
        try:
            while (request := await read_request(reader)) is not None:
                self.requests.append(request)
                await self._tell()
                exchange = Exchange(server=self, request=request, reader=reader, writer=writer)
                if not await self._script(exchange):
                    break
                await writer.drain()
                self.answered += 1
                await self._tell()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the sender left, or the test is over
        finally:
            if self.stopping.is_set():
                writer.transport.abort()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            self.open -= 1
            self._tasks.discard(task)
            await self._tell()

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()


async def read_request(reader: asyncio.StreamReader) -> Received | None:
    """None: whoever asked has left."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    start, *lines = head.split("\r\n")[:-2]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    method, target, _ = start.split(" ")
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method=method, target=target, headers=headers, body=body)


def reply(status: int = 200, body: bytes = b"ok", headers: Sequence[tuple[str, str]] = ()) -> Script:
    """A proper answer on a connection that is kept."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    if status in {204, 304}:
        lines.pop()
    lines += [f"{name}: {value}" for name, value in headers]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"

    async def script(exchange: Exchange) -> bool:
        exchange.writer.write(head if exchange.request.method == "HEAD" else head + body)
        return True

    return script


def raw(data: bytes, *, keep: bool = False) -> Script:
    """These very bytes, then the end of the connection (`keep`: left open and silent until the test is over)."""

    async def script(exchange: Exchange) -> bool:
        exchange.writer.write(data)
        await exchange.writer.drain()
        if keep:
            await exchange.server.pause(60)
        return False

    return script


def drip(head: bytes, drop: bytes, *, every_s: float = 0.02) -> Script:
    """The head at once, then the drop again and again, for ever."""

    async def script(exchange: Exchange) -> bool:
        exchange.writer.write(head)
        while not exchange.server.stopping.is_set():
            await exchange.server.pause(every_s)
            if exchange.writer.is_closing():  # whoever asked has gone; uvloop says so by no ConnectionError
                return False
            exchange.writer.write(drop)
            await exchange.writer.drain()
        return False

    return script


def flood(head: bytes, chunk: bytes) -> Script:
    """The head, then as many bytes as the sender takes, for ever."""

    async def script(exchange: Exchange) -> bool:
        exchange.writer.write(head)
        while not exchange.server.stopping.is_set():
            exchange.writer.write(chunk)
            await exchange.writer.drain()
        return False

    return script


def gzip_bomb(unpacked_bytes: int) -> Script:
    packed = gzip.compress(b"\0" * unpacked_bytes)
    return reply(body=packed, headers=[("Content-Encoding", "gzip")])


def when_released(then: Script) -> Script:
    async def script(exchange: Exchange) -> bool:
        await exchange.server.released.wait()
        return await then(exchange)

    return script


def in_turn(*scripts: Script) -> Script:
    """The first request gets the first script, and so on; the last one serves the rest."""

    async def script(exchange: Exchange) -> bool:
        number = len(exchange.server.requests) - 1
        return await scripts[min(number, len(scripts) - 1)](exchange)

    return script


async def reset(exchange: Exchange) -> bool:
    """RST instead of an answer."""
    sock: socket.socket = exchange.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exchange.writer.transport.abort()
    return False


async def half_close(exchange: Exchange) -> bool:
    """No answer, but our half of the connection ends; the other stays open."""
    exchange.writer.write_eof()
    await exchange.server.pause(60)
    return False


async def reply_and_close(exchange: Exchange) -> bool:
    """A proper answer that announces no end of the connection, and then the end."""
    await reply()(exchange)
    return False


async def hang_up(exchange: Exchange) -> bool:
    return False


def n_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
