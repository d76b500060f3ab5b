"""Connects a socket to an address that was checked, and moves bytes over it for httpcore.

The name is resolved once, each address is judged, and the socket goes to that very address:
nothing between the check and the connection can change it (DNS rebinding). TLS still
verifies the name. Time limits over a whole request are http.py's.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from ipaddress import ip_address
from typing import Any, cast

import httpcore
from typing_extensions import override

from heartfly.errors import ForbiddenAddressError
from heartfly.net.failures import RequestFailed
from heartfly.net.resolver import Resolve
from heartfly.net.rules import Rules

request_sent: ContextVar[bool] = ContextVar("request_sent")
"""Whether any byte of the current request has left; httpcore does all its work in the task that asks."""

_MAX_ADDRESSES = 4
_INBOX_LIMIT = 64 * 1024
_LUMP = 16 * 1024

# How much of one reply is read, framing included, before and after its headers are complete. Without it
# a receiver that sends nothing but interim replies (`100 Continue`) keeps a core busy until the deadline
# (measured: 4.9 s of CPU in 5 s), for these never end the wait for the real one.
MAX_HEAD_BYTES = 32 * 1024
_MAX_REST_BYTES = 128 * 1024


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Has no way to a unix socket: httpcore's base class refuses these."""

    def __init__(
        self, rules: Rules, resolve: Resolve, *, lookup_limit_s: float = 3.0, connect_limit_s: float = 4.0
    ) -> None:
        """Each address has its own limit: one that swallows packets must leave time for the next."""
        self._rules = rules
        self._resolve = resolve
        self._lookup_limit_s = lookup_limit_s
        self._connect_limit_s = connect_limit_s

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Wire:
        ips = await self._allowed_addresses(host, port)
        trouble: Exception | None = None
        for ip in ips[:_MAX_ADDRESSES]:
            try:
                return Wire(await self._connect(host, ip, port), host=host)
            except OSError as error:
                trouble = error
        raise RequestFailed(f"{host}: {_connect_words(trouble)}") from trouble

    async def _allowed_addresses(self, host: str, port: int) -> Sequence[str]:
        """Return the answers that may be used. The others are dropped, for a name with one stale record works."""
        answers = await self._look_up(host, port)
        refusals = {ip: self._rules.refusal(ip, port) for ip in answers}
        allowed = [ip for ip, refusal in refusals.items() if refusal is None]
        if not allowed:
            raise ForbiddenAddressError(f"{host}: {next(iter(refusals.values()))}")
        return allowed

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        if _is_address(host):
            return [host]
        try:
            async with asyncio.timeout(self._lookup_limit_s):
                answers = await self._resolve(host, port)
        except TimeoutError as error:
            message = f"{host}: the name servers did not answer within {self._lookup_limit_s:g} s"
            raise RequestFailed(message) from error
        except OSError as error:
            raise RequestFailed(f"{host}: the name could not be resolved") from error
        if not answers:
            raise RequestFailed(f"{host}: the name has no address")
        return answers

    async def _connect(self, host: str, ip: str, port: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            sock.setblocking(False)  # noqa: FBT003 - the socket module's signature
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(self._connect_limit_s):
                await asyncio.get_running_loop().sock_connect(sock, (ip, port))
            # Where the kernel really went: it takes 0.0.0.0, for one, to mean 127.0.0.1.
            self._judge(host, sock.getpeername()[0], port)
        except BaseException:
            sock.close()
            raise
        return sock

    def _judge(self, host: str, ip: str, port: int) -> None:
        if refusal := self._rules.refusal(ip, port):
            raise ForbiddenAddressError(f"{host}: {refusal}")


class Wire(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """One connection. The transport is made at the first need: with TLS or without, on the same socket."""

    def __init__(self, sock: socket.socket, *, host: str) -> None:
        self._sock = sock
        self._host = host
        self._transport: asyncio.Transport | None = None
        self._outbox: list[bytes] = []
        self._inbox = bytearray()
        self._allowance = 0  # bytes that the current reply may still have
        self._news = asyncio.Event()  # something arrived, or nothing will arrive any more
        self._ended = False
        self._error: Exception | None = None

    # --- for httpcore

    @override
    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> Wire:
        try:
            await self._open(ssl_context, server_hostname)
        except OSError as error:  # ssl.SSLError is one
            raise RequestFailed(f"{self._host}: TLS: {_tls_words(error)}") from error
        return self

    @override
    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # httpcore hands over head and body apart: kept, so that they leave as one packet.
        self._outbox.append(buffer)

    @override
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._outbox:
            await self._flush()
        await self._wait_for_news()
        if not self._inbox and self._error is not None:
            raise httpcore.ReadError(str(self._error)) from self._error
        if self._inbox and self._allowance <= 0:
            raise httpcore.RemoteProtocolError("the reply is too large")
        size = min(max_bytes, _LUMP, self._allowance)
        data = bytes(self._inbox[:size])
        del self._inbox[:size]
        self._allowance -= len(data)
        self._pace()
        return data

    def expect_body(self) -> None:
        """The headers have come; from now on the limit of the rest holds."""
        self._allowance = _MAX_REST_BYTES

    @override
    async def aclose(self) -> None:
        """Drop the connection, without a goodbye: a receiver that never returns it would hold us for long.

        It is gone one turn of the loop later. That is not waited for: uvloop never tells the end of a
        connection whose opening was cancelled.
        """
        if self._transport is None:
            self._sock.close()
        else:
            self._transport.abort()

    @override
    def get_extra_info(self, info: str) -> Any:
        # httpcore asks before it uses an idle connection again: one with news was closed by the receiver.
        return self._has_news() if info == "is_readable" else None

    # --- for asyncio

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, no check: uvloop's transports have the methods but not the base class.
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._inbox += data
        self._pace()
        self._news.set()

    @override
    def eof_received(self) -> None:
        self._ended = True
        self._news.set()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._error = exc
        self._news.set()

    # --- inside

    async def _open(self, tls: ssl.SSLContext | None, name: str | None) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, sock=self._sock, ssl=tls, server_hostname=name)

    async def _flush(self) -> None:
        if self._transport is None:
            await self._open(None, None)
        assert self._transport is not None
        request_sent.set(True)
        self._allowance = MAX_HEAD_BYTES
        # No waiting for a full buffer to empty: the whole request is in memory as it is.
        self._transport.write(b"".join(self._outbox))
        self._outbox.clear()

    async def _wait_for_news(self) -> None:
        if self._inbox:
            # Others get their turn between two lumps: to parse one of tiny chunks takes milliseconds.
            self._news.clear()
            asyncio.get_running_loop().call_soon(self._news.set)
            await self._news.wait()
        elif not self._ended:
            self._news.clear()
            await self._news.wait()

    def _pace(self) -> None:
        assert self._transport is not None
        if len(self._inbox) > _INBOX_LIMIT:
            self._transport.pause_reading()
        elif not self._ended:
            self._transport.resume_reading()

    def _has_news(self) -> bool:
        if self._inbox or self._ended:
            return True
        # The kernel may know of the end before the event loop does.
        poll = select.poll()
        poll.register(self._sock.fileno(), select.POLLIN)
        return bool(poll.poll(0))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _connect_words(error: Exception | None) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, TimeoutError):
        return "no connection within the time limit"
    return f"no connection ({getattr(error, 'strerror', None) or 'no reason given'})"


def _tls_words(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate was refused ({error.verify_message})"
    return str(getattr(error, "reason", None) or error.strerror or error or "the connection was closed")
