"""The one door for outgoing HTTP: a request in, a reply or a reason out, always within the time limit.

Redirects are returned, not followed; nothing is decompressed, retried, or sent through a
proxy. When to try again, how many at once, and whom to tell is decided by the caller.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import httpcore
import httpx  # noqa: TID251 - this is the module that the ban points to

from heartfly.errors import ForbiddenAddressError, InvalidValueError
from heartfly.net.addresses import Network
from heartfly.net.connect import GuardedBackend
from heartfly.net.failures import RequestFailed
from heartfly.net.headers import check_headers, outgoing_headers
from heartfly.net.pools import POOL_SIZE, HostPools
from heartfly.net.resolver import Resolve, SystemResolver
from heartfly.net.rules import DEFAULT_PORTS, Rules
from heartfly.net.urls import Target, check_url, parse_target
from heartfly.net.wire import MAX_HEAD_BYTES, Wire, request_sent

__all__ = ["OutgoingHttp", "Reply", "RequestFailed", "check_headers", "check_url"]

MAX_BODY_BYTES = 64 * 1024
_MAX_CHUNKS = 256  # 64 KiB in chunks of one byte cost 0.4 s of CPU; a reply worth reading has few
_IDLE_S = 30.0
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the receiver said. `headers` have lower-case names; repeated ones are joined by a comma.

    `cut`: the body is not whole. It was over 64 KiB, or it broke off or the time ran out after the
    head had come: the receiver's answer is known then, and to send again would be a duplicate.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool


class OutgoingHttp:
    """One for the whole process, made and used on its event loop.

    `own_hosts`: `host` or `host:port` of our base URL, which no request may go to. At most
    `connections_per_host` requests to one host run at once; more wait, within their own time limit.
    """

    def __init__(
        self,
        *,
        allow: Sequence[Network],
        own_hosts: Container[str],
        user_agent: str,
        allowed_ports: Container[int] = DEFAULT_PORTS,
        total_deadline_s: float = 15.0,
        connections_per_host: int = 30,
        resolver: Resolve | None = None,
        lookup_limit_s: float = 3.0,
        connect_limit_s: float = 4.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._rules = Rules(allow=tuple(allow), ports=allowed_ports, own_hosts=own_hosts)
        self._user_agent = user_agent
        self._deadline_s = total_deadline_s
        self._backend = GuardedBackend(
            self._rules,
            resolver or SystemResolver(),
            lookup_limit_s=lookup_limit_s,
            connect_limit_s=connect_limit_s,
        )
        # One for all pools: to load the certificates takes longer than a hundred requests.
        self._tls = tls or httpx.create_ssl_context(trust_env=False)
        self._pools = HostPools(self._transport, per_host=connections_per_host, idle_s=_IDLE_S)

    def check_url(self, url: str, *, field: str) -> str:
        """As the function, and with the operator's settings: ports, networks opened, our own hosts."""
        return check_url(url, field=field, rules=self._rules)

    async def request(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """Send one request and return the reply, whatever its status; raises only RequestFailed.

        A kept connection that the receiver closes just as it is used again counts as ambiguous:
        the request may have been read, so nothing here sends it twice.
        """
        target, request = self._prepare(method, url, headers, body)
        incoming = _Incoming()
        trouble: Exception | None = None
        request_sent.set(False)
        try:
            async with asyncio.timeout(self._deadline_s), self._pools.lease(target.host) as transport:
                await incoming.read(await transport.handle_async_request(request))
        except ForbiddenAddressError as error:
            raise RequestFailed(str(error), permanent=True) from error
        except (httpx.TransportError, TimeoutError) as error:
            trouble = error
        reply = incoming.reply()
        if reply is None:
            assert trouble is not None
            raise self._failure(target.host, trouble) from trouble
        return reply

    async def aclose(self) -> None:
        await self._pools.aclose()

    def _prepare(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[Target, httpx.Request]:
        if method not in _METHODS:
            raise RequestFailed(f"the method must be one of {', '.join(sorted(_METHODS))}", permanent=True)
        try:
            target = parse_target(url, field="url")
            check_headers(headers, field="headers")
        except InvalidValueError as error:
            raise RequestFailed(str(error), permanent=True) from error
        if self._rules.is_own(target.host, target.port):
            raise RequestFailed(f"{target.host}: that is Heartfly itself", permanent=True)
        sent = outgoing_headers(headers, user_agent=self._user_agent)
        return target, httpx.Request(method, target.url, headers=sent, content=body)

    def _failure(self, host: str, error: Exception) -> RequestFailed:
        ambiguous = request_sent.get()
        if not isinstance(error, TimeoutError):
            return RequestFailed(f"{host}: {_words(error)}", ambiguous=ambiguous)
        phase = "no reply" if ambiguous else "the request could not be sent"
        return RequestFailed(f"{host}: {phase} within {self._deadline_s:g} s", ambiguous=ambiguous)

    def _transport(self) -> httpx.AsyncHTTPTransport:
        # The transport without its client: for 0.3 of 0.4 ms of CPU a request, and with no cookies,
        # redirects or environment to switch off. Its pool has no public way to choose the network backend.
        transport = httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False)
        transport._pool = httpcore.AsyncConnectionPool(  # noqa: SLF001 - see above
            ssl_context=self._tls,
            max_connections=POOL_SIZE,
            keepalive_expiry=_IDLE_S,
            network_backend=self._backend,
        )
        return transport


class _Incoming:
    """A reply as far as it has come."""

    def __init__(self) -> None:
        self._status: int | None = None
        self._headers: Mapping[str, str] = {}
        self._body = bytearray()
        self._cut = True

    async def read(self, response: httpx.Response) -> None:
        try:
            self._status, self._headers = response.status_code, _joined(response.headers.raw)
            wire = response.extensions["network_stream"]
            assert isinstance(wire, Wire)
            wire.expect_body()
            assert isinstance(response.stream, httpx.AsyncByteStream)
            n_chunks = 0
            async for chunk in response.stream:
                self._body += chunk
                n_chunks += 1
                if len(self._body) > MAX_BODY_BYTES or n_chunks > _MAX_CHUNKS:
                    return
            self._cut = False
        finally:
            await response.aclose()

    def reply(self) -> Reply | None:
        """None while the head is unknown."""
        if self._status is None:
            return None
        body = bytes(self._body[:MAX_BODY_BYTES])
        return Reply(status=self._status, headers=self._headers, body=body, cut=self._cut)


def _joined(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("ascii").lower(), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _words(error: Exception) -> str:
    """Say what happened without the library's words, which may quote what was received."""
    if not isinstance(error, httpx.RemoteProtocolError):
        return "the connection broke before a reply came"
    if "disconnected" in str(error):
        return "the receiver closed the connection without a reply"
    return f"the reply is not valid HTTP, or its headers are over {MAX_HEAD_BYTES // 1024} KiB"
