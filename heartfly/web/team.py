"""The people of a project: who is in it and as what, who is invited, and who it is handed over to.

Everybody in the project sees it, and may leave. Owners and administrators change it; what concerns owners only owners.
"""

from __future__ import annotations

from litestar import Response, get, post
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.accounts import invites, members
from heartfly.accounts.factors import factors_in
from heartfly.accounts.invites import MOST_INVITES, Invited
from heartfly.accounts.letters import Sent, send_invite
from heartfly.accounts.members import MOST_MEMBERS, Role
from heartfly.accounts.sessions import Membership
from heartfly.db.changes import Tx
from heartfly.errors import ConflictError, ForbiddenError, InvalidValueError, NotFoundError, TooManyRequestsError
from heartfly.web.request import FOR_ADMINS, FOR_OWNERS, OF_ONESELF, PageRequest
from heartfly.web.sign_in import to
from heartfly.web.times import lasted

IN_WORDS = {
    Role.OWNER: "may do everything, and hand over or delete the project",
    Role.ADMIN: "also decides about people, keys and the project's settings",
    Role.MEMBER: "changes checks and channels",
    Role.VIEWER: "looks, and changes nothing",
}


@get("/p/{project:str}/settings/team")
async def show(request: PageRequest) -> Response[bytes]:
    return await _page(request, invited=request.query_params.get("invited", ""))


@post("/p/{project:str}/settings/team/invites", opt=FOR_ADMINS, status_code=200)
async def invite(request: PageRequest) -> Response[bytes]:
    """Invited by mail. With no mail server the link is on the page that answers and on no other."""
    api, pid, actor, form = request.api, request.project.pid, request.actor, await request.sent()
    email, role, at = form["email"].strip(), form["role"], api.clock.now()

    def work(tx: Tx, me: Membership) -> Invited:
        _demand_grantable(me, role)
        return invites.invite(tx, pid, email=email, role=role, actor=actor, at=at, ids=api.ids)

    try:
        made = await request.administer(work)
    except InvalidValueError as error:
        return await _page(request, status=422, values=(email, role), errors={error.field: error.message})
    except ConflictError as error:
        return await _page(request, status=409, values=(email, role), errors={"email": str(error)})
    except TooManyRequestsError as error:
        said = f"not invited: {error}; wait {lasted(error.retry_after * 1_000_000)}"
        answer = await _page(request, status=429, values=(email, role), errors={"email": said})
        answer.headers["Retry-After"] = str(error.retry_after)
        return answer
    return await _send(request, made)


@post("/p/{project:str}/settings/team/invites/{invite:str}/resend", opt=FOR_ADMINS, status_code=200)
async def resend(request: PageRequest) -> Response[bytes]:
    api, pid, actor, which = request.api, request.project.pid, request.actor, request.path_value("invite")
    at = api.clock.now()

    def work(tx: Tx, me: Membership) -> Invited:
        made = invites.renew(tx, pid, which, actor=actor, at=at, ids=api.ids)
        _demand_grantable(me, made.role)
        return made

    return await _send(request, await request.administer(work))


@post("/p/{project:str}/settings/team/invites/{invite:str}/revoke", opt=FOR_ADMINS, status_code=200)
async def revoke(request: PageRequest) -> Response[bytes]:
    api, pid, actor, which = request.api, request.project.pid, request.actor, request.path_value("invite")
    at = api.clock.now()
    await request.administer(lambda tx, _: invites.revoke(tx, pid, which, actor=actor, at=at, ids=api.ids))
    return _back(request)


@post("/p/{project:str}/settings/team/members/{member:str}/role", opt=FOR_ADMINS, status_code=200)
async def change_role(request: PageRequest) -> Response[bytes]:
    api, pid, actor, which = request.api, request.project.pid, request.actor, request.path_value("member")
    role, at = (await request.sent())["role"], api.clock.now()

    def work(tx: Tx, me: Membership) -> None:
        _demand_changeable(me, members.role_in(tx, pid, which))
        _demand_grantable(me, role)
        members.change_role(tx, pid, which, role, actor=actor, at=at, ids=api.ids)

    try:
        await request.administer(work)
    except ConflictError as error:
        return await _page(request, status=409, wrong=f"{error}.")
    return _back(request)


