"""What belongs to who is signed in: where else he is, how to end it there, his second step, his data and his end."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.response import Stream

from heartfly.accounts import sessions
from heartfly.accounts.erasure import erase_user
from heartfly.accounts.exports import user_lines
from heartfly.accounts.members import LastOwnerError
from heartfly.accounts.passkeys import list_passkeys
from heartfly.accounts.queries import operates
from heartfly.accounts.second_step import second_step_of
from heartfly.accounts.sign_in import TooManyTriesError
from heartfly.errors import UnauthenticatedError
from heartfly.web import cookie
from heartfly.web.request import OF_ONESELF, PageRequest
from heartfly.web.sign_in import no_password, to


@get("/account/security")
async def security(request: PageRequest) -> Response[bytes]:
    return await _page(request)


@get("/account/export")
async def export(request: PageRequest) -> Stream:
    lines = user_lines(request.api.database, request.who.user_id)
    headers = {"Content-Disposition": 'attachment; filename="heartfly-account.ndjson"'}
    return Stream(lines, media_type="application/x-ndjson", headers=headers)


@post("/account/delete", opt=OF_ONESELF, status_code=200)
async def delete(request: PageRequest) -> Response[bytes]:
    """For good, so with the password."""
    api, who, actor, now = request.api, request.who, request.actor, request.api.clock.now()
    try:
        await request.web.sign_in.known(who.email, (await request.sent())["password"], place=request.place)
        await request.write_of_oneself(lambda tx: erase_user(tx, who.user_id, actor=actor, at=now, ids=api.ids))
    except UnauthenticatedError as error:
        return await _page(request, status=422, errors={"password": no_password(error)})
    except TooManyTriesError as error:
        wait = f"was wrong too often; wait {error.retry_after} seconds"
        return await _page(request, status=429, errors={"password": wait})
    except LastOwnerError as error:
        return await _page(request, status=409, errors={"password": f"was right, but {error}"})
    return to(request, "/sign-in", set_cookie=cookie.removing(is_https=request.web.is_https))


async def _page(request: PageRequest, *, status: int = 200, errors: dict[str, str] | None = None) -> Response[bytes]:
    async with request.api.database.read() as read:
        found = await sessions.list_sessions(read, request.who.user_id, now=request.api.clock.now())
        step = await second_step_of(read, request.who.user_id)
        n_passkeys = len(await list_passkeys(read, request.who.user_id))
        is_operator = await operates(read, request.who.user_id)
    return await request.page(
        "account.html",
        status=status,
        sessions=found,
        step=step,
        n_passkeys=n_passkeys,
        is_operator=is_operator,
        more_demanded=request.more_demanded,
        errors=errors or {},
    )


@post("/account/security/sessions/{session:str}/revoke", opt=OF_ONESELF, status_code=200)
async def revoke_session(request: PageRequest) -> Response[bytes]:
    mine, which = request.who, request.path_value("session")
    await request.api.database.write(lambda tx: sessions.revoke(tx, mine.user_id, which))
    return to(request, "/account/security")


@post("/account/security/sessions/revoke-others", opt=OF_ONESELF, status_code=200)
async def revoke_others(request: PageRequest) -> Response[bytes]:
    mine = request.who
    await request.api.database.write(lambda tx: sessions.revoke_others(tx, mine.user_id, mine.id))
    return to(request, "/account/security")
