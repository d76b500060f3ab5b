"""The project's checks with which share of their runs came in time and went well, and what is left of what is aimed at.

Of each check its own last days, or of all a month. Targets are set in a check's form.
"""

from __future__ import annotations

from datetime import date
from urllib.parse import urlencode

from litestar import Response, get

from heartfly.api.paging import cursor_of, cut, number
from heartfly.checks.service_levels import of_rows, page_of
from heartfly.core.days import ONE, day_of
from heartfly.core.report_periods import month_of
from heartfly.core.slo import left_words, percent
from heartfly.usage.rerun import zone_of
from heartfly.web.request import PageRequest

PAGE = 200
_LIST = "levels"


@get("/p/{project:str}/service-levels")
async def show(request: PageRequest) -> Response[bytes]:
    """`?month=2026-11`; `?all=1`: checks without a target, too."""
    pid, now = request.project.pid, request.api.clock.now()
    month, whole = request.query_params.get("month", ""), request.query_params.get("all", "") == "1"
    span = month_of(month) if month else None
    after = number(request.query_params.get("cursor"), _LIST)
    async with request.api.database.read() as read:
        zone = await zone_of(read, pid)
        rows = await page_of(read, pid, aimed=not whole, after=after, limit=PAGE + 1)
        page, following = cut(rows, PAGE, lambda row: cursor_of(_LIST, row.id))
        found = await of_rows(read, pid, page, zone=zone, now=now, span=span)
    kept = {name: value for name, value in (("month", month), ("all", "1" if whole else "")) if value}
    this_month = day_of(zone, now).replace(day=1)
    return await request.page(
        "service_levels.html",
        found=found,
        month=month,
        whole=whole,
        months=_months(this_month),
        is_later=after is not None,
        kept=kept,
        following=urlencode(kept | {"cursor": following}) if following else "",
        percent=percent,
        left=left_words,
        zone_name=zone.key,
    )


def _months(this: date) -> list[tuple[str, str]]:
    """The present one and the two before it, as an address and people have them."""
    found: list[date] = [this]
    for _ in range(2):
        found.append((found[-1] - ONE).replace(day=1))
    return [(f"{one:%Y-%m}", f"{one:%B %Y}") for one in found]
