"""Middleware for ASGI: Litestar, Starlette, FastAPI, Django, Quart. Bytes are counted as they pass, both ways."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from heartfly_client.recorder.record import Record, text_of
from heartfly_client.recorder.recorder import Recorder

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]


class ASGIRecorder:
    """Around the whole application, or among its middlewares."""

    def __init__(
        self,
        app: App,
        recorder: Recorder,
        *,
        customer: Callable[[Scope], str | None] | None = None,
        customer_header: str = "",
        key_header: str = "authorization",
        request_id_header: str = "x-request-id",
    ) -> None:
        """`customer` is asked once the request is answered, so that it may look at `scope["user"]` or `state`."""
        self.app = app
        self._recorder = recorder
        self._customer = customer
        self._wanted = {
            header.lower().encode("latin-1"): n
            for n, header in enumerate(("host", "user-agent", key_header, request_id_header, customer_header))
            if header
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        at, begun = time.time_ns(), time.perf_counter_ns()
        status: int | None = None
        n_in = n_out = 0

        async def receive_counted() -> Message:
            nonlocal n_in
            message = await receive()
            if message["type"] == "http.request":
                n_in += len(message.get("body") or b"")
            return message

        async def send_counted(message: Message) -> None:
            nonlocal status, n_out
            await send(message)
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                n_out += len(message.get("body") or b"")

        try:
            await self.app(scope, receive_counted, send_counted)
        except Exception:
            status = status or 500  # whoever is around us answers so
            raise
        finally:
            took = time.perf_counter_ns() - begun
            self._record(scope, at, took=took, status=status, n_in=n_in, n_out=n_out)

    def _record(self, scope: Scope, at: int, *, took: int, status: int | None, n_in: int, n_out: int) -> None:
        try:
            found: list[str | None] = [None] * 5
            wanted = self._wanted
            for name, value in scope["headers"]:
                n = wanted.get(name)
                if n is not None:
                    found[n] = value.decode("latin-1")
            client = scope.get("client")
            host, agent, key, request_id, customer = found
            if self._customer is not None:
                customer = text_of(self._customer(scope)) or customer
            self._recorder.record(Record(
                at, took, scope["method"], scope["path"], template_of(scope), status, n_in, n_out,
                client[0] if client else None, host, agent, key, customer, request_id,
            ))  # fmt: skip
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a record, the request is not to know of it
            self._recorder.lost(error)


def template_of(scope: Scope) -> str | None:
    """The route as the framework names it: Litestar's `path_template`, the `route` of Starlette and FastAPI."""
    template = scope.get("path_template")
    if template is None:
        template = getattr(scope.get("route"), "path", None)
    return template if isinstance(template, str) and template.startswith("/") else None
