"""Requests that a project's API served, asked for: in all, by time, by endpoint, customer, status and key, one by one.

Which filters are answered out of what is said in docs/traffic.md; what is counted is decided in traffic/.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from litestar import Response, get
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, number, place, place_in_time
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.figures import bound_of, few, zone_of
from heartfly.api.v1.traffic_tables import answered, demand_json, form_of
from heartfly.api.v1.wire_traffic import (
    LiveOut,
    RequestPage,
    SlowPage,
    TrafficHeat,
    TrafficRanking,
    TrafficSeries,
    TrafficTotals,
    bin_out,
    cell_out,
    figures_out,
    live_out,
    request_out,
    row_out,
    slow_out,
    told,
)
from heartfly.core.windows import HOUR, Size
from heartfly.db.types import EPOCH, micros
from heartfly.errors import InvalidValueError
from heartfly.traffic import heat, ranked, search
from heartfly.traffic.asked import Asked, Order, Ranked
from heartfly.traffic.live import live
from heartfly.traffic.series import series
from heartfly.traffic.slow import slow
from heartfly.traffic.totals import n_customers, totals

_A_DAY = timedelta(days=1)
_MOST_ROWS = 1_000_000
OrderBy = Annotated[
    Literal["requests", "errors", "client_errors", "p95", "latency", "bytes", "time"],
    QueryParameter(
        description="What comes first: most requests, server errors, client errors, the highest p95, the slowest "
        "request, most bytes both ways, or most time in all."
    ),
]
Form = Annotated[
    str | None, QueryParameter(name="format", description="json, csv or ndjson; as `Accept` says, if not said.")
]
_Few = list[str] | None


async def asked_by(  # noqa: PLR0917 - the framework passes by name
    request: ApiRequest,
    from_at: Annotated[
        str | None,
        QueryParameter(
            name="from", description="From this instant or day on; a day before `to`, on the hour, if not said."
        ),
    ] = None,
    to_at: Annotated[
        str | None, QueryParameter(name="to", description="Before this instant or day; now if not said.")
    ] = None,
    zone: Annotated[str | None, QueryParameter(description="Whose days; the project's if not said.")] = None,
    endpoint: Annotated[_Few, QueryParameter(description="Only these, as `GET /v1/orders/{id}`; any of them.")] = None,
    customer: Annotated[_Few, QueryParameter(description="Only of these, by id, or as they were sent.")] = None,
    method: Annotated[_Few, QueryParameter(description="Only these methods.")] = None,
    status: Annotated[
        _Few, QueryParameter(name="status", description="Only these: `4xx`, `404`, or `unknown`.")
    ] = None,
    key: Annotated[_Few, QueryParameter(description="Only of these API keys; counted event by event.")] = None,
    source: Annotated[_Few, QueryParameter(description="Only of these sources; counted event by event.")] = None,
) -> Asked:
    where = await zone_of(request, zone)
    end = bound_of(to_at, "to", where) or request.api.clock.now()
    start = bound_of(from_at, "from", where)
    try:
        start = _on_the_hour(end - _A_DAY) if start is None else start
    except OverflowError:
        raise InvalidValueError("to", "must be within 1970 to 2200") from None
    return Asked(
        from_at=start,
        to_at=end,
        zone=where,
        endpoints=few(endpoint, "endpoint"),
        customers=few(customer, "customer"),
        methods=[one.upper() for one in few(method, "method")],
        statuses=few(status, "status"),
        keys=few(key, "key"),
        sources=few(source, "source"),
    )


ASKED = {"asked": Provide(asked_by)}
_FAILS = told_as(422)
_TAGS = ["traffic"]


@get("/usage/traffic", summary="What requests come to", responses=_FAILS, tags=_TAGS, dependencies=ASKED)
async def traffic_totals(request: ApiRequest, asked: NamedDependency[Asked], form: Form = None) -> TrafficTotals:
    demand_json(form_of(request, form))
    now = request.api.clock.now()
    async with request.api.usage.read() as read:
        found, trust = await totals(read, request.caller.pid, asked, now=now)
        customers = await n_customers(read, request.caller.pid, asked, now=now)
    return TrafficTotals(**told(asked, trust), figures=figures_out(found), customers=customers)


@get("/usage/traffic/series", summary="Requests over time", responses=_FAILS, tags=_TAGS, dependencies=ASKED)
async def traffic_series(
    request: ApiRequest,
    asked: NamedDependency[Asked],
    window: Annotated[
        Literal["second", "minute", "hour", "day", "month"],
        QueryParameter(description="How long each item's time is; `second` of up to an hour, event by event."),
    ] = "hour",
    form: Form = None,
) -> Response[TrafficSeries]:
    """Each window that has begun, also without requests.

    Of what is counted event by event and is too much, the newest: `partial`, and nothing before it.
    """
    async with request.api.usage.read() as read:
        bins, trust = await series(read, request.caller.pid, asked, size=Size(window), now=request.api.clock.now())
    items = [bin_out(one.by_status, from_at=one.window.from_at, to_at=one.window.to_at, open=one.open) for one in bins]
    answer = TrafficSeries(**told(asked, trust), window=window, items=items)
    return answered(answer, form_of(request, form))


@get("/usage/traffic/endpoints", summary="Rank endpoints", responses=_FAILS, tags=_TAGS, dependencies=ASKED)
async def traffic_endpoints(
    request: ApiRequest,
    asked: NamedDependency[Asked],
    *,
    order: OrderBy = "requests",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    form: Form = None,
) -> Response[TrafficRanking]:
    """All of them are looked at, however few are shown."""
    return await _ranking(request, asked, ranked.endpoints, order, limit, cursor, form)


@get("/usage/traffic/customers", summary="Rank customers", responses=_FAILS, tags=_TAGS, dependencies=ASKED)
async def traffic_customers(
    request: ApiRequest,
    asked: NamedDependency[Asked],
    *,
    order: OrderBy = "requests",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    form: Form = None,
) -> Response[TrafficRanking]:
    """Requests of nobody are those of `anonymous`."""
    return await _ranking(request, asked, ranked.customers, order, limit, cursor, form)


@get("/usage/traffic/methods", summary="Rank methods", responses=_FAILS, tags=_TAGS, dependencies=ASKED)
async def traffic_methods(
    request: ApiRequest,
    asked: NamedDependency[Asked],
    *,
    order: OrderBy = "requests",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    form: Form = None,
) -> Response[TrafficRanking]:
    return await _ranking(request, asked, ranked.methods, order, limit, cursor, form)


@get("/usage/traffic/keys", summary="Rank API keys", responses=_FAILS, tags=_TAGS, dependencies=ASKED)
async def traffic_keys(
    request: ApiRequest,
    asked: NamedDependency[Asked],
    *,
    order: OrderBy = "requests",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    form: Form = None,
) -> Response[TrafficRanking]:
    """Counted event by event. An empty `key`: requests that told none."""
    return await _ranking(request, asked, ranked.keys, order, limit, cursor, form)


@get("/usage/traffic/statuses", summary="Requests by status", responses=_FAILS, tags=_TAGS, dependencies=ASKED)
async def traffic_statuses(
    request: ApiRequest, asked: NamedDependency[Asked], form: Form = None
) -> Response[TrafficRanking]:
    """All codes that there were, in their order."""
    async with request.api.usage.read() as read:
        found = await ranked.statuses(read, request.caller.pid, asked, now=request.api.clock.now())
    return answered(_ranking_out(asked, found, None), form_of(request, form))


@get("/usage/traffic/heatmap", summary="Where requests lie", responses=_FAILS, tags=_TAGS, dependencies=ASKED)
async def traffic_heatmap(
    request: ApiRequest,
    asked: NamedDependency[Asked],
    by: Annotated[
        Literal["endpoint", "weekday"],
        QueryParameter(description="`endpoint` by hour, or by day beyond 48 hours; or `weekday` by hour of the day."),
    ] = "endpoint",
    limit: Annotated[int, QueryParameter(ge=1, le=100, description="Endpoints at most; 20 if not said.")] = 20,
    form: Form = None,
) -> Response[TrafficHeat]:
    pid, now = request.caller.pid, request.api.clock.now()
    async with request.api.usage.read() as read:
        if by == "weekday":
            found = await heat.over_week(read, pid, asked, now=now)
        else:
            found = await heat.over_time(read, pid, asked, n_rows=limit, now=now)
    answer = TrafficHeat(
        **told(asked, found.trust),
        rows=list(found.rows),
        columns=[one if isinstance(one, str) else one.from_at.isoformat() for one in found.columns],
        items=[cell_out(one, row=row, column=column) for (row, column), one in sorted(found.cells.items(), key=_place)],
    )
    return answered(answer, form_of(request, form))


@get("/usage/traffic/slow", summary="The slowest requests", responses=_FAILS, tags=_TAGS, dependencies=ASKED)
async def traffic_slow(
    request: ApiRequest,
    asked: NamedDependency[Asked],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    form: Form = None,
) -> Response[SlowPage]:
    """The slowest first, of what is kept of each hour: the slowest 100 of all, and 5 of each endpoint."""
    named = place(cursor, "traffic-slow", 2)
    after = None if named is None else (named[0], named[1])
    async with request.api.usage.read() as read:
        found, last = await slow(read, request.caller.pid, asked, limit=limit, after=after, now=request.api.clock.now())
    following = None if last is None else cursor_of("traffic-slow", *last)
    return answered(SlowPage([slow_out(one) for one in found], following), form_of(request, form))


@get("/usage/traffic/requests", summary="Single requests", responses=_FAILS, tags=_TAGS, dependencies=ASKED)
async def traffic_requests(
    request: ApiRequest,
    asked: NamedDependency[Asked],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    form: Form = None,
) -> Response[RequestPage]:
    """The newest first. A page looks at 20,000 events at most: it may be short, and the next one goes on."""
    after = place_in_time(cursor, "traffic-requests")
    async with request.api.usage.read() as read:
        found = await search.requests(
            read, request.caller.pid, asked, limit=limit, after=after, now=request.api.clock.now()
        )
    following = None if found.next is None else cursor_of("traffic-requests", micros(found.next[0]), found.next[1])
    answer = RequestPage([request_out(one) for one in found.requests], found.looked_up_to, following)
    return answered(answer, form_of(request, form))


@get("/usage/traffic/live", summary="Requests a second", responses=told_as(), tags=_TAGS)
async def traffic_live(request: ApiRequest) -> LiveOut:
    """Over the last sixty seconds, of whatever has come by now."""
    async with request.api.usage.read() as read:
        return live_out(await live(read, request.caller.pid, now=request.api.clock.now()))


async def _ranking(  # noqa: PLR0917 - as the routes have them
    request: ApiRequest,
    asked: NamedDependency[Asked],
    question: Callable[..., Awaitable[Ranked]],
    order: str,
    limit: int,
    cursor: str | None,
    form: str | None,
) -> Response[TrafficRanking]:
    of = f"traffic-{request.url.path.rpartition('/')[2]}-{order}"
    offset = number(cursor, of) or 0
    if not 0 <= offset <= _MOST_ROWS:
        raise InvalidValueError("cursor", "must be the `next` of a page of this list")
    async with request.api.usage.read() as read:
        found = await question(
            read,
            request.caller.pid,
            asked,
            by=Order(order),
            limit=limit,
            offset=offset,
            now=request.api.clock.now(),
        )
    following = cursor_of(of, offset + limit) if offset + limit < found.n else None
    return answered(_ranking_out(asked, found, following), form_of(request, form))


def _ranking_out(asked: Asked, found: Ranked, following: str | None) -> TrafficRanking:
    return TrafficRanking(
        **told(asked, found.trust),
        figures=figures_out(found.all),
        items=[row_out(one) for one in found.rows],
        others=None if found.other is None else row_out(found.other),
        n=found.n,
        next=following,
    )


def _place(cell: tuple[tuple[int, int], Any]) -> tuple[int, int]:
    return cell[0]


def _on_the_hour(at: datetime) -> datetime:
    return at - (at - EPOCH) % HOUR
