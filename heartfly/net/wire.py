"""One connection: moves bytes between a socket and httpcore, with TLS or without, and bounds what is read.

The socket comes connected from connect.py, to an address that was checked. Time limits over a
whole request are http.py's.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from contextvars import ContextVar
from typing import Any, cast

import httpcore
from typing_extensions import override

from heartfly.net.failures import RequestFailed

request_sent: ContextVar[bool] = ContextVar("request_sent")
"""Whether any byte of the current request has left; httpcore does all its work in the task that asks."""

_INBOX_LIMIT = 64 * 1024
_LUMP = 16 * 1024

# How much of one reply is read, framing included, before and after its headers are complete. Without it
# a receiver that sends nothing but interim replies (`100 Continue`) keeps a core busy until the deadline
# (measured: 4.9 s of CPU in 5 s), for these never end the wait for the real one.
MAX_HEAD_BYTES = 32 * 1024
_MAX_REST_BYTES = 128 * 1024


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


def _tls_words(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate was refused ({error.verify_message})"
    return str(getattr(error, "reason", None) or error.strerror or error or "the connection was closed")