@post("/p/{project:str}/settings/team/members/{member:str}/remove", opt=FOR_ADMINS, status_code=200)
async def remove(request: PageRequest) -> Response[bytes]:
    api, pid, actor, which = request.api, request.project.pid, request.actor, request.path_value("member")
    at = api.clock.now()

    def work(tx: Tx, me: Membership) -> None:
        _demand_changeable(me, members.role_in(tx, pid, which))
        members.remove(tx, pid, which, actor=actor, at=at, ids=api.ids)

    try:
        await request.administer(work)
    except ConflictError as error:
        return await _page(request, status=409, wrong=f"{error}.")
    return _back(request)


@post("/p/{project:str}/settings/team/leave", opt=OF_ONESELF, status_code=200)
async def leave(request: PageRequest) -> Response[bytes]:
    api, pid, actor, at = request.api, request.project.pid, request.actor, request.api.clock.now()
    mine = str(request.who.user_id)
    try:
        await api.database.write(lambda tx: members.remove(tx, pid, mine, actor=actor, at=at, ids=api.ids))
    except ConflictError as error:
        return await _page(request, status=409, wrong=f"{error}.")
    return to(request, "/")


@post("/p/{project:str}/settings/team/hand-over", opt=FOR_OWNERS, status_code=200)
async def hand_over(request: PageRequest) -> Response[bytes]:
    api, pid, actor, giver = request.api, request.project.pid, request.actor, request.who.user_id
    which, at = (await request.sent())["member"], api.clock.now()
    try:
        await request.administer(
            lambda tx, _: members.hand_over(tx, pid, which, giver_id=giver, actor=actor, at=at, ids=api.ids), owner=True
        )
    except (InvalidValueError, NotFoundError):
        return await _page(request, status=422, errors={"member": "choose another member of the project"})
    return _back(request)


async def _send(request: PageRequest, made: Invited) -> Response[bytes]:
    api = request.api
    sent = await send_invite(api.letters, made, base_url=api.base_url, inviter=request.actor.name)
    if sent.is_sent:
        return to(request, f"/p/{request.project.slug}/settings/team", query=f"invited={made.id}")
    return await _page(request, status=201, made=made, sent=sent)


async def _page(
    request: PageRequest,
    *,
    status: int = 200,
    values: tuple[str, str] = ("", Role.MEMBER.value),
    errors: dict[str, str] | None = None,
    wrong: str = "",
    invited: str = "",
    made: Invited | None = None,
    sent: Sent | None = None,
) -> Response[bytes]:
    pid, project = request.project.pid, request.project
    async with request.api.database.read() as read:
        people = await members.list_members(read, pid, after=None, limit=MOST_MEMBERS)
        open_invites = await invites.list_invites(read, pid, after=None, limit=MOST_INVITES)
        mailed = await _mailed(read, pid, invited)
        factors = await factors_in(read, pid) if project.administers else {}
    return await request.page(
        "team.html",
        status=status,
        people=people,
        factors=factors,
        more_demanded=request.more_demanded,
        invites=open_invites,
        roles=[(role.value, said) for role, said in IN_WORDS.items() if role is not Role.OWNER or project.owns],
        values=values,
        errors=errors or {},
        wrong=wrong,
        mailed=mailed,
        made=made,
        sent=sent,
        can_mail=request.api.letters.can_send,
    )


async def _mailed(read: AsyncConnection, pid: int, invited: str) -> str:
    """To whom the invite went that was just made; empty for a link that somebody kept."""
    try:
        return str((await invites.one_invite(read, pid, invited)).email) if invited else ""
    except NotFoundError:
        return ""


def _demand_changeable(me: Membership, role: Role) -> None:
    """ForbiddenError: it is an owner, and who asks is none."""
    if role is Role.OWNER and not me.owns:
        raise ForbiddenError("only an owner may change what an owner is")


def _demand_grantable(me: Membership, role: str) -> None:
    if role == Role.OWNER and not me.owns:
        raise ForbiddenError("only an owner may make somebody an owner")


def _back(request: PageRequest) -> Response[bytes]:
    return to(request, f"/p/{request.project.slug}/settings/team")
