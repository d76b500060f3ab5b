"""A forgotten password: who asks for a link hears the same whoever has the address; GET shows, only POST uses it up.

The link is of the browser that asked: what tells it is in a cookie, which whoever asks gets, whoever has the address.
"""

from __future__ import annotations

import asyncio

from litestar import Response, get, post

from heartfly.accounts import resets
from heartfly.accounts.passwords import hashed
from heartfly.accounts.sign_in import TooManyTriesError
from heartfly.errors import InvalidValueError, NotFoundError
from heartfly.web import cookie
from heartfly.web.request import FOR_ALL, PageRequest
from heartfly.web.setup import demand_same


@get("/sign-in/reset", opt=FOR_ALL)
async def show(request: PageRequest) -> Response[bytes]:
    return await _asking(request)


@post("/sign-in/reset", opt=FOR_ALL, status_code=200)
async def ask(request: PageRequest) -> Response[bytes]:
    api, email = request.api, (await request.sent())["email"].strip()[:400]
    if not api.letters.can_send:
        return await _asking(request, status=409)
    if "@" not in email:
        return await _asking(request, status=422, email=email, errors={"email": "must be the address to sign in with"})
    try:
        request.web.sign_in.resets.begin(email.lower(), request.place, api.clock.monotonic())
    except TooManyTriesError as error:
        wait = {"email": f"asked for too often; wait {error.retry_after} seconds"}
        answer = await _asking(request, status=429, email=email, errors=wait)
        answer.headers["Retry-After"] = str(error.retry_after)
        return answer
    browser = resets.browser_of(_browser(request))
    api.letters.behind(
        resets.mail_link(
            email,
            browser=browser,
            database=api.database,
            letters=api.letters,
            clock=api.clock,
            base_url=api.base_url,
        )
    )
    answer = await _asking(request, email=email, asked=True)
    answer.headers["Set-Cookie"] = cookie.keeping_asked(browser, is_https=request.web.is_https)
    return answer


@get("/sign-in/new-password", opt=FOR_ALL)
async def show_new(request: PageRequest) -> Response[bytes]:
    return await _choosing(request, request.query_params.get("token", ""))


@post("/sign-in/new-password", opt=FOR_ALL, status_code=200)
async def choose(request: PageRequest) -> Response[bytes]:
    api, form, place, now = request.api, await request.sent(), request.place, request.api.clock.now()
    token, browser = form["token"], _browser(request)
    if (refused := await _refused(request, token)) is not None:
        return refused
    try:
        demand_same(form)
        async with request.web.hashing:
            password_hash = await asyncio.to_thread(hashed, form["password"])
    except InvalidValueError as error:
        return await _choosing(request, token, status=422, errors={error.field: error.message})
    try:
        await api.database.write(
            lambda tx: resets.use(
                tx, token, browser=browser, password_hash=password_hash, ip=place, at=now, ids=api.ids
            )
        )
    except NotFoundError:
        return await _outcome(request, "gone", status=404)
    answer = await _outcome(request, "done")
    answer.headers["Set-Cookie"] = cookie.forgetting_asked(is_https=request.web.is_https)
    return answer


def _browser(request: PageRequest) -> str:
    return cookie.asked_by(request.headers.get("cookie", ""), is_https=request.web.is_https)


async def _asking(
    request: PageRequest,
    *,
    status: int = 200,
    email: str = "",
    asked: bool = False,
    errors: dict[str, str] | None = None,
) -> Response[bytes]:
    can_mail = request.api.letters.can_send
    return await request.page(
        "reset.html", status=status, email=email, asked=asked, errors=errors or {}, can_mail=can_mail
    )


async def _choosing(
    request: PageRequest, token: str, *, status: int = 200, errors: dict[str, str] | None = None
) -> Response[bytes]:
    if (refused := await _refused(request, token)) is not None:
        return refused
    return await request.page("new_password.html", status=status, token=token, errors=errors or {}, outcome="")


async def _refused(request: PageRequest, token: str) -> Response[bytes] | None:
    """The answer, unless the link is good, and of this browser."""
    async with request.api.database.read() as read:
        found = await resets.found(read, token, browser=_browser(request), now=request.api.clock.now())
    if found is resets.Found.GOOD:
        return None
    return await _outcome(request, found.value, status=403 if found is resets.Found.ELSEWHERE else 404)


async def _outcome(request: PageRequest, outcome: str, *, status: int = 200) -> Response[bytes]:
    """The page without the form. `outcome`: `done`, or why there is none."""
    return await request.page("new_password.html", status=status, token="", errors={}, outcome=outcome)
