"""The first thing a request meets: pings go straight to their door, the rest to the framework.

A signal must not wait for routing, sessions or validation of pages; measured, the framework's part
is as much as all else that a ping needs.
"""

from __future__ import annotations

from heartfly.api.health import Health
from heartfly.api.native import native_api
from heartfly.api.ping import PingDoor, Receive, Scope, Send, is_ping
from heartfly.api.state import ApiState


class Front:
    def __init__(self, state: ApiState, *, ping: PingDoor, health: Health) -> None:
        self._ping = ping
        self._health = health
        self._native = native_api(state)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if is_ping(path):
            await self._ping(scope, receive, send)
        elif path in {"/healthz", "/readyz"}:
            await self._health(scope, receive, send)
        else:
            await self._native(scope, receive, send)
