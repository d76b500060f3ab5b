"""What belongs to who is signed in: where else he is, and how to end it there."""

from __future__ import annotations

from litestar import Response, get, post

from heartfly.accounts import sessions
from heartfly.web.request import OF_ONESELF, PageRequest
from heartfly.web.sign_in import to


@get("/account/security")
async def security(request: PageRequest) -> Response[bytes]:
    async with request.api.database.read() as read:
        found = await sessions.list_sessions(read, request.who.user_id, now=request.api.clock.now())
    return await request.page("account.html", sessions=found)


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
