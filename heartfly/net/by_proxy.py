"""Connects by way of a forward proxy: judges where a request is to go, then goes to the proxy and nowhere else.

It is the proxy that looks the name up and connects. What can be known before is judged as without one: our own hosts,
literal addresses, ports, the list of names. A name is looked up here, too, and refused for any address that may not be
used; one that we cannot resolve goes on, for in a network with a proxy often nobody resolves names of the internet.
"""

from __future__ import annotations

import ssl

from typing_extensions import override

from heartfly.errors import ForbiddenAddressError
from heartfly.net.connect import Connector
from heartfly.net.failures import RequestFailed
from heartfly.net.proxy import Proxy
from heartfly.net.resolver import Resolve
from heartfly.net.rules import Rules
from heartfly.net.wire import Way, Wire

_LOOKUP_LIMIT_S = 1.0
"""Of names of receivers, whose answer is only one more reason to refuse: a name server that is silent costs so much."""


class _Anywhere(Rules):
    """For the way to the proxy: it is the operator's, and mostly at a private address."""

    @override
    def refusal(self, ip: str, port: int, *, name: str = "") -> str | None:
        return None


def way_to(resolve: Resolve, *, lookup_limit_s: float, connect_limit_s: float) -> Connector:
    return Connector(_Anywhere(), resolve, lookup_limit_s=lookup_limit_s, connect_limit_s=connect_limit_s)


class ByProxy:
    def __init__(
        self,
        rules: Rules,
        resolve: Resolve,
        proxy: Proxy,
        *,
        tls: ssl.SSLContext,
        lookup_limit_s: float,
        connect_limit_s: float,
    ) -> None:
        """Opening, the proxy has as long as we would take for the name and one address."""
        self._rules = rules
        self._proxy = proxy
        self._judged = Connector(rules, resolve, lookup_limit_s=min(lookup_limit_s, _LOOKUP_LIMIT_S))
        self._to_proxy = way_to(resolve, lookup_limit_s=lookup_limit_s, connect_limit_s=connect_limit_s)
        self._way = Way(proxy, tls=tls if proxy.by_tls else None, limit_s=lookup_limit_s + connect_limit_s)

    async def connect(self, host: str, port: int) -> Wire:
        """Return a connection to the proxy that is yet to be opened."""
        if refusal := await self._refusal(host, port):
            raise ForbiddenAddressError(f"{host}: {refusal}")
        try:
            sock = await self._to_proxy.dial(self._proxy.host, self._proxy.port)
        except RequestFailed as error:
            # Who reads this set up a channel, and need not know the network: without the proxy's name.
            why = str(error).removeprefix(f"{self._proxy.host}: ")
            raise RequestFailed(f"{host}: the proxy (outgoing.proxy) is not reached: {why}") from error
        return Wire(sock, host=host, port=port, way=self._way)

    async def _refusal(self, host: str, port: int) -> str | None:
        try:
            refusals = await self._judged.refusals(host, port)
        except RequestFailed:
            return self._rules.refusal_of_unknown(host, port)
        # One is enough: which of them the proxy takes is not ours to say.
        return next((refusal for refusal in refusals.values() if refusal is not None), None)
