"""Sources of events in the browser: how far each has come, and to retire one that sends no more.

Which of them a day waits for is decided in core/watermarks.py.
"""

from __future__ import annotations

from urllib.parse import urlencode

from litestar import Response, get, post

from heartfly.api.paging import cursor_at, cut, text_at
from heartfly.usage import sources
from heartfly.usage.audit import carry_or_wait
from heartfly.web.request import PageRequest
from heartfly.web.sign_in import to

PAGE = 50
_LIST = "usage-sources"


@get("/p/{project:str}/usage/sources")
async def show_sources(request: PageRequest) -> Response[bytes]:
    """`after` in the query: from where on."""
    after = text_at(request.query_params.get("after"), _LIST)
    async with request.api.usage.read() as read:
        rows = await sources.list_sources(read, request.project.pid, after=after, limit=PAGE + 1)
    page, following = cut(rows, PAGE, lambda row: cursor_at(_LIST, row.name))
    return await request.page(
        "usage_sources.html",
        sources=page,
        header=sources.HEADER,
        base_url=request.api.base_url,
        is_first=after is None,
        following=urlencode({"after": following}) if following else "",
    )


@post("/p/{project:str}/usage/sources", status_code=200)
async def retire_source(request: PageRequest) -> Response[bytes]:
    """`name`: the one that sends no more."""
    api, pid, actor, at = request.api, request.project.pid, request.actor, request.api.clock.now()
    name = (await request.sent())["name"]
    await api.usage.write(lambda tx: sources.retire(tx, pid, name, actor=actor, at=at, ids=api.ids))
    await carry_or_wait(api.usage, api.database)
    return to(request, f"/p/{request.project.slug}/usage/sources")
