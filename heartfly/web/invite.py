"""Joining a project by the link of an invite. GET shows what it is; only POST uses it up.

Who can sign in with the invited address does so first; who cannot becomes a user here, for the link went to his mail.
"""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from litestar import Response, get, post

from heartfly.accounts import invites, sessions
from heartfly.accounts.invites import Invite
from heartfly.accounts.letters import AS
from heartfly.accounts.passwords import hashed
from heartfly.db.changes import Tx
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.web import cookie
from heartfly.web.request import FOR_ALL, Form, PageRequest
from heartfly.web.setup import demand_same
from heartfly.web.sign_in import one_line, to, to_set_up

_LONGEST = 100


@get("/invite", opt=FOR_ALL)
async def show(request: PageRequest) -> Response[bytes]:
    token = request.query_params.get("token", "")
    if request.bound is not None:
        return to_set_up(request, f"{request.web.root}/invite?token={quote(token[:_LONGEST], safe='')}")
    found = await _invite(request, token)
    return await _gone(request) if found is None else await _told(request, token, found)


@post("/invite", opt=FOR_ALL, status_code=200)
async def join(request: PageRequest) -> Response[bytes]:
    api, form, who, place, now = (
        request.api,
        await request.sent(),
        request.visitor,
        request.place,
        request.api.clock.now(),
    )
    token = form["token"]
    found = await _invite(request, token)
    if found is None:
        return await _gone(request)
    if who is None and not found.is_user:
        return await _join_as_new_user(request, form, found)
    if who is None or who.email.lower() != found.email.lower():
        return await _told(request, token, found, status=403)
    try:
        slug = await api.database.write(
            lambda tx: invites.join(tx, token, user_id=who.user_id, ip=place, at=now, ids=api.ids)
        )
    except NotFoundError:
        return await _gone(request)
    return to(request, f"/p/{slug}/checks")


async def _join_as_new_user(request: PageRequest, form: Form, found: Invite) -> Response[bytes]:
    web, api, place, now = request.web, request.api, request.place, request.api.clock.now()
    token, zone, had = form["token"], form["zone"].strip() or "UTC", request.token
    agent = one_line(request.headers.get("user-agent", ""))
    try:
        demand_same(form)
        async with web.hashing:
            password_hash = await asyncio.to_thread(hashed, form["password"])

        def work(tx: Tx) -> tuple[str, str | None]:
            user_id, slug = invites.join_as_new_user(
                tx, token, password_hash=password_hash, zone=zone, ip=place, at=now, ids=api.ids
            )
            return slug, sessions.begin(
                tx, user_id, password_hash=password_hash, ip=place, agent=agent, replaces=had, at=now, ids=api.ids
            )

        slug, session = await api.database.write(work)
    except InvalidValueError as error:
        return await _told(request, token, found, status=422, zone=zone, errors={error.field: error.message})
    except NotFoundError:
        return await _gone(request)
    except ConflictError:
        # He became a user in another window meanwhile; now the page asks him to sign in.
        again = await _invite(request, token)
        return await _gone(request) if again is None else await _told(request, token, again, status=409)
    assert session is not None
    return to(request, f"/p/{slug}/checks", set_cookie=cookie.setting(session, is_https=web.is_https))


async def _invite(request: PageRequest, token: str) -> Invite | None:
    async with request.api.database.read() as read:
        return await invites.invite_of(read, token, now=request.api.clock.now())


async def _told(
    request: PageRequest,
    token: str,
    found: Invite,
    *,
    status: int = 200,
    zone: str = "UTC",
    errors: dict[str, str] | None = None,
) -> Response[bytes]:
    return await request.page(
        "invite.html", status=status, token=token, invite=found, means=AS[found.role], zone=zone, errors=errors or {}
    )


async def _gone(request: PageRequest) -> Response[bytes]:
    return await request.page("invite_gone.html", status=404)
