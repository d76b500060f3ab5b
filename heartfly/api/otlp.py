"""OpenTelemetry's protocol under `/otlp`, over HTTP, as its exporters speak it: spans, metrics, and no logs.

The answer is theirs, too: 200 with how many were rejected, or an error that says whether to try again. What counts how
is decision 28's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar

from litestar import Request, Response, Router, post
from litestar.exceptions import HTTPException
from litestar.types import Guard

from heartfly.accounts.guards import INGESTS
from heartfly.api.event_bodies import LARGE, MAX_BYTES, is_large, unpacked
from heartfly.api.foreign import Headers, refusals
from heartfly.api.otlp_attributes import CUSTOMERS
from heartfly.api.otlp_bodies import JSON, PROTOBUF, answered, error_of, read
from heartfly.api.otlp_points import Measured, n_buckets, n_points, points_in, series_since
from heartfly.api.otlp_spans import events_from, n_spans
from heartfly.api.problems import Problem
from heartfly.api.request import ApiRequest
from heartfly.core.events import Event
from heartfly.core.series import Reading
from heartfly.errors import HeartflyError, InvalidValueError
from heartfly.usage.apply import Outcome, Refused, Told
from heartfly.usage.ingest import MAX_EVENTS, EventIngest, Unreadable
from heartfly.usage.series import Read

Made = TypeVar("Made")

WIRE = "otlp"
MOST = 20_000
"""Spans or points of one request."""
MOST_BUCKETS = 200_000
"""Of all points of one request: each becomes a number of Python's, several times."""
_AT_ONCE = 250
_BUCKETS_AT_ONCE = 10_000
_NO_LOGS = "Heartfly keeps no log records; send spans or metrics of requests"


@post("/v1/traces", opt=INGESTS, status_code=200, request_max_body_size=MAX_BYTES)
async def traces(request: ApiRequest) -> Response[bytes]:
    """Spans of servers; answered after the commit."""
    content = await _content(request)
    async with AsyncExitStack() as turn:
        large = await _in_turn(request, turn, when=len(content) > LARGE)
        found = await _read(request, content, "Trace")
        n = await _made(lambda: n_spans(found), large=large)
        _demand_few(n, MOST, "spans")
        many = large or n > _AT_ONCE
        events = await _made(lambda: list(events_from(found, _customers(request))), large=many)
        request.demand_pace(len(events))
        told: list[Told] = []
        for start in range(0, len(events), MAX_EVENTS):
            some = events[start : start + MAX_EVENTS]
            told += await request.api.events.take(request.caller.pid, some, wire=WIRE, beside=many)
    return _answer(request, "Trace", told)


@post("/v1/metrics", opt=INGESTS, status_code=200, request_max_body_size=MAX_BYTES)
async def metrics(request: ApiRequest) -> Response[bytes]:
    """Histograms of requests; answered after the commit."""
    content = await _content(request)
    async with AsyncExitStack() as turn:
        large = await _in_turn(request, turn, when=len(content) > LARGE)
        found = await _read(request, content, "Metrics")
        n = await _made(lambda: n_points(found), large=large)
        _demand_few(n, MOST, "points")
        buckets = await _made(lambda: n_buckets(found), large=large)
        _demand_few(buckets, MOST_BUCKETS, "buckets")
        large = large or await _in_turn(request, turn, when=buckets > _BUCKETS_AT_ONCE)
        many = large or n > _AT_ONCE
        points = await _made(lambda: list(points_in(found, _customers(request))), large=many)
        request.demand_pace(len(points))
        told = await _stored(request, points, large=many)
    return _answer(request, "Metrics", told)


async def _stored(request: ApiRequest, points: Sequence[Measured | Unreadable], *, large: bool) -> list[Told]:
    ingest, pid = request.api.events, request.caller.pid
    told: list[Told] = []
    reads = [one for one in points if isinstance(one, Measured) and one.is_cumulative]
    others = [one for one in points if not (isinstance(one, Measured) and one.is_cumulative)]
    for start in range(0, len(others), MAX_EVENTS):
        # Piece by piece, for an event takes far more than its point.
        events = await _made(partial(_events, others[start : start + MAX_EVENTS]), large=large)
        told += await ingest.take(pid, events, wire=WIRE, beside=large) if events else []
    for start in range(0, len(reads), _AT_ONCE):
        some = [_reading(one, ingest) for one in reads[start : start + _AT_ONCE]]
        told += [one for one in await ingest.take_readings(pid, some, wire=WIRE) if one is not None]
    return told


@post("/v1/logs", opt=INGESTS, status_code=200, request_max_body_size=MAX_BYTES)
async def logs(request: ApiRequest) -> Response[bytes]:
    """Nothing of it is kept, and that is said: with an error exporters would send it again."""
    content = await _content(request)
    async with AsyncExitStack() as turn:
        large = await _in_turn(request, turn, when=len(content) > LARGE)
        found = await _read(request, content, "Logs")
        n = await _made(lambda: _n_logs(found), large=large)
    media_type = _media_type(request)
    return Response(answered("Logs", media_type, n_rejected=n, said=_NO_LOGS if n else ""), media_type=media_type)


async def _content(request: ApiRequest) -> bytes:
    raw, encoding = await request.body(), request.headers.get("content-encoding", "")
    return await _made(lambda: unpacked(raw, encoding), large=is_large(raw, encoding))


async def _in_turn(request: ApiRequest, turn: AsyncExitStack, *, when: bool) -> bool:
    """Of large requests one is read and stored at a time: whether this is one. OverloadedError: too many wait."""
    if when:
        await turn.enter_async_context(request.api.large_otlp)
    return when


async def _made(work: Callable[[], Made], *, large: bool) -> Made:
    """What is much is a thread's work, so that pings are heard meanwhile."""
    return await asyncio.to_thread(work) if large else work()


async def _read(request: ApiRequest, content: bytes, kind: str) -> Any:
    work = partial(read, content, kind, media_type=_media_type(request))
    return await _made(work, large=len(content) > LARGE)


def _n_logs(found: Any) -> int:
    return sum(len(scope.log_records) for resource in found.resource_logs for scope in resource.scope_logs)


def _media_type(request: Request[Any, Any, Any]) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _customers(request: ApiRequest) -> Sequence[str]:
    """The attributes that name the customer: what the header `Heartfly-Customer` says comes first."""
    said = request.headers.get("heartfly-customer", "")[:500]
    return (*(name for one in said.split(",") if (name := one.strip())), *CUSTOMERS)


def _demand_few(n: int, most: int, what: str) -> None:
    if n > most:
        raise InvalidValueError("", f"the body holds {n} {what}; at most {most} come in one request")


def _events(points: Sequence[Measured | Unreadable]) -> list[Any]:
    made = [one.event(one.reading, one.begun_ns) if isinstance(one, Measured) else one for one in points]
    return [one for one in made if one is not None]


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
