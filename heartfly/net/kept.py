"""Connections that are kept for the next request to the same place, a few in each pool.

How many pools there are, and when one is closed, is decided in pools.py.
"""

from __future__ import annotations

import asyncio
import ssl

from heartfly.net.connect import Connector
from heartfly.net.reply import Incoming
from heartfly.net.urls import Target
from heartfly.net.wire import Wire

_Place = tuple[str, str, int]


class Kept:
    """`idle_s`: a connection that rested longer is not used again: many receivers close it without a word."""

    def __init__(self, connector: Connector, tls: ssl.SSLContext, *, idle_s: float) -> None:
        self._connector = connector
        self._tls = tls
        self._idle_s = idle_s
        self._resting: dict[_Place, list[tuple[float, Wire]]] = {}
        self._closed = False

    async def exchange(self, target: Target, request: bytes, incoming: Incoming) -> None:
        place = (target.scheme, target.host, target.port)
        wire = self._take(place) or await self._open(target)
        try:
            await wire.exchange(request, incoming)
        finally:
            if incoming.keep and not self._closed:
                self._resting.setdefault(place, []).append((asyncio.get_running_loop().time(), wire))
            else:
                wire.close()

    async def aclose(self) -> None:
        self._closed = True
        for resting in self._resting.values():
            for _, wire in resting:
                wire.close()
        self._resting.clear()

    def _take(self, place: _Place) -> Wire | None:
        oldest = asyncio.get_running_loop().time() - self._idle_s
        resting = self._resting.pop(place, [])
        taken = None
        while resting and taken is None:
            since, wire = resting.pop()
            if since >= oldest and wire.is_usable():
                taken = wire
            else:
                wire.close()
        if resting:
            self._resting[place] = resting
        return taken

    async def _open(self, target: Target) -> Wire:
        wire = await self._connector.connect(target.host, target.port)
        try:
            await wire.open(self._tls if target.scheme == "https" else None)
        except BaseException:
            wire.close()
            raise
        return wire
