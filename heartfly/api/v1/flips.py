"""The flips of a check: every change of its status, newest first."""

from __future__ import annotations

from litestar import get
from litestar.params import FromPath

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, number
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire import FlipPage, flip_out
from heartfly.checks import queries


@get("/checks/{check_id:str}/flips", summary="List flips, newest first", responses=told_as(404, 422), tags=["history"])
async def list_flips(
    request: ApiRequest, check_id: FromPath[str], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> FlipPage:
    before = number(cursor, "flips")
    async with request.api.database.read() as read:
        check = await queries.find(read, request.caller.pid, check_id)
        rows = await queries.flips_of(read, check.pid, check.id, before=before, limit=limit + 1)
    page, following = cut(rows, limit, lambda row: cursor_of("flips", row.flip_no))
    return FlipPage([flip_out(row, incident=row.incident) for row in page], following)
