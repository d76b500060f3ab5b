"""Endpoints: all that were called, and those that were not; and one of them, with the same panels as the first page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from litestar import Response, get
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.errors import InvalidValueError, NotFoundError
from heartfly.traffic import ranked
from heartfly.traffic.asked import OTHER_ENDPOINTS, Asked, Order, Ranked
from heartfly.web import traffic_charts as charts
from heartfly.web.endpoint_address import address_of, named
from heartfly.web.request import PageRequest
from heartfly.web.traffic_panels import shown, view_from
from heartfly.web.traffic_view import View
from heartfly.web.usage_traffic import context

PAGE = 50
MOST = 10_000
"""Endpoints of a project are fewer; a number beyond is none of a page."""
_LATELY = timedelta(hours=2)
"""Within it the events of an hour are summed up, and their endpoints known."""
_OF_ONE = ("sums", "course", "by_week", "customers", "slow", "statuses", "keys")


@get("/p/{project:str}/usage/endpoints")
async def show_endpoints(request: PageRequest) -> Response[bytes]:
    """In the query as on the first page, and `at`: so many are left out from the first on."""
    view = await view_from(request, "/endpoints")
    at = _at(request.query_params.get("at", ""))

    async def page(read: AsyncConnection, pid: int, view: View, now: datetime) -> Ranked:
        return await ranked.endpoints(read, pid, view.asked, by=view.order, limit=PAGE, offset=at, now=now)

    panels = await shown(request, view, (), own={"page_of_endpoints": (at, page), "never": (None, _never)})
    found = panels["page_of_endpoints"].found if panels else None
    return await request.page(
        "traffic_endpoints.html",
        status=422 if view.errors else 200,
        before=view.link(at=str(at - PAGE) if at > PAGE else "") if at else None,
        following=view.link(at=str(at + PAGE)) if found is not None and found.n > at + PAGE else "",
        never=(panels["never"].found or ()) if panels and not view.chips else (),
        **context(request, view, panels),
    )


async def _never(read: AsyncConnection, pid: int, view: View, now: datetime) -> Sequence[str]:
    names = await ranked.endpoint_names(read, pid)
    called = await ranked.endpoints(read, pid, view.asked, by=Order.REQUESTS, limit=len(names) + 1, now=now)
    return sorted(set(names) - {row.key for row in called.rows})


def _at(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 7 and int(text) < MOST):
        raise InvalidValueError("at", "this is no page of endpoints; begin with the first")
    return int(text)


@get("/p/{project:str}/usage/endpoints/{endpoint:str}")
async def show_endpoint(request: PageRequest) -> Response[bytes]:
    name = await _name(request)
    view = await view_from(request, address_of(name), endpoint=name)
    live = await request.live_mark()
    panels = await shown(request, view, _OF_ONE)
    sums = panels["sums"].found if panels else None
    spread, rows = charts.spread(sums.now.figures.latencies) if sums is not None else (None, ())
    return await request.page(
        "traffic_endpoint.html",
        status=422 if view.errors else 200,
        live=live,
        name=name,
        other=OTHER_ENDPOINTS,
        spread=spread,
        spread_rows=rows,
        **context(request, view, panels),
    )


async def _name(request: PageRequest) -> str:
    """NotFoundError. Of one that was called for the first time just now, only its requests tell."""
    pid, public_id, now = request.project.pid, request.path_value("endpoint"), request.api.clock.now()
    lately = Asked(from_at=now - _LATELY, to_at=now, zone=ZoneInfo("UTC"))
    async with request.api.usage.read() as read:
        name = named(public_id, [*await ranked.endpoint_names(read, pid), OTHER_ENDPOINTS])
        if name is None:
            called = await ranked.endpoints(read, pid, lately, by=Order.REQUESTS, limit=MOST, now=now)
            name = named(public_id, [row.key for row in called.rows])
    if name is None:
        raise NotFoundError("there is no such endpoint")
    return name
