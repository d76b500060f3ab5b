"""OpenTelemetry's protocol under `/otlp`, over HTTP, as its exporters speak it: spans, metrics, and no logs.

The answer is theirs, too: 200 with how many were rejected, or an error that says whether to try again. What counts how
is decision 28's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from litestar import Request, Response, Router, post
from litestar.exceptions import HTTPException
from litestar.types import Guard

from heartfly.accounts.guards import INGESTS
from heartfly.api.event_bodies import MAX_BYTES
from heartfly.api.foreign import Headers, refusals
from heartfly.api.otlp_attributes import CUSTOMERS
from heartfly.api.otlp_bodies import JSON, PROTOBUF, answered, error_of, read
from heartfly.api.otlp_points import Measured, n_points, points_in, series_since
from heartfly.api.otlp_spans import events_from, n_spans
from heartfly.api.problems import Problem
from heartfly.api.request import ApiRequest
from heartfly.core.events import Event
from heartfly.core.series import Reading
from heartfly.errors import HeartflyError, InvalidValueError
from heartfly.usage.apply import Outcome, Refused, Told
from heartfly.usage.ingest import MAX_EVENTS, EventIngest, Unreadable
from heartfly.usage.series import Read

WIRE = "otlp"
MOST = 20_000
"""Spans or points of one request."""
_AT_ONCE = 250
_NO_LOGS = "Heartfly keeps no log records; send spans or metrics of requests"


@post("/v1/traces", opt=INGESTS, status_code=200, request_max_body_size=MAX_BYTES)
async def traces(request: ApiRequest) -> Response[bytes]:
    """Spans of servers; answered after the commit."""
    found = await _read(request, "Trace")
    n = n_spans(found)
    _demand_few(n, "spans")
    large = n > _AT_ONCE
    events = await _made(lambda: list(events_from(found, _customers(request))), large=large)
    request.demand_pace(len(events))
    told: list[Told] = []
    for start in range(0, len(events), MAX_EVENTS):
        some = events[start : start + MAX_EVENTS]
        told += await request.api.events.take(request.caller.pid, some, wire=WIRE, beside=large)
    return _answer(request, "Trace", told)


@post("/v1/metrics", opt=INGESTS, status_code=200, request_max_body_size=MAX_BYTES)
async def metrics(request: ApiRequest) -> Response[bytes]:
    """Histograms of requests; answered after the commit."""
    found = await _read(request, "Metrics")
    n = n_points(found)
    _demand_few(n, "points")
    points = await _made(lambda: list(points_in(found, _customers(request))), large=n > _AT_ONCE)
    request.demand_pace(len(points))
    told: list[Told] = []
    ingest, pid = request.api.events, request.caller.pid
    added = [_added(one) for one in points if not (isinstance(one, Measured) and one.is_cumulative)]
    events = [one for one in added if one is not None]
    for start in range(0, len(events), MAX_EVENTS):
        told += await ingest.take(pid, events[start : start + MAX_EVENTS], wire=WIRE)
    reads = [_reading(one, ingest) for one in points if isinstance(one, Measured) and one.is_cumulative]
    for start in range(0, len(reads), _AT_ONCE):
        some = await ingest.take_readings(pid, reads[start : start + _AT_ONCE], wire=WIRE)
        told += [one for one in some if one is not None]
    return _answer(request, "Metrics", told)


@post("/v1/logs", opt=INGESTS, status_code=200, request_max_body_size=MAX_BYTES)
async def logs(request: ApiRequest) -> Response[bytes]:
    """Nothing of it is kept, and that is said: with an error exporters would send it again."""
    found = await _read(request, "Logs")
    n = sum(len(scope.log_records) for resource in found.resource_logs for scope in resource.scope_logs)
    media_type = _media_type(request)
    return Response(answered("Logs", media_type, n_rejected=n, said=_NO_LOGS if n else ""), media_type=media_type)


async def _made(work: Callable[[], list[Any]], *, large: bool) -> list[Any]:
    """What is much is a thread's work, so that pings are heard meanwhile."""
    return await asyncio.to_thread(work) if large else work()


async def _read(request: ApiRequest, kind: str) -> Any:
    encoding = request.headers.get("content-encoding", "")
    return await read(await request.body(), kind, media_type=_media_type(request), encoding=encoding)


def _media_type(request: Request[Any, Any, Any]) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _customers(request: ApiRequest) -> Sequence[str]:
    """The attributes that name the customer: what the header `Heartfly-Customer` says comes first."""
    said = request.headers.get("heartfly-customer", "")[:500]
    return (*(name for one in said.split(",") if (name := one.strip())), *CUSTOMERS)


def _demand_few(n: int, what: str) -> None:
    if n > MOST:
        raise InvalidValueError("", f"the body holds {n} {what}; at most {MOST} come in one request")


def _added(one: Measured | Unreadable) -> Any:
    return one.event(one.reading, one.begun_ns) if isinstance(one, Measured) else one


def _reading(one: Measured, ingest: EventIngest) -> Read:
    def event(added: Reading, since_ns: int) -> Event | Refused | None:
        made = one.event(added, since_ns)
        return None if made is None else ingest.item(made)

    return Read(series_since(one), one.begun_ns, one.ended_ns, one.reading, event, one.measure)


def _answer(request: ApiRequest, kind: str, told: Sequence[Told]) -> Response[bytes]:
    reasons = [why for one in told if (why := _why_not(one))]
    more = f" ({len(reasons) - 1} more)" if len(reasons) > 1 else ""
    media_type = _media_type(request)
    body = answered(kind, media_type, n_rejected=len(reasons), said=f"{reasons[0]}{more}" if reasons else "")
    return Response(body, media_type=media_type)


def _why_not(one: Told) -> str:
    if one.outcome is Outcome.CONFLICT:
        return "another one of the same ids is kept already, with other content"
    return f"{one.field} {one.reason}".strip() if one.outcome is Outcome.REJECTED else ""


def _worded(request: Request[Any, Any, Any], problem: Problem) -> tuple[Any, str, Headers]:
    media_type = JSON if _media_type(request) == JSON else PROTOBUF
    return error_of(problem.status, problem.detail, media_type), media_type, {}


answer = refusals(_worded, declined="is not answered here: OTLP over HTTP is /otlp/v1/traces and /otlp/v1/metrics")


def router(guards: list[Guard]) -> Router:
    return Router(
        "/otlp",
        route_handlers=[traces, metrics, logs],
        guards=guards,
        exception_handlers={HeartflyError: answer, HTTPException: answer, Exception: answer},
    )
