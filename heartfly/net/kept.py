"""Connections that are kept for the next request to the same place, a few in each pool.

How many pools there are, and when one is closed, is decided in pools.py.
"""

from __future__ import annotations

import asyncio
import ssl

from heartfly.net.by_proxy import ByProxy
from heartfly.net.connect import Connector
from heartfly.net.pools import POOL_SIZE
from heartfly.net.reply import Incoming
from heartfly.net.urls import Target
from heartfly.net.wire import Wire

_Place = tuple[str, str, int]


class Kept:
    """`idle_s`: a connection that rested longer is not used again: many receivers close it without a word."""

    def __init__(self, connector: Connector | ByProxy, tls: ssl.SSLContext, *, idle_s: float) -> None:
        self._connector = connector
        self._tls = tls
        self._idle_s = idle_s
        self._resting: list[tuple[_Place, float, Wire]] = []
        """In the order in which they came to rest; few enough to look through."""
        self._closed = False

    async def exchange(self, target: Target, request: bytes, incoming: Incoming) -> None:
        place = (target.scheme, target.host, target.port)
        wire = self._take(place) or await self._open(target)
        try:
            await wire.exchange(request, incoming)
        finally:
            if incoming.keep and not self._closed:
                self._rest(place, wire)
            else:
                wire.close()

    async def aclose(self) -> None:
        self._closed = True
        for _, _, wire in self._resting:
            wire.close()
        self._resting.clear()

    def _rest(self, place: _Place, wire: Wire) -> None:
        self._resting.append((place, asyncio.get_running_loop().time(), wire))
        if len(self._resting) > POOL_SIZE:
            self._resting.pop(0)[2].close()

    def _take(self, place: _Place) -> Wire | None:
        oldest = asyncio.get_running_loop().time() - self._idle_s
        for at in range(len(self._resting) - 1, -1, -1):
            its, since, wire = self._resting[at]
            if its != place:
                continue
            del self._resting[at]
            if since >= oldest and wire.is_usable():
                return wire
            wire.close()
        return None

    async def _open(self, target: Target) -> Wire:
        wire = await self._connector.connect(target.host, target.port)
        try:
            await wire.open(self._tls if target.scheme == "https" else None)
        except BaseException:
            wire.close()
            raise
        return wire
