"""A real server on loopback, on both event loops, and a client that speaks bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from heartfly.server import ServerLimits, open_sockets, serve

LIMIT_S = 60
"""No test waits longer than this for anything."""


class Client:
    """One connection. Each wait is bounded."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def rest(self) -> bytes:
        """Everything until the server closes its side."""
        async with asyncio.timeout(LIMIT_S):
            return await self.reader.read()

    async def some(self, n: int = 1) -> bytes:
        async with asyncio.timeout(LIMIT_S):
            return await self.reader.readexactly(n)

    async def until(self, end: bytes) -> bytes:
        async with asyncio.timeout(LIMIT_S):
            return await self.reader.readuntil(end)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of one answer that has a length."""
        head = (await self.until(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        return int(first.split()[1]), headers, await self.some(int(headers["content-length"]))

    def hang_up(self) -> None:
        self.writer.transport.abort()


@dataclass
class Seen:
    """What reached the application."""

    requests: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    scopes: list[dict[str, Any]] = field(default_factory=list)
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Site:
    port: int
    stop: asyncio.Event
    task: asyncio.Task[None]
    seen: Seen
    clients: list[Client] = field(default_factory=list)

    async def connect(self, *, from_host: str = "127.0.0.1") -> Client:
        async with asyncio.timeout(LIMIT_S):
            opened = asyncio.open_connection("127.0.0.1", self.port, local_addr=(from_host, 0))
            client = Client(*await opened)
        self.clients.append(client)
        return client

    async def ask(self, data: bytes) -> bytes:
        """Send, and return all that comes until the server closes."""
        client = await self.connect()
        await client.send(data)
        return await client.rest()

    async def stopped(self) -> None:
        done, _ = await asyncio.wait({self.task}, timeout=LIMIT_S)
        assert done
        if not self.task.cancelled():
            self.task.result()

    async def still_serves_after(self, seconds: float) -> None:
        """Let time pass, for what must not happen within it."""
        done, _ = await asyncio.wait({self.task}, timeout=seconds)
        assert not done


App = Callable[[Any, Any, Any], Any]


async def body_of(receive: Any) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return body
        body += message["body"]
        if not message["more_body"]:
            return body


async def reply(send: Any, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


def make_app(seen: Seen) -> App:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.scopes.append(scope)
        seen.requests.append(f"{scope['method']} {scope['path']}")
        match scope["path"]:
            case "/stream":
                await stream(receive, send)
            case "/hold":
                await hold(receive, send)
            case "/early":
                await reply(send, 413, b"too large")
            case "/crash":
                raise ZeroDivisionError("planted")
            case "/crash-late":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                raise ZeroDivisionError("planted")
            case "/silent":
                return
            case "/big":
                await reply(send, 200, b"x" * 20_000_000)
            case "/lengthless":
                await send({"type": "http.response.start", "status": 200, "headers": [(b"x-kind", b"plain")]})
                await send({"type": "http.response.body", "body": b"one ", "more_body": True})
                await send({"type": "http.response.body", "body": b"two"})
            case _:
                body = await body_of(receive)
                seen.bodies.append(body)
                await reply(send, 200, b"%d" % len(body))

    async def stream(receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b": hello\n\n", "more_body": True})
        seen.entered.set()
        await body_of(receive)
        while (await receive())["type"] != "http.disconnect":
            pass
        seen.disconnected.set()

    async def hold(receive: Any, send: Any) -> None:
        seen.entered.set()
        try:
            await seen.release.wait()
        except asyncio.CancelledError:
            seen.cancelled.set()
            raise
        await reply(send, 200, await body_of(receive))

    return app


@asynccontextmanager
async def running_site(app: App | None = None, **limits: Any) -> AsyncIterator[Site]:
    seen = Seen()
    stop, listening = asyncio.Event(), asyncio.Event()
    [listener] = open_sockets("127.0.0.1", 0, fd=None)
    port = listener.getsockname()[1]
    chosen = ServerLimits(
        **{
            "drain_s": 0.0,
            "finish_s": 0.2,
            "linger_s": 0.3,
            "leave_s": 0.1,
            "last_request_s": 0.2,
            "handshake_s": 0.01,
            **limits,
        }
    )
    task = asyncio.create_task(
        serve(app or make_app(seen), sockets=[listener], limits=chosen, stop=stop, on_listening=listening.set)
    )
    async with asyncio.timeout(LIMIT_S):
        await listening.wait()
    site = Site(port, stop, task, seen)
    try:
        yield site
    finally:
        for client in site.clients:
            client.hang_up()
        stop.set()
        await site.stopped()
