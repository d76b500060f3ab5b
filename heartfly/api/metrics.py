"""`/metrics` for Prometheus, and who may read it: this machine or, once a token is set, whoever shows it.

Raw ASGI, as /readyz is: it must answer when the rest does not. Nothing in it is of a project, but how busy somebody is
is nobody else's business either.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from heartfly.instruments import Family, Instruments, exposed
from heartfly.net.addresses import Network

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_TEXT = b"text/plain; version=0.0.4; charset=utf-8"
_PLAIN = b"text/plain; charset=utf-8"
_FORWARDED = frozenset({b"x-forwarded-for", b"forwarded", b"x-real-ip", b"via"})


class MetricsDoor:
    """`token` empty: those in `allow` read without one. `gauges` are read anew for each scrape."""

    def __init__(
        self,
        instruments: Instruments,
        *,
        gauges: Callable[[], Awaitable[Sequence[Family]]],
        token: str,
        allow: Sequence[Network],
        client_address: Callable[[Mapping[str, Any]], tuple[str, str]],
        proxied: bool,
    ) -> None:
        """`proxied`: `client_address` knows which proxies to believe."""
        self._instruments = instruments
        self._gauges = gauges
        self._token = token.encode()
        self._allow = allow
        self._client_address = client_address
        self._proxied = proxied

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["method"] not in {"GET", "HEAD"}:
            await _answer(send, 405, b"method not allowed\n", extra=[(b"allow", b"GET, HEAD")])
        elif self._token and not self._shows_token(scope):
            challenge = [(b"www-authenticate", b'Bearer realm="metrics"')]
            await _answer(send, 401, b"metrics.token is needed, as a bearer token\n", extra=challenge)
        elif not self._token and not self._is_allowed(scope):
            await _answer(send, 403, b"open to metrics.allow only; elsewhere set metrics.token\n")
        else:
            body = exposed([*await self._gauges(), *self._instruments.families()])
            await _answer(send, 200, body, kind=_TEXT, with_body=scope["method"] == "GET")

    def _shows_token(self, scope: Scope) -> bool:
        shown = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, token = shown.partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)

    def _is_allowed(self, scope: Scope) -> bool:
        if not self._proxied and any(name in _FORWARDED for name, _ in scope["headers"]):
            return False  # a proxy of this machine speaks for somebody, and nobody told us to believe for whom
        address, _ = self._client_address(scope)
        try:
            client = ip_address(address)
        except ValueError:
            return not address  # a Unix socket: a program of this machine
        return any(client in network for network in self._allow)


async def _answer(
    send: Send,
    status: int,
    body: bytes,
    *,
    kind: bytes = _PLAIN,
    extra: Sequence[tuple[bytes, bytes]] = (),
    with_body: bool = True,
) -> None:
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body if with_body else b""})
