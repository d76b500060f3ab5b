"""Calls to other people's APIs, as they go on: how many, how well, how fast, what they cost, by provider and model,
and how far their limits are used.

While the page is open it asks for itself: then only what goes on is worked out (live.js puts in the parts that come).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from litestar import Response, get
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.api.paging import cursor_of, place_in_time
from heartfly.calls.recent import Page, recent_calls
from heartfly.core.calls import Dimension
from heartfly.core.limits.words import amount_words, counted_words
from heartfly.core.windows import Size
from heartfly.db.types import micros
from heartfly.web import calls_charts, calls_panels, money_words, traffic_words
from heartfly.web import traffic_charts as charts
from heartfly.web.calls_panels import Course, shown
from heartfly.web.calls_view import FILTERS, CallsView, calls_view_from, in_address
from heartfly.web.panels import Panel
from heartfly.web.request import PageRequest
from heartfly.web.times import Times
from heartfly.web.traffic_view import RANGES, iso

MOST_ROWS = 50
PAGE = 25
"""Of single calls."""
LIST = "calls"
_OFTEN, _SELDOM, _COUNTING = 5, 15, 2
"""Seconds after which an open page asks again: of a short time, of a long one, and while something is worked out."""
_PANELS: Mapping[str, calls_panels.Work] = {
    "sums": calls_panels.sums, "course": calls_panels.course, "products": calls_panels.by_product,
    "limits": calls_panels.limits_now, "any_came": calls_panels.any_came,
}  # fmt: skip
_LIVE = ("sums", "course", "products", "limits", "any_came")


@get("/p/{project:str}/usage/apis")
async def show_calls(request: PageRequest) -> Response[bytes]:
    """In the query: `range`, or `from` and `to`; filters; `compare=0`, `log=1`; `before`: what a page of single calls
    ended with, and then only the next one is shown.
    """
    asked = await calls_view_from(request, "/apis", usual="24h", by=Dimension.MODEL)
    before = place_in_time(request.query_params.get("before"), LIST)
    live = await request.live_mark()

    async def recent(read: AsyncConnection, pid: int, asked: CallsView, _: datetime) -> Page:
        return await recent_calls(read, pid, asked.question, limit=PAGE, after=before)

    works: dict[str, calls_panels.Work] = {} if before is not None else dict(_PANELS)
    works["recent"] = recent
    panels = await shown(request, asked, works, live=_LIVE, of=before)
    page: Page | None = panels["recent"].found if "recent" in panels else None
    place = None if page is None else page.next
    return await request.page(
        "usage_apis.html",
        status=422 if asked.view.errors else 200,
        live=live,
        waits=_waits(panels),
        most_rows=MOST_ROWS,
        is_first=before is None,
        following=asked.view.link(before=cursor_of(LIST, micros(place[0]), place[1])) if place is not None else "",
        **context(request, asked, panels),
        **_pictures(asked, panels.get("course")),
    )


def context(request: PageRequest, asked: CallsView, panels: Mapping[str, Panel[Any]]) -> dict[str, Any]:
    """What every page of calls puts into its panels. All times are of the zone of the project's days."""
    view = asked.view
    counts = any(one.counts for one in panels.values())
    return {
        "t": Times(request.api.clock.now(), view.zone.key),
        "zones": (),
        "asked": asked,
        "view": view,
        "panels": panels,
        "parts_only": request.is_by_itself,
        "ranges": RANGES,
        "filters": FILTERS,
        "noun": "call",
        "w": traffic_words,
        "m": money_words,
        "much": amount_words,
        "units_of": counted_words,
        "iso": iso,
        "in_address": in_address,
        "again": _COUNTING if counts else _OFTEN if view.size is not Size.DAY else _SELDOM,
        "base_url": request.api.base_url,
        "clock": clock(asked, view.size),
    }


def clock(asked: CallsView, size: Size) -> Callable[[datetime], str]:
    """As labels tell a window's beginning, in the zone of the days."""
    words = {Size.DAY: "%a %d %b", Size.WEEK: "the week of %d %b", Size.MONTH: "%b %Y"}
    pattern = words.get(size, "%a %d %b %H:%M")
    return lambda at: at.astimezone(asked.view.zone).strftime(pattern)


def _pictures(asked: CallsView, panel: Panel[Course] | None) -> dict[str, Any]:
    found = panel.found if panel is not None else None
    if found is None:
        return {"pictures": {}, "costs": ()}
    view, told = asked.view, clock(asked, asked.view.size)
    points = found.points
    rows, has_more = charts.rows_of(points)
    return {
        "pictures": {
            "calls": charts.stacked(points, view.zone, view.size),
            "errors": charts.lane_of_errors(points, view.zone, view.size),
            "latency": charts.latencies(points, view.zone, view.size, log=view.log),
            "said": charts.sentence(points, told, noun="call"),
            "said_of_latency": charts.sentence_of_latency(points, told, noun="call"),
            "rows": rows,
            "has_more": has_more,
            "n_of": {
                "429": sum(one.summed.throttled for one in points),
                "5xx": sum(one.summed.by_class["5xx"] for one in points),
                "4xx": sum(one.summed.by_class["4xx"] for one in points),
            },
            "sparks": {
                "calls": charts.spark([one.summed.n for one in points]),
                "p95": charts.spark([float(one.measures["p95"] or 0) for one in points]),
                "errors": charts.spark([one.summed.errors / one.summed.n if one.summed.n else 0 for one in points]),
            },
        },
        "costs": calls_charts.by_currency(found, view.zone, view.size, told),
    }


def _waits(panels: Mapping[str, Panel[Any]]) -> bool:
    """Whether no call has ever come: the page shows how one does."""
    came = panels.get("any_came")
    return came is not None and came.found is False
