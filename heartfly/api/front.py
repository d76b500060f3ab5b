"""The first thing a request meets: pings go straight to their door, the rest to the framework: the API's or the pages'.

A signal must not wait for routing, sessions or validation of pages; measured, the framework's part
is as much as all else that a ping needs. Nor must it wait for the framework to be imported: that
happens beside the first pings, and whoever asks the API meanwhile waits for it. What follows from
an alert of a Heartfly is refused here, whatever it wants (docs/decisions/0057).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from heartfly.api.compat.cronitor.paths import takes as is_cronitor
from heartfly.api.compat.healthchecks.paths import takes as is_healthchecks
from heartfly.api.compat.telemetry.rooms import room_of
from heartfly.api.health import Health
from heartfly.api.metrics import MetricsDoor
from heartfly.api.ping import PingDoor, Receive, Scope, Send, is_ping
from heartfly.api.state import ApiState
from heartfly.logs import line
from heartfly.net.headers import HOP_HEADER

if TYPE_CHECKING:
    from heartfly.api.compat.telemetry.door import TelemetryDoor

_PROBES = frozenset({"/healthz", "/readyz"})
_OF_EACH_NODE = _PROBES | {"/metrics"}
_NOT_HERE = b"this node serves no requests: its server.roles leave that to others"
_HOP = HOP_HEADER.lower().encode()
_GOES_ROUND = b"loop detected: this request is an alert of a Heartfly (X-Heartfly-Hop); none may lead to another"
_OURS = "/v1/"
_ENDS = ("/run", "/complete", "/alertmanager", "/")
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
_Slow = tuple[Application, Application, "TelemetryDoor"]


class Front:
    def __init__(
        self,
        state: ApiState,
        *,
        ping: PingDoor,
        health: Health,
        metrics: MetricsDoor,
        pages: Callable[[], Application],
        page_paths: frozenset[str],
        serves: bool = True,
    ) -> None:
        """`pages`: makes that application. `page_paths`: the first segments of the paths that are its alone.

        `serves` False: a node with other roles, which answers for its health and with its metrics only.
        """
        self._state = state
        self._ping = ping
        self._health = health
        self._metrics = metrics
        self._pages = pages
        self._page_paths = page_paths
        self._serves = serves
        self._loading: asyncio.Task[_Slow] | None = None

    def load(self) -> asyncio.Task[_Slow]:
        """Begin to import the framework, in a thread, once."""
        if self._loading is None:
            self._loading = asyncio.ensure_future(asyncio.to_thread(self._both))
        return self._loading

    async def _slow(self) -> _Slow:
        loading = self.load()
        return loading.result() if loading.done() else await asyncio.shield(loading)

    def _both(self) -> _Slow:
        # Half a second that no ping shall wait for.
        from heartfly.api.compat.telemetry.door import TelemetryDoor  # noqa: PLC0415
        from heartfly.api.native import native_api  # noqa: PLC0415

        native = native_api(self._state)
        return native, self._pages(), TelemetryDoor(self._state, self._ping, native.guard)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, query = scope["path"], scope["query_string"]
        if not self._serves and path not in _OF_EACH_NODE:
            # 503 and no 404: a proxy then tries another node, and a client comes again.
            await _refuse(send, 503, _NOT_HERE, (b"retry-after", b"30"))
            return
        for name, _ in scope["headers"]:
            if name == _HOP:
                line("ping" if is_ping(path) else "request", outcome="refused", code=508, reason="loop detected")
                await _refuse(send, 508, _GOES_ROUND)
                return
        if path.startswith(_OURS):  # nobody else's: a check of limits, or events, pass here as often as pings do
            native, _, _ = await self._slow()
            await native(scope, receive, send)
            return
        of_ping = is_ping(path)
        # A ping is asked for what makes it another service's before it is asked for more.
        room = None if of_ping and not _may_be_elses(path, query) else room_of(path, query)
        if room is not None:
            _, _, telemetry = await self._slow()
            await telemetry(room, scope, receive, send)
        elif of_ping:
            await self._ping(scope, receive, send)
        elif path in _PROBES:
            await self._health(scope, receive, send)
        elif path == "/metrics":
            await self._metrics(scope, receive, send)
        else:
            native, pages, _ = await self._slow()
            await (pages if self._is_page(scope) else native)(scope, receive, send)

    def _is_page(self, scope: Scope) -> bool:
        """Of a path that nobody has, a browser is told by a page, and a program by a problem document."""
        if is_healthchecks(scope["path"]) or is_cronitor(scope["path"]):
            return False
        first = scope["path"][1:].partition("/")[0]
        if first in self._page_paths:
            return True
        accepted = next((value for name, value in scope["headers"] if name == b"accept"), b"")
        return first != "v1" and b"text/html" in accepted


def _may_be_elses(path: str, query: bytes) -> bool:
    return b"state=" in query or path.endswith(_ENDS)


async def _refuse(send: Send, status: int, said: bytes, *more: tuple[bytes, bytes]) -> None:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(said)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": said})
