"""Oneself: one's name, in which zone, colours and density pages are shown, the password, and the address to sign
in with.

A password asks for the one so far; another address counts when the link that is mailed there was used: GET shows what
it would do, only POST does it, signed in or not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from litestar import Response, get, post

from heartfly.accounts import email_changes, profile
from heartfly.accounts.passwords import hashed
from heartfly.accounts.sign_in import TooManyTriesError
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError, UnauthenticatedError
from heartfly.web import cookie
from heartfly.web.request import FOR_ALL, OF_ONESELF, PageRequest
from heartfly.web.setup import demand_same
from heartfly.web.sign_in import no_password, one_line, to

HERE = "/account/profile"


@get(HERE)
async def show(request: PageRequest) -> Response[bytes]:
    return await _page(request, done=request.query_params.get("done", ""))


@post(HERE, opt=OF_ONESELF, status_code=200)
async def edit(request: PageRequest) -> Response[bytes]:
    who, form = request.who, await request.sent()
    values = {"name": form["name"], "zone": form["zone"].strip(), "theme": form["theme"], "density": form["density"]}
    try:
        await request.api.database.write(lambda tx: profile.edit_profile(tx, who.user_id, **values))
    except InvalidValueError as error:
        return await _page(request, status=422, values=values, errors={error.field: error.message})
    return to(request, HERE, query="done=profile")


@post(f"{HERE}/password", opt=OF_ONESELF, status_code=200)
async def change_password(request: PageRequest) -> Response[bytes]:
    """He stays signed in here, by a session of its own, and nowhere else."""
    api, who, actor, form, place = request.api, request.who, request.actor, await request.sent(), request.place
    agent, now = one_line(request.headers.get("user-agent", "")), api.clock.now()
    try:
        known = await request.web.sign_in.known(who.email, form["old"], place=place)
        demand_same(form)
        async with request.web.hashing:
            password_hash = await asyncio.to_thread(hashed, form["password"])
    except UnauthenticatedError as error:
        return await _page(request, status=422, errors={"old": no_password(error)})
    except TooManyTriesError as error:
        return await _too_often(request, "old", "was wrong too often", error)
    except InvalidValueError as error:
        return await _page(request, status=422, errors={error.field: error.message})
    token = await request.write_of_oneself(
        lambda tx: profile.change_password(
            tx,
            who.user_id,
            was=known.password_hash,
            password_hash=password_hash,
            ip=place,
            agent=agent,
            actor=actor,
            at=now,
            ids=api.ids,
        )
    )
    if token is None:
        return to(request, "/sign-in")
    return to(request, HERE, query="done=password", set_cookie=cookie.setting(token, is_https=request.web.is_https))


@post(f"{HERE}/email", opt=OF_ONESELF, status_code=200)
async def change_email(request: PageRequest) -> Response[bytes]:
    """Whether anybody signs in with the new address is told to nobody but who reads its mail."""
    api, web, who, form, place = request.api, request.web, request.who, await request.sent(), request.place
    email, now = form["email"].strip(), api.clock.now()
    if not api.letters.can_send:
        return await _page(request, status=409)
    try:
        await web.sign_in.known(who.email, form["current"], place=place)
    except UnauthenticatedError as error:
        return await _page(request, status=422, email=email, errors={"current": no_password(error)})
    except TooManyTriesError as error:
        return await _too_often(request, "current", "was wrong too often", error)
    try:
        web.sign_in.resets.begin(who.email, place, api.clock.monotonic())
        token = await request.write_of_oneself(lambda tx: email_changes.ask(tx, who.user_id, email, at=now))
    except TooManyTriesError as error:
        return await _too_often(request, "email", "was asked for too often", error)
    except InvalidValueError as error:
        return await _page(request, status=422, email=email, errors={error.field: error.message})
    link = f"{api.base_url}/account/confirm-email?token={token}"
    letter = email_changes.confirm_letter(email, link, now + email_changes.LASTS)
    api.letters.behind(api.letters.send_patiently(letter))
    return to(request, HERE, query="done=asked")


@get("/account/confirm-email", opt=FOR_ALL)
async def show_confirmation(request: PageRequest) -> Response[bytes]:
    token = request.query_params.get("token", "")
    async with request.api.database.read() as read:
        would = await email_changes.named(read, token, now=request.api.clock.now())
    if would is None:
        return await request.page("confirm_email.html", status=404, outcome="gone", token="", change=None)
    return await request.page("confirm_email.html", outcome="", token=token, change=would)


@post("/account/confirm-email", opt=FOR_ALL, status_code=200)
async def confirm_email(request: PageRequest) -> Response[bytes]:
    api, token, place, now = request.api, (await request.sent())["token"], request.place, request.api.clock.now()
    try:
        changed = await api.database.write(lambda tx: email_changes.use(tx, token, ip=place, at=now, ids=api.ids))
    except NotFoundError:
        return await request.page("confirm_email.html", status=404, outcome="gone", token="", change=None)
    except ConflictError:
        return await request.page("confirm_email.html", status=409, outcome="taken", token="", change=None)
    api.letters.behind(api.letters.send_patiently(email_changes.told_letter(changed, api.base_url)))
    return await request.page("confirm_email.html", outcome="done", token="", change=changed)


async def _too_often(request: PageRequest, field: str, what: str, error: TooManyTriesError) -> Response[bytes]:
    answer = await _page(request, status=429, errors={field: f"{what}; wait {error.retry_after} seconds"})
    answer.headers["Retry-After"] = str(error.retry_after)
    return answer


async def _page(
    request: PageRequest,
    *,
    status: int = 200,
    values: Mapping[str, str] | None = None,
    email: str = "",
    done: str = "",
    errors: Mapping[str, str] | None = None,
) -> Response[bytes]:
    api, who = request.api, request.who
    async with api.database.read() as read:
        wanted = await email_changes.wanted(read, who.user_id, now=api.clock.now())
    return await request.page(
        "profile.html",
        status=status,
        values=values or {"name": who.name, "zone": who.zone, "theme": who.theme, "density": who.density},
        themes=profile.THEMES,
        densities=profile.DENSITIES,
        email=email,
        wanted=wanted,
        can_mail=api.letters.can_send,
        done=done,
        errors=errors or {},
    )
