"""The first administrator, once. GET shows the form to whoever has the token; only POST uses it up."""

from __future__ import annotations

import asyncio

from litestar import Response, get, post

from heartfly.accounts import sessions
from heartfly.accounts.first_owner import has_users, make_first_owner
from heartfly.accounts.passwords import hashed
from heartfly.db.changes import Tx
from heartfly.errors import ConflictError, ForbiddenError, InvalidValueError
from heartfly.web import cookie
from heartfly.web.request import FOR_ALL, Form, PageRequest
from heartfly.web.sign_in import WELCOME, to


@get("/setup", opt=FOR_ALL)
async def show(request: PageRequest) -> Response[bytes]:
    token = request.query_params.get("token", "")
    if (refused := await _refused(request, token)) is not None:
        return refused
    return await request.page("setup.html", token=token, values={"zone": "UTC"}, errors={})


@post("/setup", opt=FOR_ALL, status_code=200)
async def finish(request: PageRequest) -> Response[bytes]:
    web, form = request.web, await request.sent()
    api, email, zone, place = web.api, form["email"].strip(), form["zone"].strip() or "UTC", request.place
    if (refused := await _refused(request, form["token"])) is not None:
        return refused
    had, agent, now = request.token, request.headers.get("user-agent", ""), api.clock.now()
    try:
        demand_same(form)
        async with web.hashing:
            password_hash = await asyncio.to_thread(hashed, form["password"])

        def work(tx: Tx) -> str | None:
            user_id = make_first_owner(
                tx, email=email, password_hash=password_hash, zone=zone, ip=place, at=now, ids=api.ids
            )
            return sessions.begin(
                tx, user_id, password_hash=password_hash, ip=place, agent=agent, replaces=had, at=now, ids=api.ids
            )

        token = await api.database.write(work)
    except InvalidValueError as error:
        values = {"email": email, "zone": zone}
        return await request.page(
            "setup.html", status=422, token=form["token"], values=values, errors={error.field: error.message}
        )
    except ConflictError:
        return await _over(request)
    assert token is not None
    # Whoever has just chosen a password hears once that there is something better, where browsers know it.
    return to(request, "/", query=WELCOME if web.party else "", set_cookie=cookie.setting(token, is_https=web.is_https))


def demand_same(form: Form) -> None:
    """Of a form in which a new password is typed twice."""
    if form["password"] != form["again"]:
        raise InvalidValueError("again", "must be the same password")


async def _refused(request: PageRequest, token: str) -> Response[bytes] | None:
    async with request.api.database.read() as read:
        if await has_users(read):
            return await _over(request)
    try:
        request.web.setup.demand(token)
    except ForbiddenError:
        return await request.page("setup_refused.html", status=403, is_over=False)
    return None


async def _over(request: PageRequest) -> Response[bytes]:
    return await request.page("setup_refused.html", status=409, is_over=True)
