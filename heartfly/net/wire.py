"""One connection: carries a request to the receiver and its reply back, with TLS or without.

The socket comes connected from connect.py, to an address that was checked, or from by_proxy.py, to the proxy; then
the tunnel through it is opened here. What is read of a reply is reply.py's to say, of the proxy's tunnel.py's; time
limits over a whole request are http.py's.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from dataclasses import dataclass
from typing import Protocol, cast

from typing_extensions import override

from heartfly.net.failures import RequestFailed
from heartfly.net.proxy import Proxy
from heartfly.net.tunnel import Answer

_CLOSED = "the connection was closed"


class Reading(Protocol):
    """What is made of the bytes that come back."""

    sent: bool
    done: bool

    def feed(self, data: bytes) -> None: ...
    def end(self, *, broke: bool = False) -> None: ...


@dataclass(frozen=True, slots=True)
class Way:
    """By a forward proxy. `tls`: what the connection to itself is encrypted with; None: it is not."""

    proxy: Proxy
    tls: ssl.SSLContext | None
    limit_s: float
    """For TLS with the proxy and its answer to CONNECT."""


class Wire(asyncio.Protocol):
    """`open` it first. One request at a time."""

    def __init__(self, sock: socket.socket, *, host: str, port: int = 0, way: Way | None = None) -> None:
        """`way`: the socket leads to that proxy, and the receiver is at `port` of the host."""
        self._sock = sock
        self._host = host
        self._port = port
        self._way = way
        self._transport: asyncio.Transport | None = None
        self._incoming: Reading | None = None
        self._done: asyncio.Future[None] | None = None
        self._ended = False

    async def open(self, tls: ssl.SSLContext | None) -> None:
        """`tls`: with the receiver, end to end. Without it a proxy gets requests in the clear, and passes them on."""
        if self._way is None:
            await self._begin(tls, self._host, of="")
            return
        try:
            async with asyncio.timeout(self._way.limit_s):
                await self._begin(self._way.tls, self._way.proxy.host, of="the proxy: ")
                if tls is not None:
                    await self._ask_for_tunnel(self._way.proxy)
        except TimeoutError as error:
            raise RequestFailed(f"{self._host}: the proxy did not answer within {self._way.limit_s:g} s") from error
        if tls is not None:
            await self._begin_inside(tls)

    async def exchange(self, request: bytes, incoming: Reading) -> None:
        """Send the request; return when nothing more of its reply is wanted, or comes."""
        assert self._transport is not None
        if self._ended:
            return
        self._incoming, self._done = incoming, asyncio.get_running_loop().create_future()
        incoming.sent = True
        # No waiting for a full buffer to empty: the whole request is in memory as it is.
        self._transport.write(request)
        try:
            await self._done
        finally:
            self._incoming = None

    def is_usable(self) -> bool:
        """Whether it may carry another request: one with news was closed by the receiver, or says what nobody asked."""
        if self._ended:
            return False
        # The kernel may know of the end before the event loop does.
        poll = select.poll()
        poll.register(self._sock.fileno(), select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Drop the connection, without a goodbye: a receiver that never returns it would hold us for long.

        It is gone one turn of the loop later. That is not waited for: uvloop never tells the end of a
        connection whose opening was cancelled.
        """
        self._ended = True
        if self._transport is None:
            self._sock.close()
        else:
            self._transport.abort()

    # --- for asyncio

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, no check: uvloop's transports have the methods but not the base class.
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        if self._incoming is None:
            self.close()  # else these bytes would be read as the reply to the next request
            return
        self._incoming.feed(data)
        if self._incoming.done:
            self._tell()

    @override
    def eof_received(self) -> None:
        self._end(broke=False)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._end(broke=exc is not None)

    # --- inside

    async def _begin(self, tls: ssl.SSLContext | None, name: str, *, of: str) -> None:
        loop, name_of_tls = asyncio.get_running_loop(), None if tls is None else name
        try:
            await loop.create_connection(lambda: self, sock=self._sock, ssl=tls, server_hostname=name_of_tls)
        except OSError as error:  # ssl.SSLError is one
            words = _words(error)
            if of:  # who reads this need not know what the proxy is called
                words = words.replace(f"'{name}'", "its name")
            raise RequestFailed(f"{self._host}: {of}{'TLS: ' if tls else ''}{words}") from error

    async def _ask_for_tunnel(self, proxy: Proxy) -> None:
        answer = Answer()
        await self.exchange(proxy.connect_request(self._host, self._port), answer)
        if answer.refusal is not None:
            raise RequestFailed(f"{self._host}: {answer.refusal}")

    async def _begin_inside(self, tls: ssl.SSLContext) -> None:
        """TLS with the receiver, through the tunnel."""
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        try:
            inner = await loop.start_tls(self._transport, self, tls, server_hostname=self._host)
        except (OSError, TypeError) as error:
            # Inside TLS with the proxy asyncio, before Python 3.13, stumbles over whatever fails, and tells that.
            why = error if isinstance(error, OSError) else error.__context__
            raise RequestFailed(f"{self._host}: TLS: {_words(why)}") from error
        # Of some connections that end in the handshake neither loop tells, and what is written then goes nowhere.
        if inner is None or inner.is_closing() or self._ended:
            raise RequestFailed(f"{self._host}: TLS: {_CLOSED}")
        self._transport = inner

    def _end(self, *, broke: bool) -> None:
        self._ended = True
        if self._incoming is not None:
            self._incoming.end(broke=broke)
            self._tell()

    def _tell(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(None)


def _words(error: BaseException | None) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate was refused ({error.verify_message})"
    # Each loop has errors of its own without a word.
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error or "") or _CLOSED
