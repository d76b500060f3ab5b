"""The one door for outgoing HTTP: a request in, a reply or a reason out, always within the time limit.

Redirects are returned, not followed; nothing is decompressed or retried, and nothing goes by a proxy but that of the
settings. When to try again, how many at once, and whom to tell is decided by the caller.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Container, Iterable, Mapping, Sequence

import httpx  # noqa: TID251 - this is the module that the ban points to

from heartfly.errors import ForbiddenAddressError, InvalidValueError
from heartfly.net.addresses import Network
from heartfly.net.by_proxy import ByProxy, way_to
from heartfly.net.connect import Connector
from heartfly.net.failures import RequestFailed
from heartfly.net.headers import check_headers, outgoing_headers
from heartfly.net.kept import Kept
from heartfly.net.pools import PATIENCE_S, HostPools
from heartfly.net.proxy import Proxy, authority
from heartfly.net.reply import MAX_BODY_BYTES, Incoming, Reply
from heartfly.net.resolver import Resolve, SystemResolver
from heartfly.net.rules import DEFAULT_PORTS, NOT_LISTED, Listed, Rules
from heartfly.net.urls import Target, check_url, parse_target

__all__ = ["MAX_BODY_BYTES", "OutgoingHttp", "Reply", "RequestFailed", "check_headers", "check_url", "reach_proxy"]

_IDLE_S = 30.0
_SILENT_KEPT = 10_000
"""Of so many receivers it is remembered that they left their last request unanswered."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_PROXY_WANTS_LOGIN = 407


