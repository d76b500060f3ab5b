"""Events of usage in the browser: the newest ones, filtered."""

from __future__ import annotations

from urllib.parse import urlencode

from litestar import Response, get

from heartfly.api.paging import cursor_of, instant_of, place_in_time
from heartfly.core import text
from heartfly.db.types import micros
from heartfly.errors import InvalidValueError
from heartfly.usage.event_queries import Wanted, search
from heartfly.web.request import PageRequest

PAGE = 50
_FIELDS = ("customer", "subject", "type", "id", "from", "to")
_MOST = 300


@get("/p/{project:str}/usage/events")
async def show(request: PageRequest) -> Response[bytes]:
    asked = {name: request.query_params.get(name, "").strip() for name in _FIELDS}
    kept, errors, older = {name: value for name, value in asked.items() if value}, {}, ""
    found = []
    try:
        wanted = _wanted(asked)
        before = place_in_time(request.query_params.get("before"), "events")
        async with request.api.usage.read() as read:
            page = await search(read, request.project.pid, wanted, before=before, limit=PAGE)
        found = list(page.events)
        if page.last is not None:
            older = urlencode(kept | {"before": cursor_of("events", micros(page.last[0]), page.last[1])})
    except InvalidValueError as error:
        errors = {error.field: error.message}
    return await request.page(
        "usage_events.html",
        status=422 if errors else 200,
        asked=asked,
        is_filtered=bool(kept),
        is_first="before" not in request.query_params,
        events=found,
        older=older,
        errors=errors,
        base_url=request.api.base_url,
    )


def _wanted(asked: dict[str, str]) -> Wanted:
    """InvalidValueError names the field of the filter."""
    for name in ("customer", "subject", "type", "id"):
        text.one_line(asked[name], field=name, most=_MOST)
    return Wanted(
        customer=asked["customer"],
        subject=asked["subject"],
        type=asked["type"],
        transaction_id=asked["id"],
        from_at=instant_of(asked["from"] or None, field="from"),
        to_at=instant_of(asked["to"] or None, field="to"),
    )
