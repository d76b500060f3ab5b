"""A small forward proxy on loopback: tunnels, absolute-form requests, logins; and scripts for one that is rude.

It finds receivers by its own names, as a real one does: what a test gives it is what its resolver would say.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from typing import Self
from urllib.parse import urlsplit

from heartfly.net.proxy import Proxy
from tests.net.toxic_server import Received, read_request

Place = tuple[str, int]
Rude = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Instead of what was asked for; then the connection ends."""


class ForwardProxy:
    """`names`: where each host really is, by `host:port`. `login`: what it wants, as `user:password`."""

    def __init__(
        self,
        names: Mapping[str, Place] | None = None,
        *,
        login: str = "",
        rude: Rude | None = None,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.names = dict(names or {})
        self._login = login
        self._rude = rude
        self._tls = tls
        self._host = host
        self.port = 0
        self.asked: list[Received] = []
        self.connections = 0
        self.open = 0
        self.changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def known(self, *, login: str = "", host: str = "") -> Proxy:
        """As the setting would name it."""
        header = b"Basic " + b64encode(login.encode()) if login else b""
        return Proxy(host=host or self._host, port=self.port, by_tls=self._tls is not None, login=header)

    async def wait_until_alone(self) -> None:
        async with asyncio.timeout(60), self.changed:
            await self.changed.wait_for(lambda: self.open == 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        try:
            while (asked := await read_request(reader)) is not None:
                self.asked.append(asked)
                if not await self._answered(asked, reader, writer):
                    writer.close()  # what was said arrives
                    await writer.wait_closed()
                    break
        except (OSError, ssl.SSLError, asyncio.CancelledError):
            pass  # somebody left, or the test is over
        finally:
            writer.transport.abort()
            self.open -= 1
            self._tasks.discard(task)
            async with self.changed:
                self.changed.notify_all()

    async def _answered(self, asked: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection may carry another request."""
        if self._rude is not None:
            await self._rude(reader, writer)
            return False
        if self._login and asked.headers.get("proxy-authorization") != _basic(self._login):
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n")
            writer.write(b"Content-Length: 5\r\n\r\nlogin")
            return True
        tunnel = asked.method == "CONNECT"
        url = urlsplit(f"//{asked.target}" if tunnel else asked.target)
        place = self.names.get(f"{url.hostname}:{url.port or 80}")
        if place is None:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 9\r\n\r\nno such n")
            return True
        there, to_there = await asyncio.open_connection(*place)
        try:
            if tunnel:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await _both_ways((reader, to_there), (there, writer))
                return False
            to_there.write(_in_origin_form(asked, url.path + (f"?{url.query}" if url.query else "")))
            to_there.write(asked.body)
            status = await there.readline()
            writer.write(status + b"Connection: close\r\n")  # one request each: this proxy keeps nothing
            while data := await there.read(65536):
                writer.write(data)
                await writer.drain()
            return False
        finally:
            to_there.transport.abort()


def _basic(login: str) -> str:
    return f"Basic {b64encode(login.encode()).decode()}"


def _in_origin_form(asked: Received, path: str) -> bytes:
    headers = {**asked.headers, "connection": "close"}
    headers.pop("proxy-authorization", None)
    lines = [f"{asked.method} {path or '/'} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def _both_ways(*ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    tasks = [asyncio.ensure_future(carry(*way)) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def says(data: bytes, *, then_waits: bool = False) -> Rude:
    """These very bytes, then the end (`then_waits`: nothing more until whoever asked has left)."""

    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        while then_waits and await reader.read(65536):
            pass

    return rude
