"""The pings of a check, newest first, and what each of them said."""

from __future__ import annotations

from litestar import MediaType, Response, get
from litestar.params import FromPath

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, number
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire import PingPage, ping_out
from heartfly.checks import queries
from heartfly.errors import NotFoundError

_LARGEST = 2**63 - 1


@get("/checks/{check_id:str}/pings", summary="List pings, newest first", responses=told_as(404, 422), tags=["history"])
async def list_pings(
    request: ApiRequest, check_id: FromPath[str], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> PingPage:
    before = number(cursor, "pings")
    async with request.api.database.read() as read:
        check = await queries.find(read, request.caller.pid, check_id)
        rows = await queries.pings_of(read, check.pid, check.id, before=before, limit=limit + 1)
    page, following = cut(rows, limit, lambda row: cursor_of("pings", row.n))
    check_url = f"{request.api.base_url}/v1/checks/{check.uuid}"
    return PingPage([ping_out(row, check_url=check_url) for row in page], following)


@get(
    "/checks/{check_id:str}/pings/{n:str}/body",
    summary="What a ping said",
    responses=told_as(404),
    tags=["history"],
    media_type=MediaType.TEXT,
)
async def ping_body(request: ApiRequest, check_id: FromPath[str], n: FromPath[str]) -> Response[bytes]:
    """The bytes as they came, cut to what is kept. Never anything that a browser would run."""
    number = int(n) if n.isascii() and n.isdigit() and len(n) < 20 else 0
    if not 0 < number <= _LARGEST:
        raise NotFoundError("there is no such ping, or it had no body")
    async with request.api.database.read() as read:
        check = await queries.find(read, request.caller.pid, check_id)
        body = await queries.ping_body(read, check.pid, check.id, number)
    return Response(
        body,
        media_type=MediaType.TEXT,
        headers={"Content-Security-Policy": "sandbox", "Content-Disposition": "inline"},
    )
