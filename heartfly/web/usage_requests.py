"""Single requests, the newest first: those of a cell, a bar or a row that somebody pressed, or of any filter."""

from __future__ import annotations

from datetime import datetime

from litestar import Response, get
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.api.paging import cursor_of, place_in_time
from heartfly.db.types import micros
from heartfly.traffic import search
from heartfly.web.request import PageRequest
from heartfly.web.traffic_panels import shown, view_from
from heartfly.web.traffic_view import View
from heartfly.web.usage_traffic import context

PAGE = 50
LIST = "requests"


@get("/p/{project:str}/usage/requests")
async def show_requests(request: PageRequest) -> Response[bytes]:
    """In the query as on the first page, and `before`: what the page before ended with."""
    view = await view_from(request, "/requests")
    before = place_in_time(request.query_params.get("before"), LIST)

    async def page(read: AsyncConnection, pid: int, view: View, now: datetime) -> search.Page:
        return await search.requests(read, pid, view.asked, limit=PAGE, after=before, now=now)

    own = {"page_of_requests": (before, page)}
    panels = await shown(request, view, () if before is not None else ("sums", "meant"), own=own)
    found = panels["page_of_requests"].found if panels else None
    place = None if found is None else found.next
    return await request.page(
        "traffic_requests.html",
        status=422 if view.errors else 200,
        sums=panels.get("sums"),
        is_first=before is None,
        following=view.link(before=cursor_of(LIST, micros(place[0]), place[1])) if place is not None else "",
        **context(request, view, panels),
    )
