"""The first thing a request meets: pings go straight to their door, the rest to the framework.

A signal must not wait for routing, sessions or validation of pages; measured, the framework's part
is as much as all else that a ping needs. Nor must it wait for the framework to be imported: that
happens beside the first pings, and whoever asks the API meanwhile waits for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from heartfly.api.health import Health
from heartfly.api.metrics import MetricsDoor
from heartfly.api.ping import PingDoor, Receive, Scope, Send, is_ping
from heartfly.api.state import ApiState

if TYPE_CHECKING:
    from heartfly.api.native import NativeApi


class Front:
    def __init__(self, state: ApiState, *, ping: PingDoor, health: Health, metrics: MetricsDoor) -> None:
        self._state = state
        self._ping = ping
        self._health = health
        self._metrics = metrics
        self._loading: asyncio.Task[NativeApi] | None = None

    def load(self) -> asyncio.Task[NativeApi]:
        """Begin to import the framework, in a thread, once."""
        if self._loading is None:
            self._loading = asyncio.ensure_future(asyncio.to_thread(self._native))
        return self._loading

    def _native(self) -> NativeApi:
        from heartfly.api.native import native_api  # noqa: PLC0415 - half a second that no ping shall wait for

        return native_api(self._state)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if is_ping(path):
            await self._ping(scope, receive, send)
        elif path in {"/healthz", "/readyz"}:
            await self._health(scope, receive, send)
        elif path == "/metrics":
            await self._metrics(scope, receive, send)
        else:
            native = await asyncio.shield(self.load())
            await native(scope, receive, send)
