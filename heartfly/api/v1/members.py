"""The members of the project: list, add, read, change a role, remove. All of it needs the scope `admin`."""

from __future__ import annotations

from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody

from heartfly.accounts import members
from heartfly.accounts.guards import ADMINISTERS
from heartfly.accounts.revisions import of_member
from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, number
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest, IfMatch, etag, rev_of
from heartfly.api.v1.wire_accounts import MemberEdit, MemberIn, MemberOut, MemberPage, member_out


@get("/members", summary="List members", responses=told_as(422), tags=["members"], opt=ADMINISTERS)
async def list_members(request: ApiRequest, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> MemberPage:
    after = number(cursor, "members")
    async with request.api.database.read() as read:
        rows = await members.list_members(read, request.caller.pid, after=after, limit=limit + 1)
    page, following = cut(rows, limit, lambda row: cursor_of("members", row.user_id))
    return MemberPage([member_out(row) for row in page], following)


@post("/members", summary="Add a member", responses=told_as(409, 422), tags=["members"], opt=ADMINISTERS)
async def add_member(request: ApiRequest, data: JSONBody[MemberIn]) -> Response[MemberOut]:
    """Somebody who is a user already. 409 when he is a member."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    user_id = await request.administer(
        lambda tx: members.add(tx, pid, email=data.email, role=data.role, actor=request.actor, at=at, ids=api.ids)
    )
    answer = await _told(request, str(user_id), status=201)
    answer.headers["Location"] = f"{api.base_url}/v1/members/{user_id}"
    return answer


@get("/members/{user_id:str}", summary="Read a member", responses=told_as(404), tags=["members"], opt=ADMINISTERS)
async def read_member(request: ApiRequest, user_id: FromPath[str]) -> Response[MemberOut]:
    return await _told(request, user_id)


@patch(
    "/members/{user_id:str}",
    summary="Change a member's role",
    responses=told_as(404, 409, 412, 422),
    tags=["members"],
    opt=ADMINISTERS,
)
async def edit_member(
    request: ApiRequest, user_id: FromPath[str], data: JSONBody[MemberEdit], if_match: IfMatch = None
) -> Response[MemberOut]:
    """The project's last owner stays one (409)."""
    api, pid, at, rev = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match)
    await request.administer(
        lambda tx: members.change_role(tx, pid, user_id, data.role, actor=request.actor, at=at, ids=api.ids, rev=rev)
    )
    return await _told(request, user_id)


@delete(
    "/members/{user_id:str}",
    summary="Remove a member",
    responses=told_as(404, 409, 412, 422),
    tags=["members"],
    opt=ADMINISTERS,
    status_code=204,
)
async def remove_member(request: ApiRequest, user_id: FromPath[str], if_match: IfMatch = None) -> None:
    """He stays a user. The project's last owner cannot go (409)."""
    api, pid, at, rev = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match)
    await request.administer(
        lambda tx: members.remove(tx, pid, user_id, actor=request.actor, at=at, ids=api.ids, rev=rev)
    )


async def _told(request: ApiRequest, user_id: str, *, status: int = 200) -> Response[MemberOut]:
    async with request.api.database.read() as read:
        row = await members.one_member(read, request.caller.pid, user_id)
    return Response(member_out(row), status_code=status, headers={"ETag": etag(of_member(row))})
