"""The runs of a check with their figures, newest first; missed and unverified slots among them."""

from __future__ import annotations

from litestar import get
from litestar.params import FromPath

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, place_in_time
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire import RunPage, run_out
from heartfly.checks import queries
from heartfly.db.types import micros


@get("/checks/{check_id:str}/runs", summary="List runs, newest first", responses=told_as(404, 422), tags=["history"])
async def list_runs(
    request: ApiRequest, check_id: FromPath[str], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> RunPage:
    before = place_in_time(cursor, "runs")
    async with request.api.database.read() as read:
        check = await queries.find(read, request.caller.pid, check_id)
        rows = await queries.runs_of(read, check.pid, check.id, before=before, limit=limit + 1)
        page, following = cut(rows, limit, lambda row: cursor_of("runs", micros(row.at), row.id))
        metrics = await queries.metrics_of(read, check.pid, check.id, [row.id for row in page])
    return RunPage([run_out(row, metrics[row.id]) for row in page], following)
