"""The one door to Heartfly's own public address, by which it learns whether jobs can reach it.

Everywhere else our own hosts are refused. Here nothing else can be asked: the address is the operator's, the path is
fixed, and of the answer is told only whether it is ours. Each request has a connection of its own, so that name, proxy
and certificate are all asked for anew. What follows from it is decided in core/guard.py.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from urllib.parse import urlsplit

import httpx  # noqa: TID251 - the certificates that all our requests trust

from heartfly.net.addresses import parse_allow_private
from heartfly.net.http import OutgoingHttp, RequestFailed
from heartfly.net.resolver import Resolve

_AT_ONCE = 3
"""A proxy that loses half of what comes would let one through every other time."""
_ANSWER = b'{"status":"ok"}'


class OwnAddress:
    """`url`: our base URL."""

    def __init__(
        self,
        url: str,
        *,
        user_agent: str,
        deadline_s: float = 5.0,
        resolver: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._url = f"{url}/healthz"
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._user_agent = user_agent
        self._deadline_s = deadline_s
        self._resolver = resolver
        self._tls = tls

    async def trouble(self) -> str | None:
        """Why what is sent there does not reach us, in words; None: it does. The first trouble of some requests."""
        found = await asyncio.gather(*(self._asked() for _ in range(_AT_ONCE)))
        return next((one for one in found if one is not None), None)

    async def _asked(self) -> str | None:
        if self._tls is None:
            self._tls = httpx.create_ssl_context(trust_env=False)
        http = OutgoingHttp(
            allow=parse_allow_private(value=True),
            own_hosts=(),
            user_agent=self._user_agent,
            allowed_ports=(self._port,),
            total_deadline_s=self._deadline_s,
            resolver=self._resolver,
            tls=self._tls,
            of_alerts=False,
        )
        try:
            # Another address each time: no cache on the way can answer in our place.
            reply = await http.request("GET", f"{self._url}?{secrets.token_hex(8)}", headers={})
        except RequestFailed as error:
            return str(error)
        finally:
            await http.aclose()
        if reply.status != 200:
            return f"{self._url} answered {reply.status}"
        return None if reply.body == _ANSWER else f"{self._url} gave an answer that is not Heartfly's"
