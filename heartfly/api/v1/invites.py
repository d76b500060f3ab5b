"""Invites to the project: list, create, send again, take back. All of it needs the scope `admin`."""

from __future__ import annotations

from litestar import Response, delete, get, post
from litestar.params import FromPath, JSONBody

from heartfly.accounts import invites
from heartfly.accounts.guards import ADMINISTERS
from heartfly.accounts.invites import Invited
from heartfly.accounts.letters import send_invite
from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, number
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire_accounts import InviteIn, InviteOut, InvitePage, SentInviteOut, invite_out


@get("/invites", summary="List invites", responses=told_as(422), tags=["members"], opt=ADMINISTERS)
async def list_invites(request: ApiRequest, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> InvitePage:
    """In the order in which they were made, those that have ended too. One that was used is gone."""
    after = number(cursor, "invites")
    async with request.api.database.read() as read:
        rows = await invites.list_invites(read, request.caller.pid, after=after, limit=limit + 1)
    page, following = cut(rows, limit, lambda row: cursor_of("invites", row.id))
    return InvitePage([invite_out(row) for row in page], following)


@post("/invites", summary="Invite somebody", responses=told_as(409, 422), tags=["members"], opt=ADMINISTERS)
async def create_invite(request: ApiRequest, data: JSONBody[InviteIn]) -> Response[SentInviteOut]:
    """By a mail with a link that works once. Without a mail server the `link` is in this answer and in no other."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    made = await request.administer(
        lambda tx: invites.invite(tx, pid, email=data.email, role=data.role, actor=request.actor, at=at, ids=api.ids)
    )
    answer = await _sent(request, made, status=201)
    answer.headers["Location"] = f"{api.base_url}/v1/invites/{made.id}"
    return answer


@get("/invites/{invite_id:str}", summary="Read an invite", responses=told_as(404), tags=["members"], opt=ADMINISTERS)
async def read_invite(request: ApiRequest, invite_id: FromPath[str]) -> InviteOut:
    async with request.api.database.read() as read:
        return invite_out(await invites.one_invite(read, request.caller.pid, invite_id))


@post(
    "/invites/{invite_id:str}/resend",
    summary="Send an invite again",
    responses=told_as(404),
    tags=["members"],
    opt=ADMINISTERS,
    status_code=200,
)
async def resend_invite(request: ApiRequest, invite_id: FromPath[str]) -> Response[SentInviteOut]:
    """With another link, for a week from now. The link before works no more."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    made = await request.administer(
        lambda tx: invites.renew(tx, pid, invite_id, actor=request.actor, at=at, ids=api.ids)
    )
    return await _sent(request, made, status=200)


@delete(
    "/invites/{invite_id:str}",
    summary="Take an invite back",
    responses=told_as(404),
    tags=["members"],
    opt=ADMINISTERS,
    status_code=204,
)
async def revoke_invite(request: ApiRequest, invite_id: FromPath[str]) -> None:
    """From the answer on its link does not work."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    await request.administer(lambda tx: invites.revoke(tx, pid, invite_id, actor=request.actor, at=at, ids=api.ids))


async def _sent(request: ApiRequest, made: Invited, *, status: int) -> Response[SentInviteOut]:
    api = request.api
    sent = await send_invite(api.letters, made, base_url=api.base_url, inviter=request.actor.name)
    async with api.database.read() as read:
        row = await invites.one_invite(read, request.caller.pid, str(made.id))
    told = SentInviteOut(
        id=str(row.id),
        email=row.email,
        role=row.role,
        invited_by=row.invited_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        sent=sent.is_sent,
        link=sent.link,
        mail_error=sent.error or None,
    )
    return Response(told, status_code=status)
