"""The native API under `/v1/`, as one ASGI application: its routes, and what holds for all of them.

A key for everything but the schema, problem documents for every error, bodies up to 1 MiB (4 of events), no caching,
one log line a request. What a route does stands in v1/.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any, cast

import msgspec
from litestar import Litestar, MediaType, Request, Response, Router, get
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException
from litestar.handlers.base import BaseRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

from heartfly import __version__
from heartfly.accounts.guards import Bearer
from heartfly.api import cors, lago, metronome, openmeter, orb, otlp, problems, segment, stripe
from heartfly.api.compat.cronitor.door import CronitorDoor
from heartfly.api.compat.cronitor.paths import takes as is_cronitor
from heartfly.api.compat.healthchecks.door import HealthchecksDoor
from heartfly.api.compat.healthchecks.paths import takes as is_healthchecks
from heartfly.api.event_door import EventDoor
from heartfly.api.limit_door import LimitDoor
from heartfly.api.parameters import known_only
from heartfly.api.ping import WHOLE, Receive, Scope, Send, written
from heartfly.api.request import GUARD, STATE, ApiRequest
from heartfly.api.state import ApiState
from heartfly.api.v1 import (
    archives,
    audit,
    badges,
    coverage,
    days,
    imports,
    jobs,
    learned,
    path_rules,
    service_levels,
    status_pages,
    usage_days,
    usage_sources,
    views,
    watches,
    wire,
    wire_accounts,
    wire_budgets,
    wire_channels,
    wire_corrections,
    wire_events,
    wire_explain,
    wire_incidents,
    wire_limit_checks,
    wire_limits,
    wire_meter_prices,
    wire_meters,
    wire_prices,
    wire_reports,
    wire_rules,
    wire_silences,
    wire_simulated,
    wire_traffic,
    wire_usage,
)
from heartfly.api.v1.routes import HANDLERS
from heartfly.errors import HeartflyError
from heartfly.instruments import Instruments
from heartfly.logs import line

MAX_BODY = 1024 * 1024
REQUESTS_PER_MINUTE = 600

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


_FOREIGN = (lago, metronome, openmeter, orb, otlp, segment, stripe)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"cache-control": b"no-store",
    b"referrer-policy": b"no-referrer",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
}
_HSTS = {b"strict-transport-security": b"max-age=31536000"}
_REFUSED = frozenset({401, 403})


def native_api(state: ApiState, *, requests_per_minute: int = REQUESTS_PER_MINUTE) -> NativeApi:
    """`requests_per_minute`: of one key; more are answered with 429."""
    guard = Bearer(
        state.database,
        state.clock,
        last_use=state.last_use,
        per_minute=requests_per_minute,
        events_per_minute=state.settings.limits.events_per_minute,
    )
    return NativeApi(_framework(), state, guard)


@cache
def _framework() -> Litestar:
    """The routes, alike for all who serve them: what they work on comes with each request (see request.py)."""
    return Litestar(
        route_handlers=[
            Router("/v1", route_handlers=list(HANDLERS), guards=[known_by_its_key, known_only]),
            schema,
            *(wire.router([known_by_its_key, known_only]) for wire in _FOREIGN),
        ],
        request_class=ApiRequest,
        request_max_body_size=MAX_BODY,
        exception_handlers={HeartflyError: problems.answer, HTTPException: _nowhere, Exception: problems.answer},
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


_WIRES = {f"/{wire.WIRE}/": wire.answer for wire in _FOREIGN}


def _nowhere(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Of an address that is none of ours: in the words of the wire under whose prefix it lies."""
    told = next((told for prefix, told in _WIRES.items() if request.scope["path"].startswith(prefix)), problems.answer)
    return told(request, error)


