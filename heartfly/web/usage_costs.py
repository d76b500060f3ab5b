"""What calls to other people's APIs cost: over time, by whom and by what, and those of which nobody knows it.

Currencies stand side by side and are never added. What calls come to is asked of calls/.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Response, get

from heartfly.core.calls import Dimension
from heartfly.core.forecast import LEAST_DAYS, LEVEL
from heartfly.web import calls_charts, calls_panels
from heartfly.web.calls_panels import Course, shown
from heartfly.web.calls_view import FILTERS, PERIODS, STEPS, USUAL_RANGE, CallsView, calls_view_from
from heartfly.web.panels import Panel
from heartfly.web.request import PageRequest
from heartfly.web.usage_apis import MOST_ROWS, clock, context

_PANELS: Mapping[str, calls_panels.Work] = {
    "sums": calls_panels.sums, "costs": calls_panels.course_of_costs, "ranked": calls_panels.by_chosen,
    "unpriced": calls_panels.lacking, "ahead": calls_panels.ahead, "any_came": calls_panels.any_came,
}  # fmt: skip
_LIVE = ("sums", "any_came")
MOST_TOLD = 100
"""Windows of the table below a picture; all are in the file."""


@get("/p/{project:str}/usage/costs")
async def show_costs(request: PageRequest) -> Response[bytes]:
    """In the query: `range`, or `from` and `to`; filters; `compare=0`; `by`; `step`: day, week or month."""
    asked = await calls_view_from(request, "/costs", usual=USUAL_RANGE, by=Dimension.PROVIDER)
    live = await request.live_mark()
    panels = await shown(request, asked, _PANELS, live=_LIVE)
    came = panels.get("any_came")
    return await request.page(
        "usage_costs.html",
        status=422 if asked.view.errors else 200,
        live=live,
        waits=came is not None and came.found is False,
        dimensions=FILTERS,
        steps=STEPS,
        periods=PERIODS,
        least_days=LEAST_DAYS,
        level=LEVEL // 10,
        costs=_pictures(asked, panels.get("costs")),
        most_rows=MOST_ROWS,
        most_told=MOST_TOLD,
        step_clock=clock(asked, asked.step),
        **context(request, asked, panels),
    )


def _pictures(asked: CallsView, panel: Panel[Course] | None) -> Any:
    found = panel.found if panel is not None else None
    if found is None:
        return ()
    return calls_charts.by_currency(found, asked.view.zone, asked.step, clock(asked, asked.step))
