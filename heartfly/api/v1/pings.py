"""The pings of a check, newest first, what each of them said, and how that differs from the last success."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from litestar import MediaType, Response, get
from litestar.params import FromPath, QueryParameter

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, number
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire import PingPage, ping_out
from heartfly.checks import differing, queries
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
    async with request.api.database.read() as read:
        check = await queries.find(read, request.caller.pid, check_id)
        body = await queries.ping_body(read, check.pid, check.id, _number(n))
    return Response(
        body,
        media_type=MediaType.TEXT,
        headers={"Content-Security-Policy": "sandbox", "Content-Disposition": "inline"},
    )


class DiffLine(msgspec.Struct):
    """A line as it was said: `-` by the success only, `+` by this ping only, `=` by both.

    `skip`: `text` says how many lines follow that both have. `there`, `here`: its number in either, from 1 on.
    """

    sign: Literal["-", "+", "=", "skip"]
    there: int | None
    here: int | None
    text: str


class DiffOut(msgspec.Struct, kw_only=True):
    """What a ping said beside the last success before it. Times, ids, hex and durations count for nothing."""

    compared_with: int | None
    """The number of the success's ping; null: none is kept that said something."""
    same: bool | None
    whole: bool
    """False: they are long, and only their beginnings are compared."""
    lines: list[DiffLine]


_SIGNS: dict[str, Literal["-", "+", "=", "skip"]] = {"-": "-", "+": "+", " ": "=", "…": "skip"}


@get(
    "/checks/{check_id:str}/pings/{n:str}/diff",
    summary="What a ping said beside the last success",
    responses=told_as(404, 422),
    tags=["history"],
)
async def ping_diff(
    request: ApiRequest,
    check_id: FromPath[str],
    n: FromPath[str],
    numbers: Annotated[bool, QueryParameter(description="False: numbers do not count either.")] = True,  # noqa: FBT002
) -> DiffOut:
    async with request.api.database.read() as read:
        check = await queries.find(read, request.caller.pid, check_id)
        body = await queries.ping_body(read, check.pid, check.id, _number(n))
        other = await differing.success_before(read, check.pid, check.id, _number(n))
    if other is None:
        return DiffOut(compared_with=None, same=None, whole=True, lines=[])
    found = await differing.difference(other.body, body, numbers=numbers)
    lines = [DiffLine(_SIGNS[one.sign], one.there or None, one.here or None, one.text) for one in found.lines]
    return DiffOut(compared_with=other.n, same=not lines, whole=found.is_whole, lines=lines)


def _number(n: str) -> int:
    number = int(n) if n.isascii() and n.isdigit() and len(n) < 20 else 0
    if not 0 < number <= _LARGEST:
        raise NotFoundError("there is no such ping, or it had no body")
    return number