class OutgoingHttp:
    """One for the whole process, made and used on its event loop.

    `own_hosts`: `host` or `host:port` of our base URL, which no request may go to. At most
    `connections_per_host` requests to one host run at once, and as many that have waited for an answer for more than
    `patience_s`, or did so the last time; more wait, within their own time limit. `only_to`: where requests may go at
    most. `proxy`: they all go by it. `of_alerts`: each request says that it follows from an alert, which no
    Heartfly takes.
    """

    def __init__(
        self,
        *,
        allow: Sequence[Network],
        own_hosts: Container[str],
        user_agent: str,
        allowed_ports: Container[int] = DEFAULT_PORTS,
        only_to: Listed | None = None,
        proxy: Proxy | None = None,
        total_deadline_s: float = 15.0,
        connections_per_host: int = 30,
        patience_s: float = PATIENCE_S,
        resolver: Resolve | None = None,
        lookup_limit_s: float = 3.0,
        connect_limit_s: float = 4.0,
        tls: ssl.SSLContext | None = None,
        of_alerts: bool = True,
    ) -> None:
        self._of_alerts = of_alerts
        self._rules = Rules(
            allow=tuple(allow),
            ports=allowed_ports,
            own_hosts=own_hosts,
            only_to=only_to or Listed(),
            by_proxy=proxy is not None,
        )
        self._user_agent = user_agent
        self._deadline_s = total_deadline_s
        # One for all pools: to load the certificates takes longer than a hundred requests.
        self._tls = tls or _trusted()
        self._tls.set_alpn_protocols(["http/1.1"])
        self._proxy = proxy
        resolve, limits = (
            resolver or SystemResolver(),
            {"lookup_limit_s": lookup_limit_s, "connect_limit_s": connect_limit_s},
        )
        self._connector = (
            Connector(self._rules, resolve, **limits)
            if proxy is None
            else ByProxy(self._rules, resolve, proxy, tls=self._tls, **limits)
        )
        self._pools = HostPools(self._pool, per_host=connections_per_host, idle_s=_IDLE_S, patience_s=patience_s)
        self._silent: dict[tuple[str, int, bytes], None] = {}

    def check_url(self, url: str, *, field: str) -> str:
        """As the function, and with the operator's settings: ports, networks opened, our own hosts."""
        return check_url(url, field=field, rules=self._rules)

    async def request(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """Send one request and return the reply, whatever its status; raises only RequestFailed.

        A kept connection that the receiver closes just as it is used again counts as ambiguous:
        the request may have been read, so nothing here sends it twice.
        """
        target, request = self._prepare(method, url, headers, body)
        receiver = (target.host, target.port, target.path)
        relay = self._relay(target)
        incoming = Incoming(to_head=method == "HEAD", peer="the receiver" if relay is None else "the proxy")
        late = False
        try:
            async with (
                asyncio.timeout(self._deadline_s),
                self._pools.lease(target.host, slow=receiver in self._silent) as kept,
            ):
                await kept.exchange(target, request, incoming)
        except ForbiddenAddressError as error:
            raise RequestFailed(str(error), permanent=True) from error
        except TimeoutError:
            late = True
        reply = incoming.reply
        if reply is None:
            if late and incoming.sent:
                self._remember_silent(receiver)
            raise self._failure(target.host, incoming, late=late)
        if relay is not None and reply.status == _PROXY_WANTS_LOGIN:
            # Only a proxy says so (RFC 9110, 15.5.8), and of a request that it passes on to nobody.
            raise RequestFailed(f"{target.host}: the proxy wants another login than that of outgoing.proxy (407)")
        self._silent.pop(receiver, None)
        return reply

    def _remember_silent(self, receiver: tuple[str, int, bytes]) -> None:
        self._silent[receiver] = None
        if len(self._silent) > _SILENT_KEPT:
            del self._silent[next(iter(self._silent))]

    async def aclose(self) -> None:
        await self._pools.aclose()

    def _prepare(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[Target, bytes]:
        if method not in _METHODS:
            raise RequestFailed(f"the method must be one of {', '.join(sorted(_METHODS))}", permanent=True)
        try:
            target = parse_target(url, field="url")
            check_headers(headers, field="headers")
        except InvalidValueError as error:
            raise RequestFailed(str(error), permanent=True) from error
        if self._rules.is_own(target.host, target.port):
            raise RequestFailed(f"{target.host}: that is Heartfly itself", permanent=True)
        if not target.is_literal and self._rules.leaves_out(target.host, is_literal=False):
            # Before it is looked up: that asks somebody's name server, and so tells him something.
            raise RequestFailed(f"{target.host}: {NOT_LISTED}", permanent=True)
        sent = outgoing_headers(headers, user_agent=self._user_agent, of_alerts=self._of_alerts)
        return target, _written(method, target, sent, body, relay=self._relay(target))

    def _relay(self, target: Target) -> Proxy | None:
        """The proxy that reads the request and passes it on; None: there is none, or only a tunnel through it."""
        return self._proxy if target.scheme == "http" else None

    def _failure(self, host: str, incoming: Incoming, *, late: bool) -> RequestFailed:
        if not late:
            return RequestFailed(f"{host}: {incoming.trouble}", ambiguous=incoming.sent)
        phase = "no reply" if incoming.sent else "the request could not be sent"
        return RequestFailed(f"{host}: {phase} within {self._deadline_s:g} s", ambiguous=incoming.sent)

    def _pool(self) -> Kept:
        return Kept(self._connector, self._tls, idle_s=_IDLE_S)


async def reach_proxy(proxy: Proxy, *, resolver: Resolve | None = None, tls: ssl.SSLContext | None = None) -> None:
    """Connect, and hang up without a word. RequestFailed says why that cannot be done; its address is not judged."""
    way = way_to(resolver or SystemResolver(), lookup_limit_s=3.0, connect_limit_s=4.0)
    wire = await way.connect(proxy.host, proxy.port)
    try:
        await wire.open(tls or _trusted() if proxy.by_tls else None)
    finally:
        wire.close()


def _trusted() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def _written(
    method: str, target: Target, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, relay: Proxy | None
) -> bytes:
    """The request as it leaves. Its parts were judged: none of them can hold a line break."""
    place, path = target.netloc, target.path
    if relay is not None:
        # In the spelling that was judged, and whole (RFC 9112, 3.2.2).
        place = authority(target.host, target.port) if target.is_literal else place
        path = b"http://" + place + path
        headers = (*headers, *relay.headers)
    lines = [b"%s %s HTTP/1.1" % (method.encode("ascii"), path), b"Host: " + place]
    lines += [b"%s: %s" % header for header in headers]
    if body or method in _WITH_BODY:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join((*lines, b"", body))