async def known_by_its_key(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard: by what the server that was asked knows of keys."""
    given: dict[str, Any] = cast("dict[str, Any]", connection.scope)
    await given[GUARD](connection, handler)


@get("/v1/openapi.json", media_type=MediaType.JSON, sync_to_thread=False)
def schema() -> Response[bytes]:
    """No key is needed: it says nothing about anybody."""
    return Response(openapi())


@cache
def openapi() -> bytes:
    """OpenAPI 3.1, made by an application that is never served: the framework would add pages that load from CDNs."""
    told = OpenAPIConfig(
        title="Heartfly",
        version=__version__,
        description="Checks, their history and incidents, channels that alerts go to, usage, keys, who changed what.",
        components=Components(
            security_schemes={"key": SecurityScheme(type="http", scheme="bearer", description="An API key: hf_…")}
        ),
        operation_id_creator=lambda handler, _method, _path: handler.handler_name,
    )
    routes = Router("/v1", route_handlers=list(HANDLERS), security=[{"key": []}])
    unserved = Litestar([routes], request_class=ApiRequest, openapi_config=told, logging_config=None)
    document = unserved.openapi_schema.to_schema()
    # The framework's own shapes lack what is refused (unknown fields) and what is explained (docstrings).
    ours = (
        *wire.SHAPES,
        *wire_budgets.SHAPES,
        *wire_channels.SHAPES,
        *wire_events.SHAPES,
        *archives.SHAPES,
        *usage_days.SHAPES,
        *usage_sources.SHAPES,
        *watches.SHAPES,
        *wire_usage.SHAPES,
        *wire_corrections.SHAPES,
        *wire_explain.SHAPES,
        *wire_incidents.SHAPES,
        *wire_accounts.SHAPES,
        *wire_limit_checks.SHAPES,
        *wire_limits.SHAPES,
        *wire_meters.SHAPES,
        *wire_meter_prices.SHAPES,
        *wire_prices.SHAPES,
        *wire_reports.SHAPES,
        *wire_rules.SHAPES,
        *wire_silences.SHAPES,
        *wire_simulated.SHAPES,
        *wire_traffic.SHAPES,
        *audit.SHAPES,
        *badges.SHAPES,
        *coverage.SHAPES,
        *days.SHAPES,
        *imports.SHAPES,
        *jobs.SHAPES,
        *learned.SHAPES,
        *path_rules.SHAPES,
        *service_levels.SHAPES,
        *status_pages.SHAPES,
        *views.SHAPES,
    )
    _, shapes = msgspec.json.schema_components(ours, ref_template="#/components/schemas/{name}")
    document["components"]["schemas"] = document["components"]["schemas"] | shapes
    return msgspec.json.encode(document)


class NativeApi:
    """Around the framework: headers that every answer has, answers to HEAD and to browsers, and the canonical line."""

    def __init__(self, framework: Litestar, state: ApiState, guard: Bearer) -> None:
        self.framework = framework
        self._doors = (EventDoor(state, guard), LimitDoor(state, guard))
        self._healthchecks = HealthchecksDoor(state, guard)
        self._cronitor = CronitorDoor(state, guard)
        self.guard = guard
        self._given: dict[str, Any] = {STATE: state, GUARD: guard}
        self._clock = state.clock
        self._instruments = state.instruments
        self._origins = state.settings.server.cors_origins
        self._client_address = state.client_address
        self._always = _HEADERS | (_HSTS if state.base_url.startswith("https:") else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"]) if self._origins else {}
        of_healthchecks = is_healthchecks(scope["path"])
        for_browsers = {} if of_healthchecks else cors.allowed(self._origins, scope["method"], given)
        headers = self._always | for_browsers if for_browsers else self._always
        exchange = _Exchange(scope | self._given, send, started=self._clock.monotonic(), headers=headers)
        # The framework spells the same ASGI shapes as typed dictionaries.
        application = cast("Application", self.framework)
        try:
            if of_healthchecks:
                # There a question for the head of something is a method like any other.
                exchange.scope["method"] = scope["method"]
                await self._healthchecks(exchange.scope, receive, exchange.send)
                return
            if is_cronitor(scope["path"]):
                await self._cronitor(exchange.scope, receive, exchange.send)
                return
            if self._origins and cors.is_preflight(scope["method"], given):
                await exchange.send({"type": "http.response.start", "status": 204, "headers": []})
                await exchange.send({"type": "http.response.body", "body": b""})
                return
            door = next((door for door in self._doors if door.takes(scope)), application)
            await door(exchange.scope, receive, exchange.send)
        finally:
            # Where somebody comes from is told of who is refused only.
            client = self._client_address(scope)[0] if exchange.status in _REFUSED else ""
            exchange.tell(self._instruments, ended=self._clock.monotonic(), client=client)


class _Exchange:
    """One request and its answer, as the log will tell of them: no query, no id, of the key its first letters."""

    def __init__(self, scope: Scope, send: Send, *, started: float, headers: Mapping[bytes, bytes]) -> None:
        self._is_head = scope["method"] == "HEAD"
        self.scope = {**scope, "method": "GET"} if self._is_head else scope
        self._method = scope["method"]
        self._send = send
        self._started = started
        self.status = 0
        self._headers = headers

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            # A list of its own for each answer: what is appended to a shared one is sent to the next caller.
            given = list(message["headers"])
            names = {name.lower() for name, _ in given}
            given += [(name, value) for name, value in self._headers.items() if name not in names]
            message = {**message, "headers": given}
        elif message["type"] == WHOLE:
            self.status = message["status"]
            message = {**message, "fields": message["fields"] + written(self._headers.items())}
        elif self._is_head and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)

    def tell(self, instruments: Instruments, *, ended: float, client: str) -> None:
        caller, route = self.scope.get("auth"), self.scope.get("path_template", "")
        # A stranger may write any method; of a path that is none of ours nothing is told.
        method = self._method if self._method in _METHODS else "other"
        instruments.request(method, route or "none", self.status, ended - self._started)
        line(
            "request",
            method=self._method,
            route=route,
            status=self.status,
            took_ms=round((ended - self._started) * 1000, 3),
            key=caller.actor.removeprefix("key:hf_") if caller else "",
            project=caller.project_slug if caller else "",
            **({"client": client} if client else {}),
        )
