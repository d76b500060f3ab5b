"""What the tests of outgoing HTTP send with: a short-lived door, a resolver that knows its names, TLS contexts."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import pytest
import trustme

from heartfly.net.http import OutgoingHttp, Reply, RequestFailed

NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # to load the real ones takes long
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1"))


@asynccontextmanager
async def outgoing(**settings: Any) -> AsyncIterator[OutgoingHttp]:
    usual: dict[str, Any] = {"allow": LOOPBACK, "own_hosts": (), "user_agent": "Heartfly/1", "tls": NO_AUTHORITIES}
    usual["patience_s"] = 60.0  # a crowded machine takes more time than a receiver may
    http = OutgoingHttp(**usual | settings)
    try:
        yield http
    finally:
        await http.aclose()


class Names:
    """A resolver that knows these names only, and counts how often it is asked."""

    def __init__(self, **names: Sequence[str]) -> None:
        self.names = {name.replace("_", "."): answers for name, answers in names.items()}
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        if host not in self.names:
            raise OSError(-2, "Name or service not known")
        return self.names[host]


async def get(http: OutgoingHttp, url: str) -> Reply:
    return await http.request("GET", url, headers={})


async def failure(http: OutgoingHttp, url: str, **more: Any) -> RequestFailed:
    with pytest.raises(RequestFailed) as caught:
        await http.request(**{"method": "POST", "url": url, "headers": {}, "body": b"{}", **more})
    return caught.value


def server_side(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def client_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
