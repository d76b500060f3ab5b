"""The first page of usage: what is served, how well, and to whom. And each of its tables as a file.

While it is open it asks for itself: then only what goes on is worked out (live.js puts in the parts that come).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from litestar import Response, get

from heartfly.core.windows import Size, Window
from heartfly.traffic.asked import Heat, Ranked
from heartfly.web import money_words, traffic_heat, traffic_words
from heartfly.web import traffic_charts as charts
from heartfly.web.endpoint_address import address_of
from heartfly.web.panels import Panel
from heartfly.web.request import PageRequest
from heartfly.web.times import Times
from heartfly.web.traffic_heat import Line
from heartfly.web.traffic_panels import PANELS, Course, shown, view_from
from heartfly.web.traffic_view import FILTERS, HEATS, ORDERS, RANGES, View, iso

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_OFTEN, _SELDOM, _COUNTING = 5, 15, 2
"""Seconds after which an open page asks again: of a short time, of a long one, and while something is worked out."""


@get("/p/{project:str}/usage")
async def dashboard(request: PageRequest) -> Response[bytes]:
    """In the query: `range`, or `from` and `to`; filters; `compare=0`, `log=1`, `heat`, `by`."""
    view = await view_from(request, "")
    live = await request.live_mark()
    panels = await shown(request, view, tuple(PANELS))
    begins = _begins(panels)
    return await request.page(
        "traffic.html",
        status=422 if view.errors else 200,
        live=live,
        begins=begins,
        **context(request, view, panels),
    )


def context(request: PageRequest, view: View, panels: Mapping[str, Panel[Any]]) -> dict[str, Any]:
    """What every page of requests puts into its panels. Its charts stand in the zone of the project's days, and
    beside them no instant is told in another one: there is no choice of zones.
    """
    return {
        "t": Times(request.api.clock.now(), view.zone.key),
        "zones": (),
        "view": view,
        "slo_ms": view.slo_ms,
        "panels": panels,
        "parts_only": request.is_by_itself,
        "ranges": RANGES,
        "filters": FILTERS,
        "heats": HEATS,
        "orders": ORDERS,
        "levels": traffic_heat.LEVELS,
        "few": traffic_heat.FEW,
        "w": traffic_words,
        "m": money_words,
        "pictures": _pictures(view, panels.get("course")),
        "clock": clock(view),
        "heat_lines": _lines_by_time(view, panels.get("by_time")),
        "heat_columns": _columns(view, panels.get("by_time")),
        "week_lines": _lines_by_week(view, panels.get("by_week")),
        "address": lambda name: view.link(address_of(name), endpoint=""),
        "one_customer": "customer" in view.scope,
        "pareto": pareto,
        "iso": iso,
        "after": lambda at: at + timedelta(milliseconds=1),
        "spark": charts.spark,
        "bars": charts.columns,
        "again": _again(view, panels),
        "base_url": request.api.base_url,
    }


def clock(view: View) -> Callable[[datetime], str]:
    """As labels tell a window's beginning, in the zone of the days."""
    words = {Size.SECOND: "%a %d %b %H:%M:%S", Size.DAY: "%a %d %b", Size.MONTH: "%b %Y"}
    pattern = words.get(view.size, "%a %d %b %H:%M")
    return lambda at: at.astimezone(view.zone).strftime(pattern)


def _pictures(view: View, course: Panel[Course] | None) -> Mapping[str, Any]:
    found = course.found if course is not None else None
    if found is None or not found.points:
        return {}
    told, rows = clock(view), charts.rows_of(found.points)
    return {
        "requests": charts.stacked(found.points, view.zone, view.size, before=found.before),
        "has_before": bool(found.before),
        "errors": charts.lane_of_errors(found.points, view.zone, view.size),
        "latency": charts.latencies(found.points, view.zone, view.size, log=view.log, slo_ms=view.slo_ms),
        "said_of_slo": "" if view.slo_ms is None else charts.sentence_of_slo(found.points, view.slo_ms),
        "said": charts.sentence(found.points, told),
        "said_of_latency": charts.sentence_of_latency(found.points, told),
        "rows": rows[0],
        "has_more": rows[1],
        "sparks": {
            "requests": charts.spark([one.summed.n for one in found.points]),
            "p95": charts.spark([float(one.measures["p95"] or 0) for one in found.points]),
            "errors": charts.spark([one.summed.errors / one.summed.n if one.summed.n else 0 for one in found.points]),
        },
    }


def _lines_by_time(view: View, panel: Panel[Heat] | None) -> Sequence[Line]:
    if panel is None or (heat := panel.found) is None:
        return ()
    windows = [one for one in heat.columns if isinstance(one, Window)]
    return traffic_heat.lines(
        heat,
        view.heat,
        label=lambda row: (heat.rows[row], view.link(address_of(heat.rows[row]), endpoint="")),
        href=lambda row, column: view.of_window(windows[column], endpoint=heat.rows[row]),
    )


def _columns(view: View, panel: Panel[Heat] | None) -> Sequence[str]:
    """By the hour up to two days, else by the day."""
    if panel is None or (heat := panel.found) is None:
        return ()
    windows = [one for one in heat.columns if isinstance(one, Window)]
    by_hour = bool(windows) and windows[0].to_at - windows[0].from_at <= timedelta(hours=1)
    return [f"{one.from_at.astimezone(view.zone):{'%H' if by_hour else '%-d %b'}}" for one in windows]


def _lines_by_week(view: View, panel: Panel[Heat] | None) -> Sequence[Line]:
    if panel is None or panel.found is None:
        return ()

    def href(row: int, column: int) -> str:
        window = traffic_heat.newest_hour(view, row, column)
        return "" if window is None else view.of_window(window)

    return traffic_heat.lines(panel.found, view.heat, label=lambda row: (WEEKDAYS[row], ""), href=href)


def _begins(panels: Mapping[str, Panel[Any]]) -> str:
    """`waits`: no request has ever come, the page asks for a first one; `adds`: they have come, and are not summed up
    yet; empty: there is something to show.
    """
    sums, names, came = (panels[name].found if name in panels else None for name in ("sums", "names", "any_came"))
    if came is False and not names:
        return "waits"  # whatever is still being counted, it will be nothing
    if sums is None or sums.now.n or names is None or names:
        return ""
    return "adds" if came else "waits"


def _again(view: View, panels: Mapping[str, Panel[Any]]) -> int:
    if any(one.counts for one in panels.values()):
        return _COUNTING
    return _OFTEN if view.size is not Size.DAY else _SELDOM


def pareto(found: Ranked) -> Sequence[tuple[Any, int]]:
    """Each row with the share of it and of all before it, in thousandths."""
    whole = max(found.all.n, 1)
    so_far, made = 0, []
    for row in found.rows:
        so_far += row.by_status.n
        made.append((row, 1000 * so_far // whole))
    return made
